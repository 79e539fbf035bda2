"""PostgreSQL is stopped and started, ends sessions, and loses connections at every step of a push; nothing is lost."""

import threading
import time

import pytest

from reliability.real.cluster import Cluster
from reliability.real.judge import judge
from reliability.real.points import FLEET, POINTS, evse, stand_at
from reliability.real.process import eventually
from reliability.real.proxy import Then, Trap, Way
from reliability.real.site import LEASE
from reliability.real.workshop import side_by_side

STEPS = ("C1", "C2", "C3", "C4 at the hub", "C5", "C7 commit held", "C8", "C8 intent", "C9", "Ca")
INTENT, RECORD = b"INSERT INTO oicp_intent", b"DELETE FROM oicp_intent"


class Round:
    """Brings sites to their steps, stops the server under all of them at once, and starts it again."""

    def __init__(self, cluster, sites, mode):
        self.ready = threading.Barrier(sites, action=lambda: cluster.stop(mode))
        self.done = threading.Barrier(sites, action=cluster.start)


def stopped_at(site, step, round_):
    stand = stand_at(site, step)
    daemon = site.settled(FLEET)
    stand.warm()
    by_name = {point.name: point for point in POINTS}
    if step in by_name:
        with by_name[step].reach(stand):
            round_.ready.wait(120)
    else:
        if step == "writing":
            stand.change()
        round_.ready.wait(120)
    site.way.disarm()
    site.lines.disarm()
    eventually(lambda: daemon.log("lane.trouble"), every=0.05)
    assert daemon.get("/livez")[0] == 200
    round_.done.wait(120)
    site.store.close()  # the connections of our own pool died, too
    site.write(evse(0), "Charging")
    site.write(evse(1), "Faulted")
    judge(site)
    assert daemon.stop() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_server_stopped_at_any_step_and_started_again_costs_no_change(workshop, mode):
    steps = ("idle", "writing", *STEPS)
    with Cluster() as cluster:
        round_ = Round(cluster, len(steps), mode)

        def job(step):
            try:
                with workshop.site("postgresql", cluster=cluster) as site:
                    stopped_at(site, step, round_)
            except BaseException:
                round_.ready.abort()
                round_.done.abort()
                raise

        side_by_side({step: lambda step=step: job(step) for step in steps}, at_once=len(steps))


def test_an_answer_that_came_while_the_server_was_away_is_recorded_and_not_asked_for_again(workshop):
    with Cluster() as cluster, workshop.site("postgresql", cluster=cluster) as site:
        daemon = site.settled(FLEET)
        stand = stand_at(site, "away")
        stand.warm()
        trap = stand.armed(Way.DOWN)
        stand.hit(trap)
        before = site.requests()
        cluster.stop("fast")
        trap.release()
        eventually(lambda: daemon.log("lane.trouble"), every=0.05)
        cluster.start()
        site.store.close()  # the connections of our own pool died, too
        site.caught_up()
        assert site.requests() == before
        assert not daemon.log("push.unknown")
        assert not daemon.log("push.abandoned")
        judge(site)


def ended_session(stand):
    """The session is ended by an administrator while the request is at the hub."""
    trap = stand.armed(Way.DOWN)
    stand.hit(trap)
    ours = "application_name = 'oicp-adapter' AND datname = current_database() AND pid <> pg_backend_pid()"
    stand.site.one(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {ours}")
    trap.release()


def cut_commit(stand, statement, *, passes, then=Then.CUT):
    """The connection is cut when a commit comes by, or right after it has passed."""
    trap = stand.site.lines.arm(Trap(Way.UP, then, texts=(statement, b"COMMIT"), passes_text=passes))
    stand.hit(trap)


def held_commit(stand, statement):
    """A commit passes, and nothing comes back until the connection breaks."""
    stops = tuple(Way)
    lines = stand.site.lines
    trap = lines.arm(Trap(Way.UP, Then.HOLD, texts=(statement, b"COMMIT"), passes_text=True, stops=stops))
    stand.hit(trap)
    time.sleep(2 * LEASE)
    trap.cut()


FAULTS = {
    "session ended in a push": ended_session,
    "cut before the commit of the intent": lambda stand: cut_commit(stand, INTENT, passes=False),
    "cut after the commit of the intent": lambda stand: cut_commit(stand, INTENT, passes=True),
    "reset in the commit of the intent": lambda stand: cut_commit(stand, INTENT, passes=False, then=Then.RESET),
    "cut before the commit of the record": lambda stand: cut_commit(stand, RECORD, passes=False),
    "cut after the commit of the record": lambda stand: cut_commit(stand, RECORD, passes=True),
    "reset in the commit of the record": lambda stand: cut_commit(stand, RECORD, passes=False, then=Then.RESET),
    "the intent's commit is answered by nobody": lambda stand: held_commit(stand, INTENT),
    "the record's commit is answered by nobody": lambda stand: held_commit(stand, RECORD),
    "every connection is cut": lambda stand: (stand.site.lines.cut(reset=True), stand.change()),
}


@pytest.mark.timeout(300)
def test_a_connection_to_the_server_that_is_lost_in_a_push_costs_no_change(workshop):
    workshop.shared()

    def job(name):
        with workshop.site("postgresql") as site:
            daemon = site.settled(FLEET)
            stand = stand_at(site, name)
            for _ in range(2):
                stand.warm()
                FAULTS[name](stand)
                stand.write()
            judge(site)
            assert daemon.stop() == 0

    side_by_side({name: lambda name=name: job(name) for name in FAULTS}, at_once=len(FAULTS))
