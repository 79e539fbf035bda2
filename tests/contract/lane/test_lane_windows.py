"""Windows start and end at the hub by themselves: nobody writes, nothing hints, the clock alone decides."""

from datetime import timedelta

import pytest

from oicp_adapter.sync.plan import REPEATED_AT_ONCE
from reliability.real.machine import written

SECOND = timedelta(seconds=1)


@pytest.fixture
def lane(bench):
    bench.fleet(3)
    opened = bench.lane()
    opened.quiet()
    return opened


@pytest.fixture
def start(bench):
    """When a window of ten minutes begins, an hour from now."""
    return bench.clock.now() + timedelta(hours=1)


def history(bench, evse="DE*ABC*E1"):
    return [change.status for change in bench.hub.history(evse)]


def test_a_window_starts_and_ends_to_the_second_without_any_hint(bench, lane, start):
    end = start + timedelta(minutes=10)
    bench.window("DEABCE1", "Maintenance", start, end)
    lane.quiet()
    assert bench.hints() == 0
    for boundary, before, after in ((start, "Available", "OutOfService"), (end, "OutOfService", "Available")):
        bench.clock.advance_to(boundary - 5 * SECOND)
        lane.quiet()
        assert lane.at_hub()["DEABCE1"] == before
        bench.clock.advance_to(boundary - SECOND)
        lane.quiet()  # renews the lease, so that what follows is done for the boundary's sake alone
        bench.clock.advance_to(boundary)
        lane.quiet()
        assert lane.at_hub()["DEABCE1"] == after
    for edge in ("start", "end"):
        assert lane.metric("window_lag_seconds_count", edge=edge) == 1
        assert lane.metric("window_lag_seconds_sum", edge=edge) < 5


def test_no_transient_status_is_seen_where_one_window_ends_and_another_starts(bench, lane, start):
    middle = start + timedelta(minutes=10)
    bench.window("DE*ABC*E1", "Maintenance", start, middle)
    bench.window("DE*ABC*E1", "Maintenance", middle, middle + timedelta(minutes=10))
    bench.window("DE*ABC*E1", "Blocked", middle, middle + timedelta(minutes=20))
    lane.pass_time(minutes=100, step=3600)
    assert history(bench) == ["Available", "OutOfService", "Occupied", "Available"]


def test_a_window_that_passed_while_nobody_looked_is_not_replayed(bench, lane, start):
    bench.window("DE*ABC*E1", "Maintenance", start, start + timedelta(minutes=10))
    lane.quiet()
    bench.clock.advance(hours=3)
    lane.quiet()
    assert history(bench) == ["Available"]


def test_boundaries_that_passed_while_the_daemon_was_down_are_caught_up(bench, lane, start):
    bench.window("DE*ABC*E1", "Maintenance", start, start + timedelta(minutes=10))
    bench.window("DE*ABC*E2", "Commissioning", start)
    lane.quiet()
    lane.worker.release()
    bench.clock.advance(hours=3)
    again = bench.lane(holder="two")
    again.quiet()
    assert again.at_hub() == {"DEABCE0": "Available", "DEABCE1": "Available", "DEABCE2": "OutOfService"}


def test_a_boundary_reached_while_a_request_is_out_is_pushed_after_it(bench, lane, start):
    bench.window("DE*ABC*E1", "Maintenance", start)
    lane.quiet()
    bench.write("DE*ABC*E1", "Charging")
    lane.wire.meanwhile = lambda: bench.clock.advance_to(start)
    lane.quiet()
    assert history(bench) == ["Available", "Occupied", "OutOfService"]


def test_a_window_ended_before_its_time_ends_at_the_hub_too(bench, lane, start):
    bench.window("DE*ABC*E1", "Blocked", bench.clock.now(), start)
    lane.quiet()
    assert lane.at_hub()["DEABCE1"] == "Occupied"
    ended = written(bench.store, bench.clock.now())
    bench.sql("UPDATE temporary_status SET ended_at = :at, ended_by = 'ann'", at=ended)
    lane.quiet()
    assert lane.at_hub()["DEABCE1"] == "Available"


def test_a_window_never_makes_a_charger_look_better_than_it_is(bench, lane, start):
    bench.write("DE*ABC*E1", "Faulted")
    bench.window("DE*ABC*E1", "Reserved", bench.clock.now(), start)
    bench.window("DE*ABC*E0", "Reserved", bench.clock.now(), start)
    lane.quiet()
    assert lane.at_hub()["DEABCE1"] == "OutOfService"
    assert lane.at_hub()["DEABCE0"] == "Reserved"


def test_a_window_without_any_charger_waits_for_one(bench, lane, start):
    bench.window("DE*ABC*E9", "Maintenance", bench.clock.now(), start)
    lane.quiet()
    bench.write("DE*ABC*E9", "Available")
    lane.quiet()
    assert lane.at_hub()["DEABCE9"] == "OutOfService"


def test_hundred_windows_that_end_in_one_second_travel_together(bench):
    bench.fleet(100)
    end = bench.clock.now() + timedelta(hours=1)
    for number in range(100):
        bench.window(f"DE*ABC*E{number}", "Maintenance", bench.clock.now(), end)
    lane = bench.lane()
    lane.quiet()
    before = len(lane.wire.sent)
    bench.clock.advance_to(end)
    lane.quiet()
    assert [len(sent.statuses) for sent in lane.wire.since(before)] == [100]


def test_the_lag_of_a_boundary_is_measured_through_an_outage_of_the_hub(bench, lane, start):
    bench.window("DE*ABC*E1", "Maintenance", start)
    lane.wire.will("http_status", count=None)
    bench.write("DE*ABC*E2", "Faulted")
    bench.clock.advance_to(start - SECOND)
    lane.quiet()
    lane.pass_time(minutes=5, step=7)
    assert lane.metric("window_lag_seconds_count", edge="start") == 0
    lane.wire.faults.clear()
    lane.pass_time(minutes=5, step=7)
    assert lane.at_hub()["DEABCE1"] == "OutOfService"
    assert lane.metric("window_lag_seconds_count", edge="start") == 1
    assert 250 < lane.metric("window_lag_seconds_sum", edge="start") < 600


def test_the_boundary_of_a_window_does_not_wait_behind_a_fleet_that_is_to_be_asserted_anew(bench):
    bench.fleet(500)
    lane = bench.lane(max_records=50, reassert_every=timedelta(hours=6), full_load_at="03:00")
    now = bench.clock.now()
    bench.window("DE*ABC*E7", "Maintenance", now + timedelta(hours=7), now + timedelta(hours=8))
    lane.quiet()
    sent = len(lane.wire.sent)
    bench.clock.advance(hours=7, seconds=1)  # nobody worked meanwhile: all is due, and the boundary last
    lane.worker.turn()
    (first,) = lane.wire.since(sent)
    assert first.statuses["DE*ABC*E7"] == "OutOfService"
    lane.quiet()
    again = {evse for each in lane.wire.since(sent) for evse in each.statuses}
    assert len(again) == 500, "the oldest are not forgotten for the newest"


def test_what_is_asserted_anew_travels_a_few_at_a_time_and_lets_changes_go_first(bench):
    bench.fleet(500)
    lane = bench.lane(max_records=1000, reassert_every=timedelta(hours=6), full_load_at="03:00")
    lane.quiet()
    sent = len(lane.wire.sent)
    bench.clock.advance(hours=7)
    lane.worker.turn()
    bench.write("DE*ABC*E7", "Faulted")
    lane.worker.turn()
    first, second = lane.wire.since(sent)
    assert (len(first.statuses), second.statuses["DE*ABC*E7"]) == (REPEATED_AT_ONCE, "OutOfService")
    assert len(second.statuses) <= REPEATED_AT_ONCE + 1
    lane.quiet()
    assert {evse for each in lane.wire.since(sent) for evse in each.statuses} == {f"DE*ABC*E{n}" for n in range(500)}
