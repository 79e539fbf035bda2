import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oicp_adapter.sync.answers import Answer, Effect, ExistenceHint, Progress, Reason, Scope, TransportFault, Verdict
from oicp_adapter.sync.classify import RETRY_AFTER_CAP, classify, parse_retry_after

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HTML = b"<html><body><h1>Forbidden</h1></body></html>"
DONE = (
    b'{"Result": true, "StatusCode": {"Code": "000", "Description": null, "AdditionalInfo": null}, "SessionID": null}'
)
APPLIED = (Effect.APPLIED, Scope.NONE)
BY_RECORD = (Effect.NOT_APPLIED, Scope.RECORD)
BY_ACCOUNT = (Effect.NOT_APPLIED, Scope.ACCOUNT)
UNKNOWN = (Effect.UNKNOWN, Scope.HUB)


def answered(http_status: int, body: bytes = b"", **others: object) -> Answer:
    return Answer(Progress.SENT, http_status=http_status, body=body, **others)  # type: ignore[arg-type]  # a test's shorthand


def judged(verdict: Verdict) -> tuple[Effect, Scope]:
    return verdict.effect, verdict.scope


def refusal(code: object, words: str | None = None, *, result: object = False) -> bytes:
    status = {"Code": code, "Description": words, "AdditionalInfo": None}
    return json.dumps({"Result": result, "StatusCode": status}).encode()


def named(*references: object) -> bytes:
    errors = [{"fieldReference": reference, "errorMessage": "must match"} for reference in references]
    return json.dumps({"message": "Error parsing/validating JSON.", "validationErrors": errors}).encode()


# facts.md, "Answers", row by row.
ANSWERS = [
    (200, DONE, *APPLIED, None),
    (200, refusal("018"), *BY_RECORD, Reason.INVALID_RECORD),
    (400, named("operatorEvseStatus.evseStatusRecord[0].evseId"), *BY_RECORD, Reason.INVALID_RECORD),
    (401, b'{"StatusCode": {"Code": "017", "Description": "Unauthorized Access"}}', *BY_ACCOUNT, Reason.UNAUTHORIZED),
    (403, HTML, *BY_ACCOUNT, Reason.FORBIDDEN),
    (404, b'{"StatusCode": {"Code": "300", "Description": "x"}}', *BY_ACCOUNT, Reason.PARTNER_NOT_FOUND),
    (404, HTML, *BY_ACCOUNT, Reason.NOT_FOUND),
    (408, HTML, *UNKNOWN, Reason.HTTP_STATUS),
    (500, b"", *UNKNOWN, Reason.HTTP_STATUS),
    (500, DONE, *UNKNOWN, Reason.HTTP_STATUS),
    (502, HTML, *UNKNOWN, Reason.HTTP_STATUS),
    (503, refusal("022"), *UNKNOWN, Reason.HTTP_STATUS),
    (504, b"", *UNKNOWN, Reason.HTTP_STATUS),
    (429, b"slow down", Effect.NOT_APPLIED, Scope.HUB, Reason.RATE_LIMITED),
    (413, b"", *BY_RECORD, Reason.TOO_LARGE),
    (301, DONE, *UNKNOWN, Reason.HTTP_STATUS),
    (202, DONE, *UNKNOWN, Reason.HTTP_STATUS),
    (400, b"", *BY_RECORD, Reason.INVALID_RECORD),
    (400, HTML, *BY_RECORD, Reason.INVALID_RECORD),
    (200, b"", *UNKNOWN, Reason.UNDECODABLE),
    (200, HTML, *UNKNOWN, Reason.UNDECODABLE),
    (200, DONE[:-3], *UNKNOWN, Reason.UNDECODABLE),
    (200, b"[]", *UNKNOWN, Reason.UNDECODABLE),
    (200, b"null", *UNKNOWN, Reason.UNDECODABLE),
    (200, b'{"StatusCode": {"Code": "000"}}', *UNKNOWN, Reason.UNDECODABLE),
    (200, b'{"Result": true}', *UNKNOWN, Reason.UNDECODABLE),
    (200, b'{"Result": true, "StatusCode": null}', *UNKNOWN, Reason.UNDECODABLE),
    (200, refusal("000", result="true"), *UNKNOWN, Reason.UNDECODABLE),
    (200, refusal(0, result=True), *UNKNOWN, Reason.UNDECODABLE),
    (200, refusal("022", result=True), *UNKNOWN, Reason.CONTRADICTORY),
    (200, refusal("000", result=False), *UNKNOWN, Reason.CONTRADICTORY),
]

# facts.md, "Status codes that a push can meet", and two of other services.
CODES = [
    *((code, *UNKNOWN, Reason.HUB_TROUBLE) for code in ("001", "002", "009", "021", "310", "320")),
    ("017", *BY_ACCOUNT, Reason.UNAUTHORIZED),
    ("210", *BY_ACCOUNT, Reason.NO_CONTRACT),
    ("300", *BY_ACCOUNT, Reason.PARTNER_NOT_FOUND),
    *((code, *BY_RECORD, Reason.INVALID_RECORD) for code in ("018", "022", "603", "604")),
    *((code, *BY_RECORD, Reason.REFUSED) for code in ("102", "999")),
]


@pytest.mark.parametrize(("http_status", "body", "effect", "scope", "reason"), ANSWERS)
def test_each_answer_of_the_protocol_is_judged(
    http_status: int, body: bytes, effect: Effect, scope: Scope, reason: Reason | None
) -> None:
    verdict = classify(answered(http_status, body), 3)
    assert (verdict.effect, verdict.scope, verdict.reason) == (effect, scope, reason)


@pytest.mark.parametrize(("code", "effect", "scope", "reason"), CODES)
def test_each_status_code_of_a_refusal_is_judged(code: str, effect: Effect, scope: Scope, reason: Reason) -> None:
    verdict = classify(answered(200, refusal(code, "words")), 3)
    assert (verdict.effect, verdict.scope, verdict.reason, verdict.code) == (effect, scope, reason, code)
    assert verdict.detail == "words"


def test_named_details_of_a_refusal_become_plain_words() -> None:
    errors = [{"fieldReference": "evseId", "errorMessage": "the operator's own"}, {"fieldReference": {"deep": [1]}}]
    body = json.dumps({"message": "Error parsing", "validationErrors": errors}).encode()
    wanted = "Error parsing, fieldReference: evseId, errorMessage: the operator's own; fieldReference: …"
    assert classify(answered(400, body), 3).detail == wanted


@pytest.mark.parametrize(
    ("fault", "progress", "effect", "scope", "reason"),
    [
        (TransportFault.DEADLINE_BEFORE_SEND, Progress.NOT_SENT, Effect.NOT_APPLIED, Scope.NONE, Reason.NOT_SENT),
        (TransportFault.WITHHELD, Progress.NOT_SENT, Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.CERTIFICATE),
        (TransportFault.CONNECT, Progress.NOT_SENT, Effect.NOT_APPLIED, Scope.HUB, Reason.CONNECT),
        (TransportFault.TLS_HANDSHAKE, Progress.NOT_SENT, Effect.NOT_APPLIED, Scope.HUB, Reason.TLS),
        (TransportFault.TLS_ALERT, Progress.SENT, Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.CERTIFICATE),
        (TransportFault.CUT, Progress.PARTLY_SENT, Effect.NOT_APPLIED, Scope.HUB, Reason.CUT),
        (TransportFault.TIMEOUT, Progress.PARTLY_SENT, Effect.NOT_APPLIED, Scope.HUB, Reason.TIMEOUT),
        (TransportFault.CUT, Progress.SENT, Effect.UNKNOWN, Scope.HUB, Reason.CUT),
        (TransportFault.TIMEOUT, Progress.SENT, Effect.UNKNOWN, Scope.HUB, Reason.TIMEOUT),
    ],
)
def test_only_a_body_handed_over_completely_can_have_been_applied(
    fault: TransportFault, progress: Progress, effect: Effect, scope: Scope, reason: Reason
) -> None:
    verdict = classify(Answer(progress, fault, "words of the library"), 1)
    assert (verdict.effect, verdict.scope, verdict.reason) == (effect, scope, reason)


def test_an_acknowledgement_that_came_before_the_request_was_sent_is_not_believed() -> None:
    verdict = classify(Answer(Progress.PARTLY_SENT, http_status=200, body=DONE), 1)
    assert judged(verdict) == UNKNOWN


def test_an_answer_longer_than_the_cap_is_unknown_even_if_its_beginning_reads_well() -> None:
    assert judged(classify(answered(200, DONE, truncated=True), 1)) == UNKNOWN


def test_the_records_that_the_hub_names_are_found_by_index() -> None:
    body = named(
        "operatorEvseStatus.evseStatusRecord[7].evseId",
        "OperatorEvseStatus.EvseStatusRecord[2].EvseStatus",
        "operatorEvseStatus.evseStatusRecord[2].evseStatus",
        "operatorEvseStatus.evseStatusRecord[10].evseId",
        "operatorEvseStatus.evseStatusRecord[-1].evseId",
        "operatorEvseStatus.operatorName",
        None,
        [3],
    )
    assert classify(answered(400, body), 10).bad_records == (2, 7)


@pytest.mark.parametrize("errors", [{}, "x", 7, None, [None], ["evseStatusRecord[0]"], [{"fieldReference": {}}], [[]]])
def test_validation_errors_of_any_other_shape_name_nobody(errors: object) -> None:
    verdict = classify(answered(400, json.dumps({"validationErrors": errors}).encode()), 10)
    assert verdict.bad_records == ()
    assert judged(verdict) == BY_RECORD


@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [
        ("022", "EVSE already exists: DE*ABC*E1", ExistenceHint.EXISTS),
        ("022", "EVSE does not exist: DE*ABC*E1", ExistenceHint.MISSING),
        ("022", "EvseStatusRecord not found", ExistenceHint.MISSING),
        ("603", "Unknown EVSE ID", ExistenceHint.MISSING),
        ("022", "Data error", None),
        ("022", "Partner not found", None),
        ("022", "no contract exists", None),
    ],
)
def test_only_words_about_a_record_say_something_about_its_existence(
    code: str, words: str, hint: ExistenceHint | None
) -> None:
    assert classify(answered(200, refusal(code, words)), 1).existence is hint


@given(st.sampled_from([200, 400, 401, 403, 404, 408, 429, 500, 503]), st.binary(max_size=300))
@example(200, b"[" * 100_000)
@example(400, b'{"validationErrors":' * 50_000)
@example(200, b'{"Result": true, "StatusCode": ' + b"9" * 10_000 + b"}")
@example(200, b"\xef\xbb\xbf" + DONE[:20])
@example(200, b"\xff\xfe\x00")
def test_no_body_whatever_is_an_acknowledgement_or_an_error_of_ours(http_status: int, body: bytes) -> None:
    verdict = classify(answered(http_status, body), 5)
    assert verdict.effect is not Effect.APPLIED
    assert verdict.reason is not None
    assert all(0 <= index < 5 for index in verdict.bad_records)
    assert verdict.detail is None or len(verdict.detail) < 250


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["000", "022", "017"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Result", "StatusCode", "Code", "Description", "validationErrors", "fieldReference"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([200, 400, 401, 404]), json_values)
def test_only_a_true_result_with_code_000_is_an_acknowledgement(http_status: int, document: object) -> None:
    verdict = classify(answered(http_status, json.dumps(document).encode()), 5)
    if verdict.effect is Effect.APPLIED:
        assert http_status == 200
        assert isinstance(document, dict)
        assert document["Result"] is True
        assert document["StatusCode"]["Code"] == "000"


def test_a_refusal_of_ten_megabytes_is_judged_and_its_words_are_cut() -> None:
    verdict = classify(answered(200, refusal("022", "x" * 10_000_000)), 5)
    assert judged(verdict) == BY_RECORD
    assert verdict.detail is not None
    assert len(verdict.detail) < 250
    assert judged(classify(answered(200, b"<" * 10_000_000), 5)) == UNKNOWN


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("", None),
        ("7", timedelta(seconds=7)),
        (" 120 ", timedelta(seconds=120)),
        ("0", timedelta()),
        ("901", RETRY_AFTER_CAP),
        ("1000000000000", RETRY_AFTER_CAP),
        ("9" * 5000, RETRY_AFTER_CAP),
        ("-5", None),
        ("1.5", None),
        ("1e12", None),
        ("soon", None),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", None),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(NOON - timedelta(days=1), usegmt=True), timedelta()),
        (format_datetime(NOON + timedelta(days=1), usegmt=True), RETRY_AFTER_CAP),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_by_the_hubs_clock(header: str | None, wanted: timedelta) -> None:
    assert parse_retry_after(header, NOON) == wanted


def test_a_retry_after_date_without_a_date_of_the_answer_says_nothing() -> None:
    assert parse_retry_after(format_datetime(NOON, usegmt=True), None) is None


@given(
    st.text(max_size=60) | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} [\d:]{0,9} ?[-+A-Z\d]{0,6}\Z")
)
def test_no_retry_after_header_is_an_error_of_ours_or_an_absurd_wait(header: str) -> None:
    wait = parse_retry_after(header, NOON)
    assert wait is None or timedelta() <= wait <= RETRY_AFTER_CAP


@pytest.mark.parametrize(("http_status", "wanted"), [(429, 7), (503, 7), (401, None), (404, None)])
def test_retry_after_counts_where_the_hub_asks_everyone_to_wait(http_status: int, wanted: int | None) -> None:
    wait = classify(answered(http_status, retry_after="7"), 1).retry_after
    assert wait == (None if wanted is None else timedelta(seconds=wanted))


@pytest.mark.parametrize("status", [400, 495, 496])
@pytest.mark.parametrize("said", [b"The SSL certificate error", b"No required SSL certificate was sent"])
def test_a_front_proxys_page_about_our_certificate_is_about_the_account_and_no_record(status: int, said: bytes) -> None:
    page = b"<html>\r\n<head><title>400 " + said + b"</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
    verdict = classify(answered(status, page), 3)
    assert (verdict.effect, verdict.scope, verdict.reason) == (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.CERTIFICATE)
    assert verdict.bad_records == ()


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, b'{"message": "no SSL certificate in evse"}'), (400, HTML), (502, b"<html>SSL certificate</html>")],
)
def test_what_only_looks_like_such_a_page_is_judged_as_before(status: int, body: bytes) -> None:
    assert classify(answered(status, body), 3).reason is not Reason.CERTIFICATE
