"""A clock that jumps: FAULTS.md F69."""

from datetime import timedelta

import pytest

from oicp_adapter.domain.errors import StoreClockError

from .conftest import Bench, Lane

HOUR = timedelta(hours=1)


def working(bench: Bench, **options) -> Lane:
    bench.fleet(6)
    lane = bench.lane(**options)
    lane.quiet()
    assert len(lane.at_hub()) == 6
    return lane


@pytest.mark.parametrize("hours", [1, 20])
def test_a_clock_that_was_set_back_stops_neither_pushes_nor_windows(bench: Bench, hours: int) -> None:
    bench.clock.advance(hours=hours)
    lane = working(bench)
    bench.write("DE*ABC*E1", "Faulted")
    lane.wire.will("answer_lost")
    lane.worker.turn()  # leaves a silence, a doubt and a debt in what will be the future
    bench.clock.advance(hours=-hours)
    now = bench.clock.now()
    bench.window("DE*ABC*E2", "Maintenance", now + timedelta(seconds=30), now + timedelta(seconds=150))
    bench.write("DE*ABC*E3", "Charging")
    lane.pass_time(seconds=100, step=5)  # the silence after the lost answer is kept at its longest
    assert lane.at_hub()["DEABCE1"] == "OutOfService"
    assert lane.at_hub()["DEABCE2"] == "OutOfService"
    assert lane.at_hub()["DEABCE3"] == "Occupied"
    lane.pass_time(seconds=60, step=5)
    assert lane.at_hub()["DEABCE2"] == "Available"


def test_what_was_asserted_in_the_future_is_asserted_again_once_and_not_for_ever(bench: Bench) -> None:
    bench.clock.advance(hours=2)
    lane = working(bench, sweep_every=60.0)
    bench.clock.advance(hours=-2)
    before = len(lane.wire.sent)
    lane.pass_time(minutes=30)
    sent = [evse for each in lane.wire.since(before) for evse in each.statuses]
    assert sorted(sent) == [f"DE*ABC*E{n}" for n in range(6)]


def test_a_standby_takes_over_although_the_leader_died_in_the_future(bench: Bench) -> None:
    bench.clock.advance(hours=2)
    working(bench, holder="one")
    bench.clock.advance(hours=-2)
    standby = bench.lane(holder="two")
    standby.pass_time(minutes=3)
    assert standby.worker._epoch is not None


def test_a_clock_set_forward_by_an_hour_ends_what_ends_by_it_and_back_again_begins_it_anew(bench: Bench) -> None:
    lane = working(bench, sweep_every=60.0)
    now = bench.clock.now()
    bench.window("DE*ABC*E2", "Maintenance", now, now + HOUR / 2)
    lane.quiet()
    assert lane.at_hub()["DEABCE2"] == "OutOfService"
    bench.clock.advance(hours=1)
    lane.quiet()
    assert lane.at_hub()["DEABCE2"] == "Available"
    bench.clock.advance(hours=-1)
    lane.pass_time(minutes=3)
    assert lane.at_hub()["DEABCE2"] == "OutOfService"


@pytest.mark.parametrize("days", [3650, -3650, 2])
def test_an_absurd_clock_ends_no_window_and_the_lane_goes_on_when_it_is_right_again(bench: Bench, days: int) -> None:
    jumped = timedelta()
    lane = working(bench, counted=lambda: bench.clock.now() - jumped)
    now = bench.clock.now()
    bench.window("DE*ABC*E2", "Maintenance", now, now + HOUR)
    lane.quiet()
    before = len(lane.wire.sent)
    jumped = timedelta(days=days)
    bench.clock.advance(days=days)
    bench.write("DE*ABC*E1", "Faulted")
    with pytest.raises(StoreClockError, match="restart the daemon"):
        lane.worker.turn()
    assert len(lane.wire.sent) == before
    assert lane.metric("lane_state", state="held") == 1
    jumped = timedelta()
    bench.clock.advance(days=-days)
    lane.quiet()
    assert lane.at_hub()["DEABCE1"] == "OutOfService"
    assert lane.at_hub()["DEABCE2"] == "OutOfService"
    assert lane.metric("lane_state", state="active") == 1
