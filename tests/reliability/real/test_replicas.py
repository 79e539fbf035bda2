"""Several daemons on one PostgreSQL: one leads, and another takes over when it dies, is stopped, or sleeps."""

import signal
from datetime import datetime

import pytest

from reliability.real.judge import judge
from reliability.real.points import evse
from reliability.real.process import eventually


def taken_at(daemon, number):
    """Return when a daemon took the lane for the nth time, by its own log; wait for it."""
    lines = eventually(lambda: daemon.log("lane.taken")[number:], every=0.05)
    return datetime.fromisoformat(lines[0]["timestamp"])


@pytest.fixture
def pair(postgresql_site):
    """The site of two daemons at rest, one of which leads."""
    postgresql_site.settled()
    postgresql_site.daemon()
    return postgresql_site


def other_than(site, leader):
    return next(process for process in site.processes if process is not leader)


def test_a_standby_takes_over_when_the_leader_is_killed_and_not_before_its_lease_has_run_out(pair):
    leader = pair.leader()
    standby, before = other_than(pair, leader), len(other_than(pair, leader).log("lane.taken"))
    leader.kill()
    lease = pair.instant("SELECT max(expires_at) FROM oicp_lane")
    pair.write(evse(1), "Faulted")
    pair.arrives(evse(1), "OutOfService")
    assert taken_at(standby, before) >= lease
    judge(pair)


def test_a_clean_stop_hands_over_long_before_the_lease_would_run_out(postgresql_site):
    site = postgresql_site
    site.sections["push"]["lease"] = 120.0
    leader, standby = site.settled(), site.daemon()
    lease = site.instant("SELECT max(expires_at) FROM oicp_lane")
    assert leader.stop() == 0
    site.write(evse(1), "Faulted")
    site.arrives(evse(1), "OutOfService")
    assert taken_at(standby, 0) < lease
    assert standby.stop() == 0
    assert site.holder() is None
    judge(site)


@pytest.mark.timeout(240)
def test_replicas_that_start_at_once_elect_one_and_send_nothing_twice(postgresql_site):
    site = postgresql_site
    site.fleet(5)
    replicas = [site.start() for _ in range(6)]
    site.rest()
    for replica in replicas:
        replica.started()
    assert [entry.action for entry in site.entries()] == ["fullLoad"]
    assert sum(len(replica.log("lane.taken")) for replica in replicas) == site.one("SELECT max(epoch) FROM oicp_lane")
    for number in range(len(replicas) - 1):
        leader = site.leader()
        leader.kill() if number % 2 else leader.stop()
        site.write(evse(number), "Faulted")
        site.arrives(evse(number), "OutOfService")
    judge(site)


@pytest.mark.timeout(240)
def test_a_lane_that_goes_back_and_forth_is_never_led_by_two(pair):
    for turn in range(4):
        leader = pair.leader()
        epoch = pair.one("SELECT max(epoch) FROM oicp_lane")
        pair.write(evse(1), ("Faulted", "Charging")[turn % 2])
        leader.pause()
        pair.write(evse(2), ("Faulted", "Charging")[turn % 2])
        eventually(lambda epoch=epoch: pair.one("SELECT max(epoch) FROM oicp_lane") > epoch, every=0.05)
        pair.arrives(evse(2), ("OutOfService", "Occupied")[turn % 2])
        leader.send(signal.SIGCONT)
        eventually(leader.stands_by, every=0.05)
        assert pair.leader() is not leader
    judge(pair)
