from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.domain.identifiers import EvseId, OperatorId, evse_key
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping, TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.assess import Assessment, Circumstances, assess, judge_rows
from oicp_adapter.sync.guard import LONG_SPAN
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Observation,
    Policy,
    Presence,
    Rejection,
    StatusRow,
    WindowEdge,
    Work,
    WorkReason,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
KEYS = frozenset({"DEABC"})
KEY = evse_key("DE*ABC*E1")
AT = Circumstances(NOON, KEYS, StatusMapping(), Policy())
AVAILABLE = Entry(
    KEY,
    EvseId("DE*ABC*E1"),
    acknowledged=OicpStatus.AVAILABLE,
    acknowledged_at=NOON - HOUR,
    asserted_at=NOON - HOUR,
    presence=Presence.PRESENT,
    attempt=7,
)
TOMBSTONE = replace(
    AVAILABLE, acknowledged=None, presence=Presence.ABSENT, withdrawn_at=NOON - HOUR, debt_at=NOON + HOUR
)


def row(status: str = "Available", evse_id: str = "DE*ABC*E1", operator: str = "DE*ABC") -> StatusRow:
    return StatusRow(EvseId(evse_id), OperatorId(operator), status, NOON)


def look(
    entry: Entry | None,
    *rows: StatusRow,
    windows: tuple[Window, ...] = (),
    at: Circumstances = AT,
    changed_at: datetime | None = None,
) -> Assessment:
    return assess(Observation(KEY, rows, windows, entry, changed_at), at)


def work(assessment: Assessment) -> Work:
    assert assessment.work is not None
    return assessment.work


def test_what_the_hub_already_has_needs_nothing_and_is_looked_at_for_the_next_reason() -> None:
    found = look(AVAILABLE, row())
    assert found.work is None
    assert found.entry is not None
    assert found.entry.due_at == NOON - HOUR + Policy().reassert_every
    assert found.entry.pending_since is None


def test_the_next_look_is_at_the_nearest_of_boundary_debt_and_reassertion() -> None:
    window = Window(1, TemporaryStatus.BLOCKED, NOON + SECOND, NOON + HOUR)
    indebted = replace(AVAILABLE, debt_at=NOON + 2 * SECOND)
    assert (look(indebted, row(), windows=(window,)).entry or AVAILABLE).due_at == NOON + SECOND
    assert (look(indebted, row()).entry or AVAILABLE).due_at == NOON + 2 * SECOND


def test_a_new_evse_is_inserted() -> None:
    assert (work(look(None, row())).action, work(look(None, row())).reason) == (Action.INSERT, WorkReason.NEW)


def test_a_changed_evse_is_updated_with_the_value_of_now() -> None:
    found = work(look(AVAILABLE, row("Faulted")))
    assert (found.action, found.reason) == (Action.UPDATE, WorkReason.CHANGED)
    assert found.record.status is OicpStatus.OUT_OF_SERVICE
    assert found.urgent


def test_another_spelling_in_the_store_is_a_change_and_the_new_one_is_sent() -> None:
    found = work(look(AVAILABLE, row(evse_id="DEABCE1")))
    assert (found.reason, found.record.evse_id) == (WorkReason.CHANGED, "DEABCE1")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"doubted_at": NOON}, WorkReason.IN_DOUBT),
        ({"debt_at": NOON}, WorkReason.DEBT),
        ({"asserted_at": NOON - 6 * HOUR}, WorkReason.REASSERTED),
        ({"presence": Presence.ABSENT}, WorkReason.NEW),
    ],
)
def test_an_equal_value_is_pushed_again_in_doubt_for_a_debt_and_for_reassertion(
    changes: dict[str, object], reason: WorkReason
) -> None:
    assert work(look(replace(AVAILABLE, **changes), row())).reason is reason  # type: ignore[arg-type]  # a table's shorthand


def test_a_debt_that_is_ahead_waits_for_its_instant() -> None:
    assert look(replace(AVAILABLE, debt_at=NOON + SECOND), row()).work is None


def test_an_unanswered_full_load_puts_in_doubt_what_was_asserted_before_it_only() -> None:
    at = replace(AT, doubted_before=NOON - HOUR + SECOND)
    assert work(look(AVAILABLE, row(), at=at)).reason is WorkReason.IN_DOUBT
    assert look(AVAILABLE, row(), at=replace(AT, doubted_before=NOON - HOUR)).work is None


def test_a_removed_row_withdraws_and_so_does_the_word_removed() -> None:
    for found in (look(AVAILABLE), look(AVAILABLE, row("Removed"))):
        assert (work(found).action, work(found).reason) == (Action.DELETE, WorkReason.WITHDRAWN)
        assert work(found).record.evse_id == AVAILABLE.evse_id


def test_what_never_reached_the_hub_is_forgotten_without_a_request() -> None:
    assert look(Entry(KEY, EvseId("DE*ABC*E1"), pending_since=NOON)).forget
    assert look(None).entry is None


def test_what_a_lost_full_load_may_have_carried_is_withdrawn_with_a_request() -> None:
    at = replace(AT, doubted_before=NOON)
    registered = Entry(KEY, EvseId("DE*ABC*E1"), pending_since=NOON - SECOND)
    assert work(look(registered, at=at)).action is Action.DELETE
    assert look(replace(registered, pending_since=NOON), at=at).forget


def test_a_tombstone_stays_a_week_and_until_its_debt_is_paid() -> None:
    resting = look(TOMBSTONE)
    assert resting.work is None
    assert resting.entry is not None
    assert resting.entry.due_at == NOON + HOUR
    owed = look(TOMBSTONE, at=replace(AT, now=NOON + HOUR))
    assert (work(owed).action, work(owed).reason) == (Action.DELETE, WorkReason.DEBT)
    paid = replace(TOMBSTONE, debt_at=None)
    assert not look(paid).forget
    week_later = NOON - HOUR + LONG_SPAN
    assert look(replace(paid, asserted_at=week_later - HOUR), at=replace(AT, now=week_later)).forget


def test_a_tombstone_is_deleted_again_at_each_reassertion_of_its_first_day() -> None:
    paid = replace(TOMBSTONE, debt_at=None)
    assert paid.asserted_at is not None
    again = paid.asserted_at + AT.policy.reassert_every
    assert look(paid).entry is not None
    assert look(paid).entry.due_at == again
    found = work(look(paid, at=replace(AT, now=again)))
    assert (found.action, found.reason) == (Action.DELETE, WorkReason.REASSERTED)
    late = replace(paid, asserted_at=NOON - HOUR + timedelta(hours=20))
    assert look(late, at=replace(AT, now=NOON + timedelta(hours=30))).work is None


def test_a_refused_value_that_is_wanted_no_more_is_forgotten() -> None:
    refused = replace(
        AVAILABLE,
        failures=4,
        failed_singly=2,
        first_failed_at=NOON - HOUR,
        retry_at=NOON + HOUR,
        refusal="refused",
        refused_status=OicpStatus.OCCUPIED,
        batch_cap=1,
    )
    entry = look(refused, row("Available")).entry
    assert entry is not None
    assert (entry.retry_at, entry.refusal, entry.refused_status, entry.first_failed_at) == (None, None, None, None)
    assert (entry.failures, entry.batch_cap) == (1, 1), "it still travels apart"


def test_a_tombstone_whose_row_came_back_is_inserted() -> None:
    found = work(look(TOMBSTONE, row()))
    assert (found.action, found.reason) == (Action.INSERT, WorkReason.NEW)
    assert found.entry.debt_at == TOMBSTONE.debt_at
    assert found.entry.withdrawn_at is None


@pytest.mark.parametrize(
    ("presence", "acknowledged", "flipped", "action"),
    [
        (Presence.PRESENT, OicpStatus.OCCUPIED, False, Action.UPDATE),
        (Presence.PRESENT, OicpStatus.OCCUPIED, True, Action.INSERT),
        (Presence.ABSENT, None, False, Action.INSERT),
        (Presence.ABSENT, None, True, Action.UPDATE),
        (Presence.UNKNOWN, OicpStatus.OCCUPIED, False, Action.UPDATE),
        (Presence.UNKNOWN, None, False, Action.INSERT),
        (Presence.UNKNOWN, None, True, Action.UPDATE),
    ],
)
def test_the_action_follows_the_belief_about_existence(
    presence: Presence,
    acknowledged: OicpStatus | None,
    flipped: bool,  # noqa: FBT001 - a column of the table
    action: Action,
) -> None:
    entry = replace(AVAILABLE, presence=presence, acknowledged=acknowledged, flipped=flipped)
    assert work(look(entry, row())).action is action


def test_a_record_in_its_own_backoff_waits_until_it_is_over_or_its_value_changes() -> None:
    bad = replace(AVAILABLE, failures=3, retry_at=NOON + HOUR, refused_status=OicpStatus.OCCUPIED)
    waiting = look(bad, row("Charging"))
    assert waiting.work is None
    assert waiting.entry is not None
    assert waiting.entry.due_at == NOON + HOUR
    assert waiting.entry.pending_since == NOON
    assert look(bad, row("Faulted")).work is not None
    assert look(bad, row("Charging"), at=replace(AT, now=NOON + HOUR)).work is not None


def test_a_record_that_silenced_the_hub_is_not_released_by_a_change() -> None:
    bad = replace(AVAILABLE, failures=3, retry_at=NOON + HOUR, refused_status=None)
    assert look(bad, row("Faulted")).work is None
    assert look(bad).work is None


def test_a_withdrawal_does_not_wait_for_the_backoff_of_a_refused_value() -> None:
    bad = replace(AVAILABLE, failures=3, retry_at=NOON + HOUR, refused_status=OicpStatus.OCCUPIED)
    assert work(look(bad)).action is Action.DELETE
    assert look(replace(bad, refused_status=OicpStatus.AVAILABLE)).work is None  # the delete itself was refused


def test_a_waiting_record_is_looked_at_when_a_window_changes_its_value() -> None:
    bad = replace(AVAILABLE, failures=3, retry_at=NOON + HOUR, refused_status=OicpStatus.OCCUPIED)
    window = Window(1, TemporaryStatus.MAINTENANCE, NOON + SECOND, None)
    assert (look(bad, row("Charging"), windows=(window,)).entry or bad).due_at == NOON + SECOND


def test_less_usable_is_urgent_and_so_is_what_waited() -> None:
    occupied = replace(AVAILABLE, acknowledged=OicpStatus.OCCUPIED)
    assert not work(look(occupied, row("Available"))).urgent
    assert work(look(occupied, row("Faulted"))).urgent
    assert work(look(AVAILABLE, row("Unknown"))).urgent
    assert work(look(replace(occupied, pending_since=NOON - SECOND), row("Available"))).urgent
    assert not work(look(None, row())).urgent


def test_a_change_counts_from_its_oldest_hint_and_a_boundary_from_its_instant() -> None:
    assert work(look(AVAILABLE, row("Faulted"), changed_at=NOON - SECOND)).since == NOON - SECOND
    window = Window(1, TemporaryStatus.MAINTENANCE, NOON - SECOND, NOON + HOUR)
    started = work(look(replace(AVAILABLE, due_at=NOON - SECOND), row(), windows=(window,)))
    assert (started.since, started.edge) == (NOON - SECOND, WindowEdge.START)
    assert work(look(AVAILABLE, row("Faulted"))).edge is None
    maintained = replace(AVAILABLE, acknowledged=OicpStatus.OUT_OF_SERVICE, due_at=NOON - SECOND)
    assert work(look(maintained, row())).edge is WindowEdge.END
    assert work(look(AVAILABLE, row("Faulted"), changed_at=NOON)).edge is None


def test_a_boundary_that_passed_while_the_lane_waited_is_still_one() -> None:
    window = Window(1, TemporaryStatus.MAINTENANCE, NOON - SECOND, NOON + HOUR)
    seen = look(replace(AVAILABLE, due_at=NOON - SECOND), row(), windows=(window,)).entry
    assert seen is not None
    assert (seen.pending_since, seen.pending_edge) == (NOON - SECOND, WindowEdge.START)
    later = work(look(seen, row("Charging"), windows=(window,), changed_at=NOON))
    assert (later.since, later.edge) == (NOON - SECOND, WindowEdge.START)
    over = look(seen, row()).entry
    assert over is not None
    assert (over.pending_since, over.pending_edge) == (None, None)


def test_an_unknown_word_is_published_as_unknown_and_named() -> None:
    found = look(AVAILABLE, row("Levitating"))
    assert found.unmapped == "Levitating"
    assert work(found).record.status is OicpStatus.UNKNOWN


def test_of_several_spellings_the_smallest_speaks_and_the_others_are_named() -> None:
    winner, rejected = judge_rows([row("Faulted", "DEABCE1"), row("Charging")], KEYS)
    assert winner is not None
    assert winner.evse_id == "DE*ABC*E1"
    assert [(item.evse_id, item.reason) for item in rejected] == [("DEABCE1", Rejection.DUPLICATE)]
    assert "DE*ABC*E1" in rejected[0].detail


def test_a_removed_spelling_lets_the_next_one_speak() -> None:
    winner, rejected = judge_rows([row("Removed"), row("Faulted", "DEABCE1")], KEYS)
    assert winner is not None
    assert winner.evse_id == "DEABCE1"
    assert not rejected


@pytest.mark.parametrize(
    ("evse_id", "reason"),
    [
        ("DE*XYZ*E1", Rejection.FOREIGN_OPERATOR),
        ("49*810*1", Rejection.FOREIGN_OPERATOR),
        ("DE-ABC-E1", Rejection.MALFORMED_EVSE_ID),
        ("", Rejection.MALFORMED_EVSE_ID),
        ("DE*ABC*E" + "1" * 10_000, Rejection.MALFORMED_EVSE_ID),
    ],
)
def test_what_may_not_be_pushed_is_named_with_a_reason_and_never_leaves(evse_id: str, reason: Rejection) -> None:
    found = look(None, row(evse_id=evse_id))
    assert found.work is None
    assert [item.reason for item in found.rejected] == [reason]
    assert 10 < len(found.rejected[0].detail) < 400


def test_looking_twice_changes_nothing_more() -> None:
    for entry in (AVAILABLE, TOMBSTONE, replace(AVAILABLE, doubted_at=NOON)):
        once = look(entry, row("Charging"))
        again = look(once.entry, row("Charging"))
        assert again.entry == once.entry
        assert again.work == once.work


def test_a_backoff_after_silence_is_ended_by_a_less_usable_value_alone() -> None:
    silent = replace(AVAILABLE, failures=4, doubted_at=NOON, retry_at=NOON + HOUR, refused_status=OicpStatus.OCCUPIED)
    assert look(silent, row("Available")).work is None
    assert look(silent, row("Charging")).work is None
    assert work(look(silent, row("Faulted"))).record.status is OicpStatus.OUT_OF_SERVICE
    refused = replace(silent, doubted_at=None)
    assert work(look(refused, row("Faulted"))).record.status is OicpStatus.OUT_OF_SERVICE
    assert look(refused, row("Charging")).work is None


def test_another_value_is_first_tried_as_the_evse_is_believed_to_be() -> None:
    tried = replace(AVAILABLE, failures=1, flipped=True, refused_status=OicpStatus.OCCUPIED)
    assert work(look(tried, row("Charging"))).action is Action.INSERT
    assert work(look(tried, row("Faulted"))).action is Action.UPDATE
