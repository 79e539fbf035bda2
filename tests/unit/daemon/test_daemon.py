"""A daemon runs all its lanes, says in words why it is not ready, and ends within its bound."""

import select
import socket
from contextlib import closing

from oicp_adapter.daemon.crew import STALL, STOP_MARGIN
from tests.unit.daemon.conftest import PATIENCE, FakeLane


def test_a_daemon_is_ready_when_every_lane_has_read_the_store(daemon):
    one, other = FakeLane(), FakeLane("DE*XYZ")
    case = daemon(one, other)
    assert case.get("/readyz") == (503, "starting: lane DE*ABC has not read the store yet\n")
    one.turned_at = case.now
    assert case.get("/readyz") == (503, "starting: lane DE*XYZ has not read the store yet\n")
    other.turned_at = case.now
    assert case.get("/readyz") == (200, "ok\n")


def test_a_lane_in_trouble_makes_the_daemon_unready_in_words_and_leaves_it_alive(daemon):
    lane = FakeLane()
    case = daemon(lane)
    lane.turned_at, lane.trouble = case.now, "the store is away: wait"
    assert case.get("/readyz") == (503, "lane DE*ABC: the store is away: wait\n")
    assert case.get("/livez") == (200, "ok\n")


def test_a_lane_that_no_longer_turns_makes_the_daemon_dead(daemon):
    lane = FakeLane()
    case = daemon(lane)
    limit = 30 + STALL.total_seconds()
    lane.turned_at = case.now
    case.now += limit
    assert case.get("/livez")[0] == 200
    case.now += 1
    assert case.get("/livez") == (503, "lane DE*ABC has not turned for 90 s\n")


def test_a_lane_that_never_turned_makes_the_daemon_dead_too(daemon):
    case = daemon(FakeLane())
    case.now += 30 + STALL.total_seconds() + 1
    assert case.get("/livez")[0] == 503


def test_a_watchdog_hears_nothing_more_once_a_lane_hangs(daemon, tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(PATIENCE)
        lane = FakeLane()
        lane.turned_at = 1000.0
        case = daemon(lane, environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1"})
        assert listener.recv(4096) == b"READY=1\nSTATUS=DE*ABC starting"
        assert listener.recv(4096) == b"WATCHDOG=1"
        case.now += 30 + STALL.total_seconds() + 1
        told = 0
        while select.select([listener], [], [], 3.0)[0]:  # the daemon looks once a second
            listener.recv(4096)
            told += 1
            assert told <= 1, "no more than one that was under way"


def test_a_stop_ends_every_lane_then_the_rest(daemon, log):
    lanes = FakeLane(), FakeLane("DE*XYZ")
    case = daemon(*lanes)
    case.stop()
    assert [lane.calls for lane in lanes] == [["start", "stop"]] * 2
    assert case.survey.calls == ["start", "stop", "stop", "join"]
    assert case.closed == 1
    assert [event["event"] for event in log] == ["daemon.started", "daemon.stopping", "daemon.stopped"]


def test_a_draining_daemon_says_so(daemon):
    lane = FakeLane(hangs=True)
    case = daemon(lane)
    lane.turned_at = case.now
    case.daemon.stop()
    assert lane.stopping.wait(PATIENCE)
    assert case.get("/readyz") == (503, "draining: asked to stop, finishing what is under way\n")
    assert case.get("/livez")[0] == 200
    case.daemon.stop()


def test_a_second_stop_cuts_what_is_under_way(daemon):
    lane = FakeLane(hangs=True)
    case = daemon(lane)
    case.daemon.stop()
    assert lane.stopping.wait(PATIENCE)
    assert "abort" not in lane.calls
    case.stop()
    assert "abort" in lane.calls


def test_a_lane_that_hangs_is_cut_when_the_bound_is_reached(daemon):
    lane = FakeLane(hangs=True)
    case = daemon(lane)
    case.daemon.stop()
    assert lane.stopping.wait(PATIENCE)
    assert lane.calls == ["start", "stop"]
    case.now += 30 + STOP_MARGIN + 1
    case.thread.join(PATIENCE)
    assert not case.thread.is_alive()
    assert lane.calls == ["start", "stop", "abort"]


def test_a_lane_that_cannot_be_cut_is_left_behind_loudly(daemon, log):
    case = daemon(FakeLane(hangs=True, stuck=True), tick=100.0)
    case.stop()
    assert [event["operator"] for event in log if event["event"] == "lane.left_behind"] == ["DE*ABC"]
    assert case.closed == 1


def test_a_lane_that_ends_by_itself_ends_the_daemon_loudly_and_in_order(daemon, log):
    lane, other = FakeLane(), FakeLane("DE*XYZ")
    case = daemon(lane, other)
    lane.alive = False
    case.thread.join(PATIENCE)
    assert not case.thread.is_alive()
    assert str(case.error) == "the thread of DE*ABC ended by itself"
    assert [event["lanes"] for event in log if event["event"] == "daemon.lane_died"] == [["DE*ABC"]]
    assert "stop" in other.calls
    assert case.closed == 1


def test_an_error_of_our_own_in_the_daemons_loop_ends_it_loudly_and_in_order(daemon):
    lane = FakeLane()
    case = daemon(lane)
    case.mishap = RuntimeError("a bug")
    case.thread.join(PATIENCE)
    assert not case.thread.is_alive()
    assert str(case.error) == "a bug"
    assert lane.calls == ["start", "stop"]
    assert case.closed == 1


def test_a_daemon_without_lanes_in_mode_off_is_ready_and_stops(daemon):
    case = daemon()
    assert case.get("/readyz") == (200, "ok\n")
    case.stop()
