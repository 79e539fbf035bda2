"""A daemon runs all its lanes, says in words why it is not ready, and ends within its bound."""

import select
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from oicp_adapter.daemon.configuration import Configuration
from oicp_adapter.daemon.crew import STALL, STOP_MARGIN, Crew
from oicp_adapter.daemon.daemon import Daemon
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.service_manager import ServiceManager
from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.settings import LogSettings, MonitoringSettings, PushSettings, Settings

PATIENCE = 10.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FakeLane:
    """
    A lane without a thread.

    Attributes:
        hangs: It ends only by `abort`.
        stuck: Not even by that.
    """

    def __init__(self, operator_id="DE*ABC", *, hangs=False, stuck=False):
        self.operator_id = operator_id
        self.operator_keys = frozenset({operator_key(operator_id)})
        self.trouble = None
        self.turned_at = None
        self.alive = True
        self.waiting = False
        self.after = []
        self.hangs = hangs
        self.stuck = stuck
        self.calls = []
        self.stopping = threading.Event()

    def start(self, *, after=()):
        self.calls.append("start")
        self.after = after

    def stop(self):
        self.calls.append("stop")
        self.alive = self.alive and self.hangs
        self.stopping.set()

    def abort(self):
        self.calls.append("abort")
        self.alive = self.stuck

    def join(self, _timeout=None):
        return not self.alive


class FakeSurvey:
    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")

    def join(self):
        self.calls.append("join")


class Case:
    """
    A daemon in a thread, around fakes and a clock that the test sets.

    Attributes:
        settings: What is read when the settings are read again.
        lanes: What the next crew is made of.
        built: The settings that crews were made for.
    """

    def __init__(self, *lanes, tick=0.0, environment=None):
        self.lanes = lanes
        self.settings = Settings(monitoring=MonitoringSettings(port=0))
        self.built = []
        self.operators = []
        self.refusal = None
        self.in_use = []
        self.now = 1000.0
        self.tick = tick
        self.survey = FakeSurvey()
        self.closed = 0
        self.error = None
        self.metrics = Metrics()
        self.daemon = Daemon(
            Configuration(
                self.settings,
                read=lambda: self.settings,
                examine=lambda _settings: None,
                files=lambda _settings: [],
                metrics=self.metrics,
            ),
            build=self._build,
            in_use=self.in_use.append,
            metrics=self.metrics,
            manager=ServiceManager(environment or {}),
            housekeeping=lambda: None,
        )
        self.thread = threading.Thread(target=self._run)

    def _build(self, settings):
        if self.refusal is not None:
            raise self.refusal
        self.built.append(settings)
        return Crew(
            self.lanes,
            operators=self.operators or [lane.operator_id for lane in self.lanes],
            survey=self.survey,
            request_timeout=timedelta(seconds=30),
            clock=self._clock,
            closing=self._close,
        )

    def reload(self, settings, *lanes):
        """Have other settings and lanes taken up."""
        self.settings, self.lanes = settings, lanes
        self.daemon.reload()

    def _clock(self):
        self.now += self.tick
        return self.now

    def _close(self):
        self.closed += 1

    def _run(self):
        try:
            self.daemon.run()
        except RuntimeError as error:
            self.error = error

    def start(self):
        self.thread.start()
        eventually(lambda: all(lane.calls for lane in self.lanes))
        return self

    def stop(self):
        self.daemon.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def get(self, path):
        try:
            with DIRECT.open(f"{self.daemon.url}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()


@pytest.fixture
def log():
    with capture_logs() as events:
        yield events


@pytest.fixture
def daemon(log):
    """Make a running daemon around lanes; each is stopped at the end."""
    made = []

    def make(*lanes, **options):
        made.append(Case(*lanes, **options).start())
        return made[-1]

    yield make
    for case in made:
        if case.thread.is_alive():
            case.stop()


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


def test_a_daemon_without_lanes_in_mode_off_is_ready_and_stops(daemon):
    case = daemon()
    assert case.get("/readyz") == (200, "ok\n")
    case.stop()


def eventually(look):
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
    return found


def with_push(case, **values):
    return case.settings.model_copy(update={"push": PushSettings(**values)})


def events(log, name):
    return [event for event in log if event["event"] == name]


def test_lanes_of_new_settings_start_after_those_of_the_same_account(daemon, log):
    old, other = FakeLane("DE*ABC"), FakeLane("DE*XYZ")
    case = daemon(old, other)
    new, added = FakeLane("DEABC"), FakeLane("DE*QQQ")
    case.reload(with_push(case, max_records=7), new, added)
    eventually(lambda: events(log, "config.reloaded"))
    assert (new.after, added.after) == ([old], [])
    assert old.calls == other.calls == ["start", "stop"]
    assert events(log, "config.reloaded")[0]["changed"] == ["push.max_records"]
    eventually(lambda: case.closed == 1)
    case.stop()
    assert new.calls == added.calls == ["start", "stop"]
    assert case.closed == 2


def test_a_lane_that_waits_for_its_predecessor_keeps_the_daemon_ready(daemon, log):
    old = FakeLane(hangs=True)
    case = daemon(old)
    new = FakeLane()
    new.waiting = True
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    assert case.get("/readyz") == (200, "ok\n")
    new.waiting = False
    assert case.get("/readyz") == (503, "starting: lane DE*ABC has not read the store yet\n")
    new.turned_at = case.now
    case.now += 30 + STOP_MARGIN + 1
    eventually(lambda: "abort" in old.calls)
    eventually(lambda: case.closed == 1)


def test_a_lane_that_comes_back_waits_for_all_that_ever_pushed_for_its_operators(daemon, log):
    first, second, third = FakeLane("DE*ABC", hangs=True), FakeLane("DE*XYZ", hangs=True), FakeLane("DE*XYZ")
    third.operator_keys = frozenset({operator_key("DE*XYZ"), operator_key("DE*ABC")})
    case = daemon(first)
    for number, lane in enumerate((second, third), start=1):
        case.reload(with_push(case, max_records=number), lane)
        eventually(lambda number=number: len(events(log, "config.reloaded")) == number)
    assert (second.after, third.after) == ([], [first, second])
    case.daemon.stop()
    assert third.stopping.wait(PATIENCE)


def test_a_lane_that_hangs_after_it_was_replaced_makes_the_daemon_dead(daemon, log):
    old = FakeLane(hangs=True, stuck=True)
    case = daemon(old)
    new = FakeLane()
    new.waiting = True
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    case.now += 30 + STALL.total_seconds() + 1
    eventually(lambda: "abort" in old.calls)
    assert case.get("/livez") == (503, "lane DE*ABC has not turned for 90 s\n")
    old.stuck = False
    new.turned_at = case.now
    eventually(lambda: case.closed == 1)
    assert case.get("/livez")[0] == 200


def test_a_lane_that_waits_long_for_another_does_not_hang(daemon, log):
    old = FakeLane(hangs=True, stuck=True)
    case = daemon(old)
    new = FakeLane()
    new.waiting = True
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    old.turned_at = case.now = case.now + 30 + STALL.total_seconds() + 1
    assert case.get("/livez") == (200, "ok\n")
    new.waiting = False
    assert case.get("/livez") == (503, "lane DE*ABC has not turned for 90 s\n")
    old.alive = False


def test_lanes_that_are_switched_off_leave_no_state_behind(daemon, log):
    case = daemon(FakeLane())
    case.metrics.lane_state.labels("DE*ABC", "active").set(1)
    case.operators = ["DE*ABC"]
    case.reload(with_push(case, mode="off"))
    eventually(lambda: case.closed == 1)
    eventually(lambda: 'oicp_adapter_lane_state{operator="DE*ABC",state="active"} 0.0' in case.get("/metrics")[1])


def test_a_stop_while_lanes_change_over_ends_both(daemon, log):
    old = FakeLane(hangs=True)
    case = daemon(old)
    new = FakeLane(hangs=True)
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    case.daemon.stop()
    assert new.stopping.wait(PATIENCE)
    case.stop()
    assert old.calls == ["start", "stop", "stop", "abort"]
    assert new.calls == ["start", "stop", "abort"]
    assert case.closed == 2


def test_series_of_an_operator_that_is_served_no_more_are_gone_when_its_lane_has_ended(daemon, log):
    leaving = FakeLane("DE*XYZ", hangs=True)
    case = daemon(FakeLane(), leaving)
    case.metrics.pushes.labels("DE*ABC", "update").inc(3)
    case.reload(with_push(case, max_records=7), FakeLane())
    eventually(lambda: events(log, "config.reloaded"))
    assert 'operator="DE*XYZ"' in case.get("/metrics")[1]
    leaving.alive = False
    eventually(lambda: 'operator="DE*XYZ"' not in case.get("/metrics")[1])
    assert 'oicp_adapter_pushes_total{action="update",operator="DE*ABC"} 3.0' in case.get("/metrics")[1]


@pytest.mark.parametrize("error", [ConfigurationError("no", cure="yes"), ValueError("a bug")])
def test_settings_that_cannot_be_used_change_nothing_and_the_next_good_ones_do(daemon, log, error):
    old = FakeLane()
    case = daemon(old)
    case.refusal = error
    case.reload(with_push(case, max_records=7), FakeLane())
    eventually(lambda: events(log, "config.not_reloaded"))
    assert old.calls == ["start"]
    assert "oicp_adapter_config_last_reload_successful 0.0" in case.get("/metrics")[1]
    assert (events(log, "config.not_reloaded")[0]["exc_info"] is error) is isinstance(error, ValueError)
    case.refusal = None
    case.daemon.reload()
    eventually(lambda: events(log, "config.reloaded"))
    assert "oicp_adapter_config_last_reload_successful 1.0" in case.get("/metrics")[1]


def test_settings_that_no_lane_depends_on_leave_the_lanes_at_work(daemon, log):
    lane = FakeLane()
    case = daemon(lane)
    case.reload(case.settings.model_copy(update={"log": LogSettings(level="debug")}))
    eventually(lambda: events(log, "config.reloaded"))
    assert lane.calls == ["start"]
    assert [settings.log.level for settings in case.in_use] == ["debug"]


def test_a_monitoring_address_moves(daemon, log):
    case = daemon(FakeLane())
    before = case.daemon.url
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        case.reload(case.settings.model_copy(update={"monitoring": MonitoringSettings(port=port)}))
        eventually(lambda: events(log, "config.not_reloaded"))
        assert case.get("/livez")[0] == 200
    case.daemon.reload()
    eventually(lambda: events(log, "config.reloaded"))
    assert case.daemon.url == f"http://127.0.0.1:{port}"
    assert case.get("/livez")[0] == 200
    with pytest.raises(urllib.error.URLError):
        DIRECT.open(f"{before}/livez", timeout=PATIENCE)


def test_another_host_with_the_same_port_is_moved_to_and_back_when_it_cannot_be_had(daemon, log):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    case = daemon(FakeLane())
    everywhere, nowhere = "0.0.0.0", "192.0.2.1"  # noqa: S104 - all addresses are what is tried
    for host in ("127.0.0.1", everywhere, nowhere):
        before = len(log)
        case.reload(case.settings.model_copy(update={"monitoring": MonitoringSettings(host=host, port=port)}))
        told = "config.not_reloaded" if host == nowhere else "config.reloaded"
        eventually(lambda told=told, before=before: events(log[before:], told))
    assert case.daemon.url == f"http://0.0.0.0:{port}"
    assert case.get("/livez")[0] == 200


def test_an_address_that_cannot_be_had_gives_the_new_lanes_up(daemon, log):
    old = FakeLane()
    case = daemon(old)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        changed = {"monitoring": MonitoringSettings(port=taken.getsockname()[1]), "push": PushSettings(max_records=7)}
        new = FakeLane()
        new.alive = False
        case.reload(case.settings.model_copy(update=changed), new)
        eventually(lambda: events(log, "config.not_reloaded"))
    assert old.calls == ["start"]
    assert new.calls == []
    assert case.closed == 1
