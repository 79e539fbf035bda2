"""What a lane writes into its books is what it reads there afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.sync.model import Action, Entry, Intent, Position, Presence, Record, Rejected, Rejection

INSTANTS = st.none() | st.integers(0, 630_000_000_000_000).map(
    lambda microseconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
ENTRIES = st.builds(
    Entry,
    canonical=st.sampled_from(["DEABCE1", "DEABCE2", "x'\"; --", "ä"]).map(CanonicalEvseId),
    evse_id=st.sampled_from(["DE*ABC*E1", "De*abc*E1"]).map(EvseId),
    acknowledged=st.none() | st.sampled_from(OicpStatus),
    acknowledged_at=INSTANTS,
    acknowledged_since=INSTANTS,
    asserted_at=INSTANTS,
    presence=st.sampled_from(Presence),
    doubted_at=INSTANTS,
    debt_at=INSTANTS,
    pending_since=INSTANTS,
    withdrawn_at=INSTANTS,
    held_since=INSTANTS,
    approved_at=INSTANTS,
    approved_by=st.none() | st.just("ann"),
    failures=st.integers(0, 1000),
    first_failed_at=INSTANTS,
    retry_at=INSTANTS,
    refusal=st.none() | st.just("refused"),
    refusal_detail=st.none() | st.just("no such thing"),
    refused_status=st.none() | st.sampled_from(OicpStatus),
    batch_cap=st.none() | st.integers(1, 1000),
    flipped=st.booleans(),
    failed_singly=st.integers(0, 9),
    attempt=st.integers(0, 2**40),
    due_at=INSTANTS,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.canonical), later=st.lists(ENTRIES, max_size=1)
)
def test_ledger_rows_come_back_as_they_were_saved(lane: LaneStore, entries: list[Entry], later: list[Entry]):
    with lane.transaction() as books:
        books.save(entries)
        books.save(later)
        expected = {entry.canonical: entry for entry in (*entries, *later)}
        assert books.entries(list(expected)) == expected
        books.forget(list(expected))
        assert books.entries(list(expected)) == {}


def test_the_position_and_the_intent_come_back_as_they_were_saved(lane: LaneStore):
    at = datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
    position = Position(
        epoch=3,
        holder="host/1",
        expires_at=at,
        attempt=7,
        silent_until=at,
        wait_until=at,
        failures=2,
        hold_reason="unauthorized",
        hold_detail="no",
        last_success_at=at,
        refused_streak=4,
        flip_first=True,
        after_suspect=True,
        doubted_before=at,
        debt_at=at,
        paced_at=at,
        full_load_at=at,
        full_load_tried_at=at,
        full_load_requested_at=at,
        full_load_requested_by="ann",
    )
    record = Record(CanonicalEvseId("DEABCE1"), EvseId("DE*ABC*E1"), OicpStatus.AVAILABLE)
    intent = Intent(3, 7, Action.UPDATE, (record,), at, at + timedelta(seconds=1), suspect=True)
    with lane.transaction() as books:
        assert (books.position, books.intent) == (Position(), None)
        books.save_position(position)
        books.write_intent(intent)
        assert (books.position, books.intent) == (position, intent)
    assert lane.position()[0] == position
    with lane.transaction() as books:
        assert (books.position, books.intent) == (position, intent)
        books.write_intent(replace(books.intent, epoch=4))  # as who distrusts the store does
    with lane.transaction() as books:
        assert books.intent == replace(intent, epoch=4)
        assert books.intent != replace(intent, epoch=4, records=())
        books.clear_intent()
    with lane.transaction() as books:
        assert books.intent is None


def test_rejections_are_exactly_what_was_judged_last(lane: LaneStore, sql):
    def rejected(evse_id: str, reason: Rejection, detail: str = "why") -> Rejected:
        return Rejected(EvseId(evse_id), CanonicalEvseId("K"), "DE*ABC", reason, detail)

    stored = "SELECT evse_id, reason, since FROM oicp_rejection ORDER BY evse_id"
    with lane.transaction() as books:
        books.replace_rejections(
            ["K"], [rejected("a", Rejection.DUPLICATE), rejected("b", Rejection.MALFORMED_EVSE_ID)]
        )
    first = sql(stored)
    with lane.transaction() as books:
        books.replace_rejections(["K"], [rejected("b", Rejection.MALFORMED_EVSE_ID, "other words")])
    assert [tuple(row) for row in sql(stored)] == [tuple(first[1])]
    with lane.transaction() as books:
        books.replace_rejections(["other"], [])
    assert len(sql(stored)) == 1
    with lane.transaction() as books:
        books.replace_rejections(["K"], [])
    assert sql(stored) == []


def test_saving_nothing_does_nothing(lane: LaneStore):
    with lane.transaction() as books:
        books.save([])
        books.forget([])
        books.replace_rejections([], [])
        books.consume_hints()
        assert books.entries([]) == {}
        assert books.observe_these([]) == []


def test_entries_of_another_lane_are_not_touched(lane: LaneStore, other_lane: LaneStore, present):
    with lane.transaction() as books:
        books.save([entry := present("DE*ABC*E1", books.now)])
    with other_lane.transaction() as books:
        books.save([replace(entry, attempt=9)])
        books.forget(["DEABCE1"])
    with lane.transaction() as books:
        assert books.entries(["DEABCE1"]) == {"DEABCE1": entry}
