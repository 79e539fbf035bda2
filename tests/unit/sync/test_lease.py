from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.sync.lease import ask, claim, covers_push, holds, lane_state, release, uncovers_push, yields
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


def rounds(lanes: dict[str, Position], processes: dict[str, frozenset[str]], count: int) -> list[dict[str, str]]:
    """Let each process look at each lane that it serves, again and again; return who led what after each round."""
    history = []
    for number in range(count):
        now = NOON + number * 4 * SECOND
        for process, served in processes.items():
            for lane in sorted(served):
                led = {
                    each: position.holder
                    for each, position in lanes.items()
                    if each in served and position.holder is not None and (position.expires_at or now) > now
                }
                claimed = claim(lanes[lane], process, now, POLICY, sole=False)
                if claimed is None:
                    lanes[lane] = ask(lanes[lane], process, now, led, lane)
                else:
                    gives = yields(claimed, process, now, led)
                    lanes[lane] = release(claimed, now) if gives else claimed
        history.append({lane: position.holder or "" for lane, position in lanes.items()})
    return history


@given(
    lanes=st.integers(1, 7),
    processes=st.integers(1, 4),
    first=st.integers(0, 3),
    own=st.lists(st.frozensets(st.integers(0, 6)), min_size=4, max_size=4),
)
def test_lanes_spread_evenly_over_the_processes_that_serve_them_and_then_stay(lanes, processes, first, own) -> None:
    names = [f"p{number}" for number in range(processes)]
    everything = frozenset(f"l{number}" for number in range(lanes))
    serving = dict.fromkeys(names, everything)
    for name, left_out in zip(names[1:], own, strict=False):  # some serve fewer lanes than others
        serving[name] = everything - {f"l{number}" for number in left_out}
    books = dict.fromkeys(everything, Position())
    rounds(books, {names[first % processes]: everything}, 1)
    history = rounds(books, serving, 30)
    assert history[-10:] == [history[-1]] * 10
    assert all(history[-1].values())
    counts = Counter(history[-1].values())
    for lane, leader in history[-1].items():
        assert lane in serving[leader]
        if all(served == everything for served in serving.values()):
            assert all(counts[leader] - counts[other] <= 1 for other in serving)


def test_a_lane_that_was_given_up_is_kept_for_who_asked_for_it_but_not_for_long() -> None:
    given = replace(release(HELD, NOON), wanted_by="you", wanted_at=NOON)
    assert claim(given, "me", NOON + SECOND, POLICY, sole=False) is None
    assert taken(given, "you", NOON + SECOND).wanted_by is None
    assert taken(given, "me", NOON + 10 * SECOND).holder == "me"


def test_nobody_gives_a_lane_to_whom_it_would_be_no_gain() -> None:
    wanted = replace(HELD, wanted_by="you", wanted_at=NOON)
    assert yields(wanted, "me", NOON, {"a": "me", "b": "me"})
    assert not yields(wanted, "me", NOON, {"a": "me", "b": "you"})
    assert not yields(wanted, "me", NOON + 10 * SECOND, {"a": "me", "b": "me"})
