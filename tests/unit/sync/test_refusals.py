from dataclasses import replace
from datetime import timedelta

import pytest

from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.answers import ExistenceHint, Reason, Verdict
from oicp_adapter.sync.entries import EVERYTHING
from oicp_adapter.sync.exchange import Settled
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Position,
    Presence,
)
from oicp_adapter.sync.pacing import LONGEST_QUARANTINE
from tests.unit.sync.exchanges import HOUR, MINUTE, NOON, POLICY, PROVEN, REFUSED, SECOND, after, batch, one, present


def test_a_refusal_that_names_nobody_halves_the_request() -> None:
    assert {entry.batch_cap for entry in after(REFUSED, *batch(10)).entries} == {5}
    assert after(REFUSED, *batch(10)).quarantined == 0


def test_a_refusal_that_names_a_record_takes_it_out_alone() -> None:
    caps = [entry.batch_cap for entry in after(replace(REFUSED, bad_records=(2,)), *batch(5)).entries]
    assert caps == [None, None, 1, None, None]


def test_a_hub_that_names_again_and_again_does_not_lead_us_through_the_whole_request() -> None:
    caps = [e.batch_cap for e in after(replace(REFUSED, bad_records=(2,)), *batch(6, failures=1)).entries]
    assert caps == [3, 3, 1, 3, 3, 3]


@pytest.mark.parametrize(
    ("entries", "verdict", "position"),
    [
        (batch(4, presence=Presence.UNKNOWN), REFUSED, Position()),
        (batch(4), replace(REFUSED, existence=ExistenceHint.MISSING), Position()),
        (batch(4), REFUSED, Position(flip_first=True)),
    ],
)
def test_where_existence_is_likely_the_whole_request_is_tried_the_other_way_once(
    entries: list[Entry], verdict: Verdict, position: Position
) -> None:
    tried = after(verdict, *entries, position=position)
    assert all(entry.flipped and entry.batch_cap is None for entry in tried.entries)
    again = after(verdict, *tried.entries, action=Action.INSERT, position=tried.position)
    assert all(not entry.flipped and entry.batch_cap == 2 for entry in again.entries)
    assert not again.position.flip_first


def test_a_single_record_is_tried_under_the_other_belief_before_it_is_called_bad() -> None:
    first = after(REFUSED, present(1, first_failed_at=NOON - HOUR), position=PROVEN)
    assert (one(first).flipped, one(first).retry_at, first.quarantined) == (True, None, 0)
    second = after(REFUSED, one(first), action=Action.INSERT, position=first.position)
    assert second.quarantined == 1
    assert one(second).retry_at is not None
    assert one(second).refused_status is OicpStatus.OCCUPIED
    assert one(second).presence is Presence.PRESENT  # only an acknowledgement changes the belief


def test_without_proof_no_record_is_ever_called_bad_and_the_lane_is_held_instead() -> None:
    settled = Settled([present(1)], Position())
    for attempt in range(30):
        settled = after(REFUSED, one(settled), position=settled.position)
        assert settled.quarantined == 0
        assert one(settled).retry_at is None
        assert (settled.position.hold_reason is not None) is (attempt + 1 >= EVERYTHING)
        due_at = one(settled).due_at
        assert due_at is not None
        assert due_at <= NOON + timedelta(seconds=60)
    assert settled.position.hold_reason is Reason.EVERYTHING_REFUSED
    assert settled.position.wait_until is not None
    assert settled.position.wait_until <= NOON + POLICY.settle


def test_a_refused_delete_of_the_unknown_is_success() -> None:
    missing = replace(REFUSED, existence=ExistenceHint.MISSING)
    entry = one(after(missing, present(1), action=Action.DELETE))
    assert (entry.presence, entry.withdrawn_at, entry.debt_at) == (Presence.ABSENT, NOON, None)


def test_a_refused_delete_proves_nothing_about_the_hub() -> None:
    missing = replace(REFUSED, existence=ExistenceHint.MISSING)
    position = after(missing, present(1), action=Action.DELETE, position=Position(refused_streak=3)).position
    assert (position.last_success_at, position.refused_streak) == (None, 3)


def test_a_bare_refusal_of_a_delete_is_believed_only_with_proof_and_asked_again() -> None:
    suspect = present(1, presence=Presence.UNKNOWN, failed_singly=1, failures=1, first_failed_at=NOON - HOUR)
    assert one(after(REFUSED, suspect, action=Action.DELETE)).withdrawn_at is None
    gone = one(after(REFUSED, suspect, action=Action.DELETE, position=PROVEN))
    assert gone.withdrawn_at == NOON
    assert gone.debt_at is not None
    assert MINUTE <= gone.debt_at - NOON <= 1.1 * MINUTE
    for since, least in ((20 * MINUTE, 20 * MINUTE), (9 * HOUR, LONGEST_QUARANTINE)):
        later = one(after(REFUSED, replace(gone, withdrawn_at=NOON - since, debt_at=None), action=Action.DELETE))
        assert later.debt_at is not None
        assert least <= later.debt_at - NOON <= 1.1 * least
    last = replace(gone, withdrawn_at=NOON - timedelta(hours=23, minutes=30), debt_at=None)
    assert one(after(REFUSED, last, action=Action.DELETE)).debt_at is None


def test_a_delete_of_what_is_believed_to_be_there_is_insisted_on_for_a_day() -> None:
    suspect = present(1, failed_singly=1, failures=2, first_failed_at=NOON - HOUR)
    kept = one(after(REFUSED, suspect, action=Action.DELETE, position=PROVEN))
    assert (kept.withdrawn_at, kept.presence, kept.pending_since) == (None, Presence.PRESENT, NOON - SECOND)
    assert kept.retry_at is not None
    a_day_ago = replace(kept, first_failed_at=NOON - timedelta(hours=24))
    assert one(after(REFUSED, a_day_ago, action=Action.DELETE, position=PROVEN)).withdrawn_at == NOON


@pytest.mark.parametrize(("failing", "least"), [(2 * SECOND, 60 * SECOND), (0.5 * HOUR, 0.5 * HOUR), (9 * HOUR, HOUR)])
def test_a_bad_record_waits_as_long_as_it_has_been_failing(failing: timedelta, least: timedelta) -> None:
    entry = present(1, failures=9, failed_singly=3, flipped=True, first_failed_at=NOON - failing)
    bad = one(after(REFUSED, entry, action=Action.INSERT, position=PROVEN))
    assert bad.retry_at is not None
    assert least <= bad.retry_at - NOON <= 1.1 * least
    assert not bad.flipped, "the next attempt begins with what is believed"
    again = one(after(REFUSED, bad, position=PROVEN))
    assert (again.flipped, again.retry_at) == (True, None), "then the other belief, at once"
