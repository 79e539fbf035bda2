"""Several processes share the lanes that they serve, and hand them over between two pushes."""

from collections import Counter
from datetime import timedelta

import pytest

OPERATORS = ["DE*AAA", "DE*BBB", "DE*CCC", "DE*DDD"]
SERVED = frozenset(operator.replace("*", "") for operator in OPERATORS)


def start(bench, holder):
    return [bench.lane(operator, holder=holder, served=SERVED) for operator in OPERATORS]


def turn(lanes, bench, seconds):
    """Let every worker look again and again while time passes; return who led each lane at the end."""
    for _ in range(seconds):
        bench.clock.advance(seconds=1)
        for lane in lanes:
            lane.quiet()
    return [lane.position().holder for lane in lanes[: len(OPERATORS)]]


@pytest.fixture
def fleet(bench):
    for operator in OPERATORS:
        bench.write(f"{operator}*E1", "Available", operator)


@pytest.mark.parametrize("seconds", [20.0, 3.9])
def test_a_lease_of_any_length_is_renewed_before_it_runs_out_though_nothing_happens(bench, seconds):
    bench.fleet(1)
    lane = bench.lane(lease=timedelta(seconds=seconds))
    lane.quiet()
    for _ in range(36):
        lane.pass_time(seconds=seconds / 12)
        assert lane.position().expires_at > bench.clock.now()
    assert [event["epoch"] for event in bench.events("lane.taken")] == [1]


@pytest.mark.usefixtures("fleet")
def test_a_second_process_is_given_half_of_the_lanes_and_changes_go_on(bench):
    lanes = start(bench, "one")
    assert turn(lanes, bench, 2) == ["one"] * 4
    lanes += start(bench, "two")
    assert Counter(turn(lanes, bench, 30)) == {"one": 2, "two": 2}
    assert Counter(turn(lanes, bench, 60)) == {"one": 2, "two": 2}
    assert len(bench.events("lane.given")) == 2, "no lane goes to and fro"
    assert not bench.events("push.abandoned")
    for operator in OPERATORS:
        bench.write(f"{operator}*E1", "Faulted", operator)
    turn(lanes, bench, 1)
    assert [lane.at_hub()[f"{lane.operator.replace('*', '')}E1"] for lane in lanes[:4]] == ["OutOfService"] * 4


@pytest.mark.usefixtures("fleet")
def test_what_a_process_leaves_the_other_one_takes_at_its_next_look(bench):
    if bench.store.dialect == "sqlite":
        pytest.skip("a file has one daemon")
    ones, twos = start(bench, "one"), start(bench, "two")
    turn([*ones, *twos], bench, 2)
    for lane in ones:
        lane.worker.release()
    for lane in twos:
        lane.quiet()
    assert [lane.position().holder for lane in twos] == ["two"] * 4


def test_a_standby_with_a_new_certificate_leaves_the_store_in_peace_and_tries_it_when_it_takes_the_lane_over(bench):
    if bench.store.dialect == "sqlite":
        pytest.skip("a file has one daemon")
    bench.fleet(1)
    leader, standby = bench.lane(), bench.lane(holder="two")
    leader.wire.will("unauthorized")
    leader.quiet()
    standby.worker.turn()
    standby.worker.retry_now()
    standby.store.fail_before = 1
    standby.quiet()
    assert standby.store.fail_before == 1, "not a single transaction"
    standby.store.fail_before = 0
    leader.worker.release()
    standby.quiet()
    assert len(standby.wire.sent) == 1, "the lane's wait is over"
