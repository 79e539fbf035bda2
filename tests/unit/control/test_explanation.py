"""Why an EVSE is shown as it is, in sentences."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.control.evse_document import evse_document
from oicp_adapter.control.explanation import explain_evse, explain_removed
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId
from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.evses import EvseOverview, EvseState, RemovedRow
from oicp_adapter.sync.model import Entry, Position

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAME = EvseId("DE*ABC*E1")
UNLED = Position()
LED = Position(holder="host/17", expires_at=NOW + timedelta(seconds=20))
HELD = replace(LED, hold_reason="unauthorized", hold_detail="017 Unauthorized Access", failures=3)


def seen(state: EvseState, technical: str = "Available", *, position: Position = UNLED, **facts) -> EvseOverview:
    return EvseOverview(
        evse_id=NAME,
        operator_id=OperatorId("DE*ABC"),
        lane="DEABC",
        technical=technical,
        changed_at=NOW - timedelta(hours=3),
        windows=(),
        resolution=resolve(technical, (), NOW, StatusMapping()),
        rejected=None,
        entry=Entry(CanonicalEvseId("DEABCE1"), NAME, **facts),
        position=position,
        state=state,
        now=NOW,
    )


def told(overview: EvseOverview) -> str:
    return " ".join(explain_evse(overview))


@pytest.mark.parametrize("doubted_at", [None, NOW])
def test_a_wait_of_its_own_names_the_next_attempt(doubted_at):
    later = NOW + timedelta(minutes=7)
    waiting = seen(EvseState.QUARANTINED, doubted_at=doubted_at, retry_at=later)
    assert "the next attempt is at 2026-05-01 12:07:00" in told(waiting)
    assert "is tried with the next request" in told(seen(EvseState.QUARANTINED, doubted_at=doubted_at, retry_at=NOW))
    assert "attempt" not in told(seen(EvseState.IN_DOUBT, doubted_at=NOW))


def test_a_debt_that_is_due_is_not_told_as_one_of_the_future():
    assert "once more after 2026-05-01 12:07:00" in told(seen(EvseState.IN_SYNC, debt_at=NOW + timedelta(minutes=7)))
    assert "asserted once more." in told(seen(EvseState.IN_SYNC, debt_at=NOW))


@pytest.mark.parametrize("state", [EvseState.PENDING, EvseState.IN_DOUBT, EvseState.QUARANTINED])
def test_what_keeps_the_lane_from_sending_is_told_where_the_hub_is_behind(state):
    text = told(seen(state, position=replace(HELD, wait_until=NOW + timedelta(minutes=7))))
    assert "host/17 leads it; it is held (unauthorized, 017 Unauthorized Access)" in text
    assert "it sends nothing before 2026-05-01 12:07:00 after 3 failed requests in a row" in text
    assert "no process leads it" in told(seen(state))
    assert told(seen(state, position=LED)).endswith("Its lane: host/17 leads it.")
    assert "lane" not in told(seen(EvseState.IN_SYNC, position=HELD))


def test_the_document_gives_the_hold_of_the_lane_as_the_reason_unless_there_is_a_nearer_one():
    assert evse_document(seen(EvseState.PENDING, position=HELD))["reason"] == (
        "lane held: unauthorized: 017 Unauthorized Access"
    )
    nearer = seen(EvseState.PENDING, position=HELD, refusal="record_refused")
    assert evse_document(nearer)["reason"] == "record_refused"
    assert evse_document(seen(EvseState.IN_SYNC, position=HELD))["reason"] is None
    assert evse_document(seen(EvseState.PENDING, position=LED))["reason"] is None


def test_a_lost_full_load_is_no_doubt_since_now():
    text = told(seen(EvseState.IN_DOUBT))
    assert "full load that was not answered" in text
    assert "since now" not in text


def test_what_the_hub_said_is_told():
    refused = seen(
        EvseState.QUARANTINED,
        retry_at=NOW + timedelta(hours=1),
        failures=3,
        refusal="record_refused",
        refusal_detail="Validation failed, fieldReference: evseId, errorMessage: unknown",
    )
    wanted = "Validation failed, fieldReference: evseId, errorMessage: unknown"
    assert wanted in told(refused)
    assert evse_document(refused)["reason"] == f"record_refused: {wanted}"


def test_a_removed_row_says_whether_it_ever_was_at_the_hub():
    never = list(explain_removed(RemovedRow(NAME, NOW, None)))
    assert never == [
        "The row of DE*ABC*E1 says Removed since 2026-05-01 12:00:00.",
        "It was never at the hub, so there is nothing to withdraw.",
    ]
    gone = " ".join(explain_removed(RemovedRow(NAME, None, NOW)))
    assert gone == "The row of DE*ABC*E1 says Removed. Hubject confirmed its withdrawal at 2026-05-01 12:00:00."


@pytest.mark.parametrize("length", [1, 200, 201, 10_000])
def test_a_long_word_of_a_charger_is_cut_in_the_document_and_says_so(length: int):
    shown = evse_document(seen(EvseState.PENDING, "x" * length))["technicalStatus"]
    assert shown == ("x" * length if length <= 200 else f"{'x' * 200}… ({length} characters)")


def test_the_document_says_since_when():
    document = evse_document(seen(EvseState.IN_SYNC, acknowledged_at=NOW))
    assert (document["changedAt"], document["acknowledgedAt"]) == (NOW - timedelta(hours=3), NOW)
