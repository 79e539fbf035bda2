"""Settings are read again when asked or when their files stand still after a change; bad ones leave the old in use."""

import threading
import time

import pytest
from structlog.testing import capture_logs

from oicp_adapter.daemon import configuration as module
from oicp_adapter.daemon.configuration import RETRY_EVERY, Configuration, differing
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.domain.errors import ConfigurationError, StoreUnavailableError
from oicp_adapter.settings import LogSettings, OperatorSettings, PushSettings, Settings

FASTER = Settings(push=PushSettings(max_records=7))


class Case:
    """A configuration from one file, whose contents are what the test puts there."""

    def __init__(self, tmp_path):
        self.file = tmp_path / "settings"
        self.file.write_text("first")
        self.fresh = Settings()
        self.reads = 0
        self.taken = []
        self.metrics = Metrics()
        self.examined = []
        self.strange = None
        self.now = 0.0
        self.configuration = Configuration(
            Settings(),
            read=self._read,
            examine=self._examine,
            files=lambda _settings: [self.file],
            metrics=self.metrics,
            clock=lambda: self.now,
        )
        self.look(2)
        self.reads = 0

    def _read(self):
        self.reads += 1
        if isinstance(self.fresh, Exception):
            raise self.fresh
        return self.fresh

    def _examine(self, settings):
        self.examined.append(settings)
        if self.strange is not None:
            raise self.strange

    def look(self, times=1, *, asked=False):
        for _ in range(times):
            self.configuration.renew(self.taken.append, asked=asked)

    def metric(self, name):
        return self.metrics.registry.get_sample_value(f"oicp_adapter_config_{name}")


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_what_changed_while_the_daemon_started_is_seen(tmp_path):
    (tmp_path / "settings").write_text("x")
    taken = []
    configuration = Configuration(
        Settings(),
        read=lambda: FASTER,
        examine=lambda _settings: None,
        files=lambda _settings: [tmp_path / "settings"],
        metrics=Metrics(),
    )
    for _ in range(3):
        configuration.renew(taken.append, asked=False)
    assert taken == [FASTER]


def test_nothing_is_read_while_nobody_asks_and_no_file_changes(case):
    case.look(5)
    assert case.reads == 0


def test_who_asks_is_heard_although_no_file_changed(case):
    case.fresh = FASTER
    with capture_logs() as log:
        case.look(asked=True)
    assert case.taken == [FASTER]
    assert case.configuration.current is FASTER
    assert [(event["event"], event["changed"]) for event in log] == [("config.reloaded", ["push.max_records"])]


def test_a_file_is_read_when_it_has_stood_still_for_a_look(case):
    case.fresh = FASTER
    case.file.write_text("longer")
    case.look()
    case.file.write_text("longer still")
    case.look()
    assert case.reads == 0
    case.look()
    assert case.reads == 1
    case.look(3)
    assert case.reads == 1
    assert case.taken == [FASTER]


def test_a_file_that_is_replaced_by_one_of_the_same_size_is_read(case):
    case.fresh = FASTER
    fresh = case.file.with_name("fresh")
    fresh.write_text("FIRST")
    fresh.replace(case.file)
    case.look(2)
    assert case.taken == [FASTER]


def test_settings_that_are_the_same_are_not_taken_up_and_only_who_asked_is_told(case):
    case.file.write_text("only a comment")
    with capture_logs() as log:
        case.look(2)
        assert (case.reads, case.taken, log) == (1, [], [])
        case.look(asked=True)
    assert [event["event"] for event in log] == ["config.unchanged"]
    assert case.taken == []


def test_wrong_settings_are_told_once_and_shown_until_they_are_mended(case):
    read_at = case.metric("last_reload_success_timestamp_seconds")
    case.fresh = ConfigurationError("push.max_records = 0 is not allowed", cure="expected 1 to 10000")
    case.file.write_text("wrong")
    with capture_logs() as log:
        case.look(5)
    assert [(event["event"], event["log_level"]) for event in log] == [("config.not_reloaded", "error")]
    assert log[0]["reason"] == "push.max_records = 0 is not allowed: expected 1 to 10000"
    assert case.metric("last_reload_successful") == 0
    assert case.metric("last_reload_success_timestamp_seconds") == read_at
    case.fresh = Settings()
    case.file.write_text("as before")
    with capture_logs() as log:
        case.look(2)
    assert [(event["event"], event["over"]) for event in log] == [("config.unchanged", "config.not_reloaded")]
    assert case.metric("last_reload_successful") == 1
    assert case.metric("last_reload_success_timestamp_seconds") > read_at
    assert case.taken == []


def test_a_long_mistake_is_told_with_its_cure(case):
    case.fresh = ConfigurationError("x" * 300, cure="write less")
    with capture_logs() as log:
        case.look(asked=True)
    assert log[0]["reason"].endswith(": write less")


def test_settings_that_cannot_be_taken_up_leave_the_old_in_use(case):
    case.fresh = FASTER

    def refuse(_settings):
        raise OSError("no file is left to open")

    case.configuration.renew(refuse, asked=True)
    assert case.configuration.current == Settings()
    assert case.metric("last_reload_successful") == 0
    case.look(asked=True)
    assert case.taken == [FASTER]


def test_what_differs_is_named_by_its_keys_without_its_values(tmp_path):
    operator = OperatorSettings(id="DE*ABC", certificate=tmp_path / "a.pem", private_key=tmp_path / "a.key")
    changed = Settings(operators=(operator,), log=LogSettings(level="debug"), mapping={"Offline": "OutOfService"})
    assert differing(Settings(), changed) == ["operators", "mapping", "log.level"]
    assert differing(changed, changed) == []


def test_settings_that_lanes_work_with_are_examined_before_they_are_taken_up(case):
    case.fresh = FASTER
    case.strange = StoreUnavailableError("the store is away", cure="wait")
    case.look(asked=True)
    assert (case.examined, case.taken) == ([FASTER], [])
    assert case.metric("last_reload_successful") == 0
    case.fresh = Settings(log=LogSettings(level="debug"))
    case.look(asked=True)
    assert case.examined == [FASTER]
    assert case.taken == [case.fresh]


def test_what_did_not_hold_is_tried_again_since_what_it_needs_may_come_later(case):
    case.fresh, case.strange = FASTER, StoreUnavailableError("the store is away", cure="wait")
    case.look(asked=True)
    case.look(3)
    assert len(case.examined) == 1
    case.now += RETRY_EVERY.total_seconds()
    case.look(3)
    assert len(case.examined) == 2
    case.strange = None
    case.now += RETRY_EVERY.total_seconds()
    case.look(3)
    assert case.taken == [FASTER]
    assert case.metric("last_reload_successful") == 1
    case.now += 10 * RETRY_EVERY.total_seconds()
    case.look(3)
    assert len(case.examined) == 3


@pytest.fixture
def answered(case, monkeypatch):
    """Let a reading begin whose store answers when this is set."""
    monkeypatch.setattr(module, "PROMPT", 0.01)
    answer = threading.Event()
    case.fresh = FASTER
    case.configuration._examine = lambda _settings: answer.wait(10)
    case.look(asked=True)
    return answer


def read_again(case):
    end = time.monotonic() + 10
    while case.reads < 2:
        assert time.monotonic() < end, "nothing was read again"
        case.look()


def test_a_store_that_never_answers_does_not_keep_the_loop_and_who_asks_meanwhile_is_heard(case, answered):
    case.look(5, asked=True)
    assert (case.reads, case.taken) == (1, [])
    answered.set()
    read_again(case)
    assert case.taken == [FASTER]


def test_a_file_that_changes_during_a_reading_is_read_after_it(case, answered):
    case.file.write_text("changed while its settings are examined")
    case.look(5)
    answered.set()
    read_again(case)


def test_who_asks_for_settings_that_do_not_hold_is_told_each_time(case):
    case.fresh = ConfigurationError("no", cure="yes")
    with capture_logs() as log:
        case.look(2, asked=True)
        case.now += RETRY_EVERY.total_seconds()
        case.look()
    assert {(event["event"], event["log_level"]) for event in log} == {("config.not_reloaded", "error")}
    assert [event.get("asked", False) for event in log] == [True, True, False]
