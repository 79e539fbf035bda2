"""A process that stood still past its lease does nothing stale when it wakes up; one told to stop ends in time."""

import signal
import time

import pytest

from reliability.real.judge import judge
from reliability.real.points import FLEET, POINTS, evse, stand_at
from reliability.real.process import eventually
from reliability.real.site import LEASE, REQUEST_TIMEOUT
from reliability.real.workshop import side_by_side

STEPS = ("C0", "C1", "C2", "C3", "C5", "C6", "C7", "C9")


def paused_at(site, point):
    """Let a leader stand still at a point until a standby has taken over and pushed, then wake it."""
    stand = stand_at(site, point.name)
    site.settled(FLEET)
    site.daemon()
    stand.warm()
    with point.reach(stand):
        leader, before = site.leader(), site.holder()
        leader.pause()
    site.way.disarm()
    site.lines.disarm()
    site.write(evse(0), "Charging")
    site.write(evse(1), "Faulted")
    eventually(lambda: site.holder() not in {before, None}, every=0.05, told=site.books)
    site.caught_up()
    woken = site.requests()
    leader.send(signal.SIGCONT)
    eventually(leader.stands_by, every=0.05)
    site.write(evse(2), "Faulted")
    judge(site)
    (other,) = (process for process in site.processes if process is not leader)
    told = {line.get("process_id") for line in other.log()}
    strangers = [entry.number for entry in site.entries()[woken:] if entry.process_id not in told]
    assert strangers == [], "the one that woke up has sent something"
    assert leader.stop() == other.stop() == 0


@pytest.mark.timeout(300)
def test_a_leader_that_slept_past_its_lease_sends_nothing_when_it_wakes_up(workshop):
    workshop.shared()

    def job(point):
        with workshop.site("postgresql") as site:
            paused_at(site, point)

    side_by_side({point.name: lambda point=point: job(point) for point in POINTS if point.name in STEPS})


def slept_alone(site, point):
    """Let the only daemon stand still at a point for more than its lease."""
    stand = stand_at(site, point.name)
    daemon = site.settled(FLEET)
    stand.warm()
    with point.reach(stand):
        daemon.pause()
    site.way.disarm()
    site.write(evse(0), "Charging")
    time.sleep(2 * LEASE)
    daemon.send(signal.SIGCONT)
    judge(site)
    assert daemon.stop() == 0


@pytest.mark.timeout(300)
def test_a_daemon_that_slept_past_its_lease_alone_loses_nothing(workshop):
    def job(point):
        with workshop.site("sqlite") as site:
            slept_alone(site, point)

    side_by_side(
        {point.name: lambda point=point: job(point) for point in POINTS if point.name in STEPS and point.sqlite}
    )


def hanging(site):
    daemon = site.settled()
    before = site.requests()
    site.will("never_applied")
    site.write(evse(1), "Faulted")
    eventually(lambda: site.requests() > before)
    return daemon


def test_a_stop_during_a_hanging_push_records_the_doubt_and_ends_in_time(postgresql_site):
    site = postgresql_site
    daemon = hanging(site)
    asked = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - asked < REQUEST_TIMEOUT + 5
    assert daemon.log("push.unknown", reason="timeout")
    assert site.holder() is None
    assert site.intents() == 0
    assert site.one("SELECT count(*) FROM oicp_ledger WHERE doubted_at IS NOT NULL") == 1
    site.daemon()
    judge(site)


def test_a_second_stop_cuts_a_hanging_push(postgresql_site):
    site = postgresql_site
    site.sections["hub"]["request_timeout"] = 60.0
    daemon = hanging(site)
    daemon.send(signal.SIGTERM)
    eventually(lambda: daemon.log("daemon.stopping"))
    assert daemon.stop() == 0
    assert daemon.log("push.unknown", reason="cut")
    assert site.one("SELECT count(*) FROM oicp_ledger WHERE doubted_at IS NOT NULL") == 1
    site.daemon()
    judge(site)
