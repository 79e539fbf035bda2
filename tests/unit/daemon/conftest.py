"""A daemon in a thread, around lanes without threads and a clock that the test sets."""

import threading
import urllib.error
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from oicp_adapter.daemon.configuration import Configuration
from oicp_adapter.daemon.crew import Crew
from oicp_adapter.daemon.daemon import Daemon
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.service_manager import ServiceManager
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.settings import MonitoringSettings, PushSettings, Settings
from reliability.real.process import DIRECT, eventually

PATIENCE = 10.0


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
        self.certificate_told = threading.Event()

    def start(self, *, after=()):
        self.calls.append("start")
        self.after = after

    def tell_certificate(self):
        self.certificate_told.set()

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
        mishap: What goes wrong when the daemon keeps house; None: nothing.
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
        self.mishap = None
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
            housekeeping=self._keep_house,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)  # a failed test must let pytest end

    def _build(self, settings):
        if self.refusal is not None:
            raise self.refusal
        self.built.append(settings)
        return Crew(
            self.lanes,
            operators=self.operators or [lane.operator_id for lane in self.lanes],
            mode=settings.push.mode,
            survey=self.survey,
            request_timeout=timedelta(seconds=30),
            clock=self._clock,
            closing=self._close,
        )

    def reload(self, settings, *lanes):
        """Have other settings and lanes taken up."""
        self.settings, self.lanes = settings, lanes
        self.daemon.reload()

    def _keep_house(self):
        if self.mishap is not None:
            raise self.mishap

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


def with_push(case, **values):
    return case.settings.model_copy(update={"push": PushSettings(**values)})


def events(log, name):
    return [event for event in log if event["event"] == name]
