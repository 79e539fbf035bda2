import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.simulator.faults import Afterwards, Applying, Delivery, Effect
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.simulator.wire import HubAnswer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPERATOR = "DE*ABC"
PROCESS_ID = "878be4b8-3640-461f-9316-d58aa948230b"


def body(action: str, records: Iterable[tuple[str, str]], operator: str = OPERATOR) -> bytes:
    wire = [{"EvseID": evse_id, "EvseStatus": status} for evse_id, status in records]
    return json.dumps(
        {"ActionType": action, "OperatorEvseStatus": {"OperatorID": operator, "EvseStatusRecord": wire}}
    ).encode()


def send(
    hub: Hub,
    action: str,
    *records: tuple[str, str],
    operator: str = OPERATOR,
    certificate: frozenset[str] | None = None,
    now: datetime = NOW,
    effect: Effect | None = None,
) -> HubAnswer:
    return hub.push(
        operator, certificate, body(action, records, operator), now, process_id=PROCESS_ID, effect=effect or Effect()
    )


def strict(**options: object) -> Hub:
    return Hub(HubOptions(**options))


def lenient() -> Hub:
    return Hub(HubOptions(strict=False))


def acknowledged(answer: HubAnswer) -> bool:
    document = json.loads(answer.body)
    return answer.http_status == 200 and document["Result"] is True and document["StatusCode"]["Code"] == "000"


def refused_with(answer: HubAnswer, code: str) -> bool:
    document = json.loads(answer.body)
    return answer.http_status == 200 and document["Result"] is False and document["StatusCode"]["Code"] == code


def test_an_insert_into_a_strict_hub_is_held_and_acknowledged_with_the_documented_body():
    hub = strict()
    answer = send(hub, "insert", ("DE*ABC*E1", "Available"))
    assert json.loads(answer.body) == {
        "Result": True,
        "StatusCode": {"Code": "000", "Description": None, "AdditionalInfo": None},
        "SessionID": None,
        "CPOPartnerSessionID": None,
        "EMPPartnerSessionID": None,
    }
    assert answer.headers["Process-ID"] == PROCESS_ID
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Available"}


def test_a_strict_insert_with_one_existing_evse_inserts_nothing():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"))
    assert refused_with(send(hub, "insert", ("DE*ABC*E2", "Available"), ("DEABCE1", "Occupied")), "022")
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Available"}


def test_a_strict_update_with_one_unknown_evse_updates_nothing():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"))
    assert refused_with(send(hub, "update", ("DE*ABC*E1", "Occupied"), ("DE*ABC*E2", "Occupied")), "022")
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Available"}


@pytest.mark.parametrize("action", ["insert", "update"])
def test_a_lenient_hub_takes_insert_and_update_for_what_exists_and_what_does_not(action):
    hub = lenient()
    send(hub, "insert", ("DE*ABC*E1", "Available"))
    assert acknowledged(send(hub, action, ("DE*ABC*E1", "Occupied"), ("DE*ABC*E2", "Reserved")))
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Occupied", "DEABCE2": "Reserved"}


def test_a_full_load_replaces_everything_and_an_empty_one_deletes_everything():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"), ("DE*ABC*E2", "Available"))
    send(hub, "fullLoad", ("DE*ABC*E2", "Occupied"), ("DE*ABC*E3", "Unknown"))
    assert hub.statuses(OPERATOR) == {"DEABCE2": "Occupied", "DEABCE3": "Unknown"}
    assert acknowledged(send(hub, "fullLoad"))
    assert hub.statuses(OPERATOR) == {}


def test_a_full_load_leaves_other_operators_alone():
    hub = strict()
    send(hub, "insert", ("NL*XYZ*E1", "Available"), operator="NL*XYZ")
    send(hub, "fullLoad")
    assert hub.statuses("NL*XYZ") == {"NLXYZE1": "Available"}


def test_a_delete_of_the_unknown_is_accepted_unless_asked_otherwise():
    assert acknowledged(send(strict(), "delete", ("DE*ABC*E1", "Unknown")))
    assert refused_with(send(strict(refuse_unknown_deletes=True), "delete", ("DE*ABC*E1", "Unknown")), "022")


def test_a_delete_in_another_spelling_deletes_the_charging_spot():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1*2", "Available"))
    assert acknowledged(send(hub, "delete", ("deabcE12", "Unknown")))
    assert hub.statuses(OPERATOR) == {}


def test_a_refusal_explains_existence_only_when_asked_to():
    quiet, plain = strict(), strict(explain_refusals=True)
    for hub in (quiet, plain):
        send(hub, "insert", ("DE*ABC*E1", "Available"))
    answers = [send(hub, "insert", ("DE*ABC*E1", "Available")) for hub in (quiet, plain)]
    said = [json.loads(answer.body)["StatusCode"]["AdditionalInfo"] for answer in answers]
    assert said == [None, "EVSE already exists: DE*ABC*E1"]
    missing = json.loads(send(plain, "update", ("DE*ABC*E9", "Available")).body)
    assert missing["StatusCode"]["AdditionalInfo"] == "EVSE does not exist: DE*ABC*E9"


def test_two_spellings_of_one_evse_in_a_request_are_inconsistent():
    hub = lenient()
    assert refused_with(send(hub, "insert", ("DE*ABC*E1", "Available"), ("DEABCE1", "Available")), "018")
    assert hub.statuses(OPERATOR) == {}


def test_a_foreign_operator_inside_an_evse_id_is_inconsistent():
    assert refused_with(send(strict(), "insert", ("DE*XYZ*E1", "Available")), "018")
    assert refused_with(send(strict(), "insert", ("+49*810*1", "Available")), "018")


def test_a_hub_operator_pushes_the_evses_of_its_sub_operators_under_its_own_id():
    hub = strict(partners={OPERATOR: frozenset({"DE*XYZ", "+49*810"})})
    assert acknowledged(send(hub, "insert", ("DEXYZE1", "Available"), ("49*810*000*438", "Occupied")))
    assert hub.statuses(OPERATOR) == {"DEXYZE1": "Available", "49810000438": "Occupied"}


def test_the_certificate_is_compared_with_the_operator_id_as_text():
    hub = strict()
    named = frozenset({"DEABC"})
    answer = send(hub, "insert", ("DE*ABC*E1", "Available"), certificate=named)
    assert answer.http_status == 401
    assert json.loads(answer.body) == {
        "StatusCode": {"Code": "017", "Description": "Unauthorized Access", "AdditionalInfo": None}
    }
    assert acknowledged(send(hub, "insert", ("DE*ABC*E1", "Available"), operator="DEABC", certificate=named))


def test_an_unknown_partner_is_not_found():
    hub = strict(partners={"NL*XYZ": frozenset()})
    answer = send(hub, "insert", ("DE*ABC*E1", "Available"))
    assert (answer.http_status, json.loads(answer.body)["StatusCode"]["Code"]) == (404, "300")
    assert "Result" not in json.loads(answer.body)


def test_an_operator_in_the_url_that_differs_from_the_body_is_not_found():
    answer = strict().push("DEABC", None, body("insert", []), NOW, process_id=PROCESS_ID)
    assert (answer.http_status, answer.code) == (404, "300")


def test_a_malformed_record_is_named_by_its_index_and_nothing_is_performed():
    hub = strict()
    answer = send(hub, "insert", ("DE*ABC*E1", "Available"), ("CH-REP*1", "Available"))
    assert answer.http_status == 400
    errors = json.loads(answer.body)["validationErrors"]
    assert [error["fieldReference"] for error in errors] == ["operatorEvseStatus.evseStatusRecord[1].evseId"]
    assert hub.statuses(OPERATOR) == {}


def test_more_requests_than_the_limit_within_a_rolling_minute_are_refused_until_the_window_moves_on():
    hub = strict(rate_limit=2, retry_after="7")
    answers = [send(hub, "fullLoad", now=NOW + timedelta(seconds=second)) for second in (0, 30, 59, 60)]
    assert [answer.http_status for answer in answers] == [200, 200, 429, 200]
    assert answers[2].headers["Retry-After"] == "7"
    assert hub.journal.peak_per_minute("DEABC") == 3


def test_the_limit_of_one_operator_does_not_slow_another():
    hub = strict(rate_limit=1)
    send(hub, "fullLoad")
    assert acknowledged(send(hub, "fullLoad", operator="NL*XYZ"))


def test_a_request_beyond_the_rate_limit_changes_nothing():
    hub = strict(rate_limit=0)
    assert send(hub, "insert", ("DE*ABC*E1", "Available")).http_status == 429
    assert hub.statuses(OPERATOR) == {}


def test_a_late_application_lands_at_its_own_instant_over_what_came_between():
    hub = strict(history=10)
    send(hub, "insert", ("DE*ABC*E1", "Available"))
    late = Effect(applying=Applying.LATER, late_by=timedelta(seconds=5), delivery=Delivery.CUT)
    send(hub, "update", ("DE*ABC*E1", "Occupied"), effect=late)
    send(hub, "update", ("DE*ABC*E1", "Reserved"), now=NOW + timedelta(seconds=1))
    assert hub.next_due() == NOW + timedelta(seconds=5)
    hub.due(NOW + timedelta(seconds=4))
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Reserved"}
    hub.due(NOW + timedelta(seconds=60))
    assert hub.next_due() is None
    assert [change.at - NOW for change in hub.history("DE*ABC*E1")] == [
        timedelta(),
        timedelta(seconds=1),
        timedelta(seconds=5),
    ]
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Occupied"}


def test_a_late_insert_of_what_exists_by_then_is_refused_by_the_rules_of_that_instant():
    hub = strict()
    late = Effect(applying=Applying.LATER, late_by=timedelta(seconds=5), delivery=Delivery.CUT)
    send(hub, "insert", ("DE*ABC*E1", "Available"), effect=late)
    send(hub, "insert", ("DE*ABC*E1", "Occupied"))
    hub.due(NOW + timedelta(seconds=5))
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Occupied"}


def test_a_request_may_be_applied_twice():
    hub = strict()
    twice = Effect(applying=Applying.TWICE, late_by=timedelta(seconds=5))
    assert acknowledged(send(hub, "fullLoad", ("DE*ABC*E1", "Available"), effect=twice))
    send(hub, "update", ("DE*ABC*E1", "Occupied"))
    hub.due(NOW + timedelta(seconds=5))
    assert hub.statuses(OPERATOR) == {"DEABCE1": "Available"}
    assert len(hub.journal.entries[0].applied_at) == 2


def test_a_request_that_is_never_applied_changes_nothing():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"), effect=Effect(applying=Applying.NEVER, delivery=Delivery.SILENT))
    assert hub.statuses(OPERATOR) == {}
    assert (hub.journal.entries[0].applied, hub.journal.entries[0].answered_at) == (False, None)


@pytest.mark.parametrize(("action", "left"), [("update", {1: "B", 2: "B", 3: "A"}), ("delete", {3: "A"})])
def test_a_part_of_a_request_may_be_applied(action, left):
    words = {"A": "Available", "B": "Occupied"}
    hub = strict()
    send(hub, "insert", *[(f"DE*ABC*E{n}", "Available") for n in (1, 2, 3)])
    send(hub, action, *[(f"DE*ABC*E{n}", "Occupied") for n in (1, 2, 3)], effect=Effect(applying=Applying.PARTLY))
    assert hub.statuses(OPERATOR) == {f"DEABCE{n}": words[word] for n, word in left.items()}


def test_the_hub_may_forget_or_be_overwritten_after_it_acknowledged():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"), ("DE*ABC*E2", "Available"))
    forgets = Effect(afterwards=Afterwards("DE*ABC*E1"))
    assert acknowledged(send(hub, "update", ("DE*ABC*E2", "Occupied"), effect=forgets))
    assert hub.statuses(OPERATOR) == {"DEABCE2": "Occupied"}
    hub.overwrite(OPERATOR, "DEABCE2", "Unknown", NOW)
    assert hub.statuses(OPERATOR) == {"DEABCE2": "Unknown"}
    hub.forget(OPERATOR, None, NOW)
    assert hub.statuses(OPERATOR) == {}


def test_the_hub_remembers_when_a_status_became_another_and_the_spelling_that_came_last():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"))
    later = NOW + timedelta(seconds=9)
    send(hub, "update", ("DEABCE1", "Available"), now=later)
    assert hub.held(OPERATOR)["DEABCE1"] == ("DEABCE1", "Available", NOW)
    send(hub, "update", ("DEABCE1", "Occupied"), now=later)
    assert hub.held(OPERATOR)["DEABCE1"].changed_at == later


def test_two_requests_of_one_operator_in_progress_at_once_are_an_overlap_of_both():
    hub = strict()
    first, other = hub.begin(OPERATOR, NOW), hub.begin("NL*XYZ", NOW)
    second = hub.begin("DEABC", NOW + timedelta(seconds=1))
    assert (first.overlap, second.overlap, other.overlap) == (True, True, False)
    assert hub.journal.counters["overlaps"] == 1


def test_arrivals_are_recorded_with_the_first_byte_when_asked_for():
    hub = strict(arrivals=2)
    send(hub, "insert", *[(f"DE*ABC*E{n}", "Available") for n in (1, 2, 3)])
    assert [arrival.evse_id for arrival in hub.arrivals] == ["DE*ABC*E2", "DE*ABC*E3"]


def test_a_reset_hub_holds_and_schedules_nothing():
    hub = strict()
    send(hub, "insert", ("DE*ABC*E1", "Available"), effect=Effect(applying=Applying.TWICE, late_by=timedelta(1)))
    hub.reset(HubOptions(strict=False))
    assert (hub.operators(), hub.next_due(), list(hub.journal.entries)) == ([], None, [])
    assert not hub.options.strict


statuses = st.sampled_from(["Available", "Reserved", "Occupied", "OutOfService", "Unknown"])
evses = st.sampled_from(["DE*ABC*E1", "DEABCE1", "DE*ABC*E2", "deABCE3", "DE*ABC*E3"])
pushes = st.lists(
    st.tuples(
        st.sampled_from(["fullLoad", "insert", "update", "delete"]),
        st.lists(st.tuples(evses, statuses), max_size=4),
        st.sampled_from(list(Applying)),
    ),
    max_size=12,
)


def replay(requests, *, strictly: bool) -> tuple[Hub, list[HubAnswer]]:
    hub = Hub(HubOptions(strict=strictly))
    answers = []
    for second, (action, records, applying) in enumerate(requests):
        effect = Effect(applying=applying, late_by=timedelta(seconds=2))
        answers.append(send(hub, action, *records, now=NOW + timedelta(seconds=second), effect=effect))
    hub.due(NOW + timedelta(days=1))
    return hub, answers


@given(requests=pushes, strictly=st.booleans())
def test_the_same_requests_at_the_same_instants_leave_the_same_hub(requests, strictly):
    (one, answers), (other, again) = replay(requests, strictly=strictly), replay(requests, strictly=strictly)
    assert one.held(OPERATOR) == other.held(OPERATOR)
    assert answers == again


@given(requests=pushes, strictly=st.booleans())
def test_a_request_that_is_acknowledged_is_performed_whole_and_one_that_is_refused_changes_nothing(requests, strictly):
    hub = Hub(HubOptions(strict=strictly))
    for action, records, _ in requests:
        before = hub.statuses(OPERATOR)
        answer = send(hub, action, *records)
        after = hub.statuses(OPERATOR)
        sent = {evse_id.replace("*", "").upper(): status for evse_id, status in records}
        if not acknowledged(answer):
            assert after == before
        elif action == "delete":
            assert after == {key: status for key, status in before.items() if key not in sent}
        else:
            assert after == (sent if action == "fullLoad" else {**before, **sent})
