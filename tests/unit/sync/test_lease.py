from dataclasses import replace
from datetime import UTC, datetime, timedelta

from oicp_adapter.sync.lease import claim, covers_push, holds, lane_state, release, uncovers_push
from oicp_adapter.sync.model import Action, Intent, LaneState, Policy, Position

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
POLICY = Policy()
HELD = Position(epoch=3, holder="me", expires_at=NOON + 5 * SECOND)


def taken(position: Position, holder: str, now: datetime = NOON, *, sole: bool = False) -> Position:
    claimed = claim(position, holder, now, POLICY, sole=sole)
    assert claimed is not None
    return claimed


def intent(epoch: int) -> Intent:
    return Intent(epoch, 1, Action.UPDATE, (), NOON, NOON + 80 * SECOND)


def test_a_free_lane_is_taken_under_a_new_epoch() -> None:
    position = taken(Position(), "me")
    assert (position.holder, position.epoch, position.expires_at) == ("me", 1, NOON + POLICY.lease)


def test_a_living_lease_is_renewed_under_its_epoch() -> None:
    position = taken(HELD, "me")
    assert (position.epoch, position.expires_at) == (3, NOON + POLICY.lease)


def test_a_renewal_never_shortens_a_lease_that_covers_a_push() -> None:
    covering = covers_push(HELD, NOON, POLICY)
    assert taken(covering, "me").expires_at == covering.expires_at


def test_a_living_lease_of_somebody_else_is_respected() -> None:
    assert claim(HELD, "you", NOON, POLICY, sole=False) is None


def test_a_lease_that_ends_now_is_over() -> None:
    assert taken(HELD, "you", NOON + 5 * SECOND).epoch == 4
    assert not holds(HELD, "me", 3, NOON + 5 * SECOND)


def test_an_expired_lease_is_not_renewed_but_taken_anew() -> None:
    assert taken(HELD, "me", NOON + 6 * SECOND).epoch == 4


def test_where_only_one_process_can_be_a_foreign_lease_is_a_dead_one() -> None:
    assert taken(HELD, "you", sole=True).epoch == 4


def test_a_released_lane_is_taken_at_once() -> None:
    assert taken(release(HELD, NOON), "you").epoch == 4


def test_only_the_holder_of_the_epoch_may_push() -> None:
    assert holds(HELD, "me", 3, NOON)
    assert not holds(HELD, "me", 2, NOON)
    assert not holds(HELD, "you", 3, NOON)
    assert not holds(Position(), "me", 0, NOON)


def test_a_lease_covers_a_whole_push_and_its_recording() -> None:
    expires_at = covers_push(HELD, NOON, POLICY).expires_at
    assert expires_at is not None
    assert expires_at > NOON + POLICY.send_within + POLICY.request_timeout


def test_a_recorded_push_gives_back_the_time_it_did_not_need() -> None:
    covering = covers_push(HELD, NOON, POLICY)
    assert uncovers_push(covering, intent(3), NOON + SECOND, POLICY).expires_at == NOON + SECOND + POLICY.lease
    assert uncovers_push(HELD, intent(3), NOON, POLICY) == HELD
    assert uncovers_push(covering, intent(2), NOON, POLICY) == covering


def test_the_state_of_a_lane_is_what_one_process_sees() -> None:
    later = NOON + SECOND
    assert lane_state(HELD, None, "you", NOON) is LaneState.STANDBY
    assert lane_state(HELD, None, "me", NOON + 9 * SECOND) is LaneState.STANDBY
    assert lane_state(HELD, intent(3), "me", NOON) is LaneState.ACTIVE
    assert lane_state(HELD, intent(2), "me", NOON) is LaneState.SETTLING
    assert lane_state(replace(HELD, silent_until=later), None, "me", NOON) is LaneState.SETTLING
    assert lane_state(replace(HELD, wait_until=later), None, "me", NOON) is LaneState.BACKING_OFF
    assert lane_state(replace(HELD, hold_reason="forbidden"), None, "me", NOON) is LaneState.HELD
