import gzip
import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import (
    KINDS,
    NO_EFFECT,
    Applying,
    Delivery,
    Effect,
    Fault,
    FaultKind,
    PoisonAnswer,
    Request,
    choose,
    effect_of,
    matches,
)
from oicp_adapter.simulator.wire import HubAnswer, Malformed, Push, read_push
from oicp_adapter.sync.answers import Answer, Progress, Verdict
from oicp_adapter.sync.answers import Effect as Outcome
from oicp_adapter.sync.classify import classify


def request(*evse_ids: str, action: str = "update", operator: str = "DE*ABC") -> Request:
    records = [{"EvseID": evse_id, "EvseStatus": "Available"} for evse_id in evse_ids or ("DE*ABC*E1",)]
    document = {"ActionType": action, "OperatorEvseStatus": {"OperatorID": operator, "EvseStatusRecord": records}}
    read = read_push(json.dumps(document).encode())
    assert isinstance(read, Push)
    return Request(operator, read)


def fault(kind: str, **details: object) -> Fault:
    needed = {"poison": {"evse_id": "DE*ABC*E1"}, "overwrite": {"evse_id": "DE*ABC*E1", "status": "Unknown"}}
    return Fault.model_validate({"kind": kind, **needed.get(kind, {}), **details})


def effect(kind: str, *evse_ids: str, **details: object) -> Effect:
    return effect_of(fault(kind, **details), request(*evse_ids))


def answer(kind: str, *evse_ids: str, **details: object) -> HubAnswer:
    made = effect(kind, *evse_ids, **details).answer
    assert made is not None
    return made


def judged(kind: str, **details: object) -> Verdict:
    made = answer(kind, **details)
    seen = Answer(
        Progress.SENT,
        http_status=made.http_status,
        body=made.body,
        retry_after=made.headers.get("Retry-After"),
    )
    return classify(seen, 1)


def test_every_kind_has_an_entry_and_says_its_name():
    assert set(KINDS) == set(FaultKind)
    assert [effect(kind).kind for kind in FaultKind] == list(FaultKind)


@pytest.mark.parametrize(
    ("kind", "applying", "delivery"),
    [
        ("answer_lost", Applying.NOW, Delivery.CUT),
        ("never_applied", Applying.NEVER, Delivery.SILENT),
        ("late_apply", Applying.LATER, Delivery.CUT),
        ("double_apply", Applying.TWICE, Delivery.WHOLE),
        ("http_status", Applying.NOW, Delivery.WHOLE),
        ("status_code", Applying.NEVER, Delivery.WHOLE),
        ("drip", Applying.NOW, Delivery.DRIP),
        ("enormous", Applying.NOW, Delivery.ENORMOUS),
        ("cut_mid_body", Applying.NOW, Delivery.CUT_MID_BODY),
        ("rate_limited", Applying.NEVER, Delivery.WHOLE),
        ("refuse_everything", Applying.NEVER, Delivery.WHOLE),
        ("unauthorized", Applying.NEVER, Delivery.WHOLE),
        ("html_403", Applying.NEVER, Delivery.WHOLE),
        ("not_found_300", Applying.NEVER, Delivery.WHOLE),
        ("close_idle", Applying.NOW, Delivery.WHOLE),
        ("delay", Applying.NOW, Delivery.WHOLE),
    ],
)
def test_a_kind_applies_and_delivers_as_its_name_says(kind, applying, delivery):
    struck = effect(kind)
    assert (struck.applying, struck.delivery) == (applying, delivery)


@pytest.mark.parametrize("kind", ["truncated", "html", "empty", "contradictory", "http_status"])
def test_an_answer_that_cannot_be_relied_on_leaves_the_adapter_in_doubt(kind):
    assert judged(kind).effect is Outcome.UNKNOWN


@pytest.mark.parametrize("kind", ["rate_limited", "refuse_everything", "unauthorized", "html_403", "not_found_300"])
def test_a_refusal_is_understood_as_not_applied_and_is_not(kind):
    assert judged(kind).effect is Outcome.NOT_APPLIED
    assert effect(kind).applying is Applying.NEVER


def test_a_fault_may_say_whether_and_when_the_request_is_applied():
    late = effect("http_status", http_status=504, applied="later", delay=3)
    assert (late.applying, late.late_by) == (Applying.LATER, timedelta(seconds=3))
    assert late.answer is not None
    assert late.answer.http_status == 504
    assert effect("status_code", code="002", applied="partly").applying is Applying.PARTLY


def test_a_late_application_may_leave_the_client_waiting():
    assert effect("late_apply", silent=True).delivery is Delivery.SILENT


def test_a_contradiction_goes_either_way():
    made = [json.loads(answer("contradictory", result=result).body) for result in (True, False)]
    assert [(body["Result"], body["StatusCode"]["Code"]) for body in made] == [(True, "022"), (False, "000")]


def test_a_gzip_bomb_unpacks_to_its_size_and_is_small():
    bomb = answer("gzip_bomb", size=1_000_000)
    assert len(bomb.body) < 10_000
    assert len(gzip.decompress(bomb.body)) == 1_000_000


def test_the_text_of_retry_after_goes_out_as_it_was_given():
    assert answer("rate_limited", retry_after="1e12").headers["Retry-After"] == "1e12"
    assert "Retry-After" not in answer("rate_limited").headers


@pytest.mark.parametrize(
    ("poison", "named"), [("index_right", [2]), ("index_wrong", [1]), ("index_absent", [])], ids=str
)
def test_a_poison_names_the_right_record_the_wrong_one_or_none(poison, named):
    made = answer("poison", "DE*ABC*E0", "DE*ABC*E9", "DEABCE1", evse_id="DE*ABC*E1", poison=poison)
    verdict = classify(Answer(Progress.SENT, http_status=made.http_status, body=made.body), 3)
    assert list(verdict.bad_records) == named


@pytest.mark.parametrize(("poison", "status"), [("018", 200), ("022", 200), ("500", 500)])
def test_a_poison_may_be_refused_by_code_or_break_the_hub(poison, status):
    made = answer("poison", poison=poison)
    assert (made.http_status, made.code or "500") == (status, poison)


def test_a_poison_may_hang_the_hub():
    struck = effect("poison", poison=PoisonAnswer.HANG)
    assert (struck.applying, struck.delivery) == (Applying.NEVER, Delivery.SILENT)


@pytest.mark.parametrize(
    ("details", "strikes"),
    [
        ({}, True),
        ({"operator": "DEABC"}, True),
        ({"operator": "NL*XYZ"}, False),
        ({"action": "update"}, True),
        ({"action": "delete"}, False),
        ({"evse_id": "DE*ABC*E1"}, True),
        ({"evse_id": "deabcE1"}, True),
        ({"evse_id": "DE*ABC*E2"}, False),
    ],
)
def test_a_fault_strikes_what_it_is_meant_for(details, strikes):
    assert matches(fault("html", **details), request("DE*ABC*E1")) is strikes


def test_only_a_fault_for_any_request_strikes_one_that_was_not_understood():
    garbled = Request("DE*ABC", Malformed(()))
    assert matches(fault("html"), garbled)
    assert not matches(fault("html", action="update"), garbled)
    assert not matches(fault("html", evse_id="DE*ABC*E1"), garbled)


def test_the_first_fault_that_matches_strikes_alone():
    faults = [fault("html", action="delete"), fault("empty"), fault("html")]
    assert choose(faults, request(), lambda _place: 0.0) == 1


def test_a_fault_that_is_not_certain_is_drawn():
    faults = [fault("html", probability=0.3)]
    assert choose(faults, request(), lambda _place: 0.29) == 0
    assert choose(faults, request(), lambda _place: 0.3) is None


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "no_such_fault"},
        {"kind": "html", "colour": "red"},
        {"kind": "poison"},
        {"kind": "overwrite", "evse_id": "DE*ABC*E1"},
        {"kind": "html", "probability": 2},
        {"kind": "html", "count": 0},
        {"kind": "enormous", "size": 10**12},
        {"kind": "delay", "delay": -1},
        {"kind": "status_code", "code": "9"},
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused(document):
    with pytest.raises(ValidationError):
        Fault.model_validate(document)


def test_a_counted_fault_is_over_after_its_count_and_then_the_next_one_strikes():
    book = FaultBook()
    first = book.add(fault("html", count=2))
    book.add(fault("empty"))
    assert [book.strike(request()).kind for _ in range(3)] == ["html", "html", "empty"]
    assert book.struck(first) == 2


def test_without_faults_nothing_strikes():
    book = FaultBook()
    assert book.strike(request()) is NO_EFFECT
    number = book.add(fault("html"))
    assert (book.remove(number), book.remove(number)) == (True, False)
    assert book.strike(request()) is NO_EFFECT
    book.add(fault("html"))
    book.clear()
    assert book.strike(request()) is NO_EFFECT


def test_the_same_seed_strikes_the_same_requests():
    def struck(seed: int) -> list[bool]:
        book = FaultBook()
        book.add(fault("html", probability=0.5, seed=seed))
        return [book.strike(request()).kind is not None for _ in range(64)]

    assert struck(7) == struck(7)
    assert struck(7) != struck(8)
    assert 10 < sum(struck(7)) < 54


def test_the_book_lists_its_faults_as_they_were_injected():
    book = FaultBook()
    book.add(fault("delay", delay=1.5))
    book.strike(request())
    shown = json.loads(json.dumps(book.as_json()))[0]
    assert (shown["id"], shown["struck"], shown["kind"]) == (1, 1, "delay")
