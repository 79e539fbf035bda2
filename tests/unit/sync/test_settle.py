from dataclasses import replace
from datetime import timedelta

import pytest

from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.answers import Effect, Reason, Scope, Verdict
from oicp_adapter.sync.exchange import Exchange, late_until
from oicp_adapter.sync.model import (
    Action,
    Position,
    Presence,
    WindowEdge,
)
from oicp_adapter.sync.settle import abandon, in_full, settle
from tests.unit.sync.exchanges import (
    DONE,
    EXPIRED,
    FULL,
    HOUR,
    NOON,
    POLICY,
    PROVEN,
    REFUSED,
    SECOND,
    SILENCE,
    after,
    batch,
    one,
    present,
    request,
    sent_for,
)

# an acknowledgement


def test_an_acknowledgement_writes_what_was_sent_and_takes_back_doubt_and_failures() -> None:
    entry = one(after(DONE, present(1, doubted_at=NOON - HOUR, failures=3, flipped=True, batch_cap=1, retry_at=NOON)))
    assert entry == replace(
        present(1),
        acknowledged=OicpStatus.OCCUPIED,
        acknowledged_at=NOON,
        acknowledged_since=NOON,
        asserted_at=NOON - SECOND,
        attempt=9,
        due_at=NOON - SECOND + POLICY.reassert_every,
    )


def test_the_first_answer_that_confirmed_a_value_is_remembered_until_another_value_is_confirmed() -> None:
    assert one(after(DONE, present(1, acknowledged=OicpStatus.OCCUPIED))).acknowledged_since == NOON - HOUR
    assert one(after(DONE, present(1))).acknowledged_since == NOON
    assert one(after(DONE, present(1), action=Action.DELETE)).acknowledged_since == NOON


def test_a_debt_is_paid_only_by_a_push_that_began_after_it() -> None:
    assert one(after(DONE, present(1, debt_at=NOON - SECOND))).debt_at is None
    unpaid = one(after(DONE, present(1, debt_at=NOON)))
    assert unpaid.debt_at == NOON
    assert unpaid.due_at == NOON


def test_what_is_acknowledged_while_a_lost_full_load_may_still_land_owes_another_push() -> None:
    soon = NOON + SECOND
    entry = one(after(DONE, present(1), position=Position(debt_at=soon)))
    assert (entry.debt_at, entry.due_at) == (soon, soon)


def test_a_debt_that_a_clock_set_back_left_far_ahead_is_paid_within_t_late_all_the_same() -> None:
    owing = replace(present(1), debt_at=NOON + 9 * HOUR)
    entry = one(after(DONE, owing, position=Position(debt_at=NOON + 99 * HOUR)))
    assert entry.debt_at == NOON + POLICY.send_within + POLICY.late_apply


def test_the_next_look_is_at_the_boundary_that_the_plan_knew() -> None:
    assert one(after(DONE, present(1), work=sent_for(present(1), valid_until=NOON + SECOND))).due_at == NOON + SECOND


@pytest.mark.parametrize("verdict", [SILENCE, REFUSED, FULL, EXPIRED])
def test_since_when_and_by_which_boundary_the_hub_differs_outlives_a_failure(verdict: Verdict) -> None:
    work = sent_for(present(1), since=NOON - HOUR, edge=WindowEdge.START)
    failed = one(after(verdict, present(1), work=work))
    assert (failed.pending_since, failed.pending_edge) == (NOON - HOUR, WindowEdge.START)
    again = one(after(verdict, failed, work=sent_for(failed, since=NOON, edge=WindowEdge.END)))
    assert (again.pending_since, again.pending_edge) == (NOON - HOUR, WindowEdge.START)
    done = one(after(DONE, failed, work=work))
    assert (done.pending_since, done.pending_edge) == (None, None)


def test_an_acknowledged_delete_leaves_a_tombstone() -> None:
    entry = one(after(DONE, present(1), action=Action.DELETE))
    assert (entry.acknowledged, entry.presence, entry.withdrawn_at) == (None, Presence.ABSENT, NOON)


def test_a_repeated_delete_does_not_make_the_withdrawal_younger() -> None:
    tombstone = present(1, withdrawn_at=NOON - HOUR, presence=Presence.ABSENT)
    assert one(after(DONE, tombstone, action=Action.DELETE)).withdrawn_at == NOON - HOUR


def test_an_acknowledgement_ends_every_wait_of_the_lane() -> None:
    held = Position(hold_reason=Reason.UNAUTHORIZED, wait_until=NOON + HOUR, failures=5, refused_streak=9)
    position = after(DONE, present(1), position=held).position
    assert position == Position(last_success_at=NOON)


def test_a_success_against_the_belief_makes_that_belief_the_first_guess() -> None:
    flipped = present(1, flipped=True)
    assert after(DONE, flipped, action=Action.INSERT, work=sent_for(flipped)).position.flip_first
    assert not after(DONE, present(1)).position.flip_first


# silence


def test_silence_is_doubt_now_and_a_debt_for_later() -> None:
    settled = after(SILENCE, *batch(3))
    for entry in settled.entries:
        assert entry.doubted_at == NOON
        assert entry.debt_at == NOON - SECOND + POLICY.send_within + POLICY.late_apply
        assert entry.acknowledged is OicpStatus.AVAILABLE
        assert entry.retry_at is None
    assert settled.position.silent_until == NOON + POLICY.settle


@pytest.mark.parametrize(
    ("action", "presence"),
    [(Action.UPDATE, Presence.PRESENT), (Action.INSERT, Presence.UNKNOWN), (Action.DELETE, Presence.UNKNOWN)],
)
def test_an_unanswered_insert_or_delete_leaves_existence_open(action: Action, presence: Presence) -> None:
    assert one(after(SILENCE, present(1), action=action)).presence is presence


def test_the_debt_of_an_older_lost_request_is_not_shortened() -> None:
    assert one(after(SILENCE, present(1, debt_at=NOON + 5 * HOUR))).debt_at == NOON + 5 * HOUR


def test_a_batch_is_halved_only_after_repeated_silence() -> None:
    assert {entry.batch_cap for entry in after(SILENCE, *batch(10, failures=1)).entries} == {None}
    assert {entry.batch_cap for entry in after(SILENCE, *batch(10, failures=2)).entries} == {5}


def test_a_single_record_is_blamed_for_silence_only_with_proof_that_the_hub_takes_others() -> None:
    suspect = present(1, failures=9, first_failed_at=NOON - HOUR)
    first = after(SILENCE, suspect, position=PROVEN)
    assert (first.quarantined, one(first).retry_at) == (0, None)
    assert after(SILENCE, one(first)).quarantined == 0
    settled = after(SILENCE, one(first), position=PROVEN)
    assert settled.quarantined == 1
    assert one(settled).refused_status is OicpStatus.OCCUPIED
    assert settled.position.failures == 0


def test_a_silent_hub_makes_the_lane_wait_longer_each_time() -> None:
    position = after(SILENCE, present(1), position=Position(failures=9)).position
    assert position.failures == 10
    assert position.wait_until == NOON + timedelta(seconds=30)


def test_an_unanswered_full_load_puts_the_whole_lane_in_doubt() -> None:
    settled = after(SILENCE, action=Action.FULL_LOAD, position=Position(full_load_requested_at=NOON))
    assert not settled.entries
    assert settled.position.doubted_before == NOON
    assert settled.position.debt_at == late_until(request(Action.FULL_LOAD), POLICY)
    assert settled.position.full_load_tried_at == NOON - SECOND
    assert settled.position.full_load_requested_at is None


# the hub's and the account's trouble


def test_a_429_leaves_every_record_as_it_was_and_honours_retry_after() -> None:
    settled = after(FULL, *batch(3, failures=1))
    assert settled.position.wait_until == NOON + timedelta(seconds=90)
    for entry in settled.entries:
        assert (entry.failures, entry.doubted_at, entry.batch_cap, entry.due_at) == (1, None, None, NOON)


def test_an_older_doubt_survives_a_request_that_was_not_performed() -> None:
    assert one(after(FULL, present(1, doubted_at=NOON - HOUR))).doubted_at == NOON - HOUR


def test_an_account_fault_holds_the_lane_with_the_hubs_words_and_blames_no_record() -> None:
    settled = after(EXPIRED, *batch(3))
    assert (settled.position.hold_reason, settled.position.hold_detail) == (Reason.UNAUTHORIZED, "Unauthorized Access")
    assert {entry.failures for entry in settled.entries} == {0}
    assert settled.position.wait_until is not None


def test_what_was_never_sent_waits_for_nothing() -> None:
    settled = after(Verdict(Effect.NOT_APPLIED, Scope.NONE, Reason.NOT_SENT), present(1))
    assert settled.position == Position()


def test_a_full_load_that_never_reached_the_hub_is_tried_again_today() -> None:
    assert after(FULL, action=Action.FULL_LOAD).position.full_load_tried_at is None
    assert after(REFUSED, action=Action.FULL_LOAD).position.full_load_tried_at is not None


# nobody will ever record it


def test_an_abandoned_request_is_doubt_and_a_debt() -> None:
    entries = batch(4)
    settled = abandon(
        request(Action.INSERT, *entries), {e.canonical: e for e in entries}, Position(), now=NOON, policy=POLICY
    )
    for entry in settled.entries:
        assert (entry.doubted_at, entry.failures, entry.batch_cap) == (NOON, 1, None)
        assert entry.debt_at is not None
        assert entry.presence is Presence.UNKNOWN


def test_a_record_that_keeps_killing_the_process_is_halved_out_and_then_waits_alone() -> None:
    entries = batch(4, failures=2)
    intent = request(Action.UPDATE, *entries)
    halved = abandon(intent, {e.canonical: e for e in entries}, Position(), now=NOON, policy=POLICY)
    assert {entry.batch_cap for entry in halved.entries} == {2}
    killer = present(1, failures=2, first_failed_at=NOON - HOUR)
    alone = request(Action.UPDATE, killer)
    unproven = abandon(alone, {killer.canonical: killer}, Position(), now=NOON, policy=POLICY)
    assert one(unproven).retry_at is None
    proven = abandon(alone, {killer.canonical: killer}, PROVEN, now=NOON, policy=POLICY)
    assert (one(proven).retry_at, one(proven).refused_status) == (NOON + HOUR, OicpStatus.OCCUPIED)


def test_an_abandoned_full_load_puts_the_lane_in_doubt_and_counts_as_tried() -> None:
    position = abandon(request(Action.FULL_LOAD), {}, Position(), now=NOON, policy=POLICY).position
    assert position.doubted_before == NOON
    assert position.full_load_tried_at == NOON - SECOND


def test_a_record_without_a_ledger_row_gets_one() -> None:
    entry = present(1)
    exchange = Exchange(request(Action.INSERT, entry), DONE, NOON, POLICY, 0.5, {})
    assert one(in_full(settle(exchange, {}, Position()), {})).acknowledged is OicpStatus.OCCUPIED
