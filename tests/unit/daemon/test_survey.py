"""The survey shows what it counted, and survives a store that is away."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from oicp_adapter.daemon import survey as module
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.survey import NAMED, Survey
from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.overview import Example, LaneBacklog, LaneCensus
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Policy, Position, Rejected, Rejection

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
CENSUS = LaneCensus(
    acknowledged={"Available": 5, "Occupied": 2},
    windows={(kind, state): 0 for kind in TemporaryStatus for state in ("active", "upcoming")},
    open_ended_since=None,
)
BACKLOG = LaneBacklog(
    pending=3,
    oldest_pending=AT,
    quarantined=1,
    held=4,
    rejected={"duplicate": 2},
    position=Position(last_success_at=AT, full_load_at=AT),
)
REJECTED = Rejected(EvseId("x"), CanonicalEvseId("X"), OperatorId("DE*ABC"), Rejection.DUPLICATE, "delete one")
SCOPES = {"DE*ABC": LaneScope("DEABC", frozenset({"DEABC"}))}


class Counting:
    """Stands in for a count: answers with the next of its answers, the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.last = False
        self.done = threading.Event()

    def __call__(self, _store, _scope):
        if self.last:
            self.done.set()  # what the last answer said is shown when it is asked for again
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.last = len(self.answers) == 1 and answer is self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def surveyed(monkeypatch):
    """Run a survey over these answers until the last one was asked for; return the metrics and the log."""

    def run(*backlogs, censuses=(CENSUS,), policy=Policy()):  # noqa: B008 - it cannot be changed
        counting, taking = Counting(*backlogs), Counting(*censuses)
        monkeypatch.setattr(module, "lane_backlog", counting)
        monkeypatch.setattr(module, "lane_census", taking)
        monkeypatch.setattr(module, "rejections", lambda _store, _lane, *, limit: [REJECTED] * limit)
        monkeypatch.setattr(module, "unserved_operators", lambda _store, _served: [Example("DE*QQQ", 2, "DE*QQQ*E9")])
        monkeypatch.setattr(module, "PAUSE", 0.005)
        monkeypatch.setattr(module, "SHARE", 0)
        metrics = Metrics(SCOPES)
        with capture_logs() as log:
            survey = Survey(None, SCOPES, metrics, policy=policy)
            survey.start()
            assert counting.done.wait(10)
            assert taking.done.wait(10)
            survey._stop.set()
            survey._thread.join(10)
        return metrics, log

    return run


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"oicp_adapter_{name}", {"operator": "DE*ABC", **labels})


def test_what_was_counted_is_shown(surveyed):
    metrics, _ = surveyed(BACKLOG)
    assert value(metrics, "evses", status="Available") == 5
    assert value(metrics, "evses", status="Reserved") == 0
    assert value(metrics, "pending_evses") == 3
    assert value(metrics, "oldest_pending_timestamp_seconds") == AT.timestamp()
    assert value(metrics, "quarantined_evses") == 3
    assert value(metrics, "rejected_evses", reason="duplicate") == 2
    assert value(metrics, "held_withdrawals") == 4
    assert value(metrics, "last_successful_push_timestamp_seconds") == AT.timestamp()
    assert value(metrics, "last_full_load_timestamp_seconds") == AT.timestamp()


def test_windows_are_shown_by_kind_and_state(surveyed):
    windows = {**CENSUS.windows, (TemporaryStatus.BLOCKED, "upcoming"): 7}
    metrics, _ = surveyed(BACKLOG, censuses=[replace(CENSUS, windows=windows)])
    assert value(metrics, "windows", kind="Blocked", state="upcoming") == 7
    assert value(metrics, "windows", kind="Blocked", state="active") == 0


def test_the_oldest_window_without_an_end_is_shown(surveyed):
    metrics, _ = surveyed(BACKLOG, censuses=[replace(CENSUS, open_ended_since=AT)])
    assert value(metrics, "oldest_open_ended_window_timestamp_seconds") == AT.timestamp()
    metrics, _ = surveyed(BACKLOG, censuses=[replace(CENSUS, open_ended_since=AT), CENSUS])
    assert value(metrics, "oldest_open_ended_window_timestamp_seconds") == 0


def test_the_full_load_after_the_last_one_is_shown(surveyed):
    due = datetime(2026, 3, 3, 3, tzinfo=UTC)
    metrics, _ = surveyed(BACKLOG)
    assert value(metrics, "next_full_load_timestamp_seconds") == due.timestamp(), "the night after the last one"
    metrics, _ = surveyed(BACKLOG, policy=Policy(full_load_at=""))
    assert value(metrics, "next_full_load_timestamp_seconds") == 0
    metrics, _ = surveyed(replace(BACKLOG, position=Position()))
    assert value(metrics, "next_full_load_timestamp_seconds") > datetime.now(UTC).timestamp(), "none was yet"


def test_what_is_no_longer_there_goes_back_to_zero(surveyed):
    metrics, _ = surveyed(
        BACKLOG,
        replace(BACKLOG, pending=0, oldest_pending=None, rejected={}),
        censuses=[CENSUS, replace(CENSUS, acknowledged={})],
    )
    assert value(metrics, "evses", status="Available") == 0
    assert value(metrics, "oldest_pending_timestamp_seconds") == 0
    assert value(metrics, "rejected_evses", reason="duplicate") == 0


def test_a_lane_that_never_pushed_keeps_its_zeros(surveyed):
    metrics, _ = surveyed(replace(BACKLOG, position=Position()))
    assert value(metrics, "last_successful_push_timestamp_seconds") == 0


def test_a_store_that_is_away_is_told_and_counted_later(surveyed):
    metrics, log = surveyed(StoreUnavailableError("the store is away", cure="wait"), BACKLOG)
    assert value(metrics, "pending_evses") == 3
    assert [event["event"] for event in log].count("survey.failed") == 1
    assert log[0]["reason"] == "store_unavailable"


def test_an_error_of_our_own_does_not_end_the_survey(surveyed):
    metrics, log = surveyed(RuntimeError("a bug"), BACKLOG)
    assert value(metrics, "pending_evses") == 3
    assert (log[0]["event"], log[0]["log_level"]) == ("survey.failed", "error")
    assert isinstance(log[0]["exc_info"], RuntimeError)


def test_a_count_that_failed_does_not_make_the_gauges_look_fresh(surveyed):
    away = StoreUnavailableError("the store is away", cure="wait")
    began = datetime.now(UTC).timestamp()
    assert value(surveyed(BACKLOG)[0], "last_survey_timestamp_seconds") >= began
    assert value(surveyed(BACKLOG, censuses=[away])[0], "last_survey_timestamp_seconds") == 0, "half of it is none"


def test_a_count_that_outlasts_the_survey_brings_no_series_back(monkeypatch):
    counting, go_on = threading.Event(), threading.Event()

    def count(_store, _scope):
        counting.set()
        assert go_on.wait(10)
        return BACKLOG

    monkeypatch.setattr(module, "lane_backlog", count)
    monkeypatch.setattr(module, "lane_census", lambda _store, _scope: CENSUS)
    metrics = Metrics(SCOPES)
    survey = Survey(None, SCOPES, metrics, policy=Policy())
    survey.start()
    assert counting.wait(10)
    survey.stop()
    metrics.forget(SCOPES)  # as the daemon does with lanes that were taken out of the settings
    go_on.set()
    survey._thread.join(10)
    assert value(metrics, "last_survey_timestamp_seconds") is None


def test_a_survey_that_never_started_can_be_stopped():
    Survey(None, SCOPES, Metrics(SCOPES), policy=Policy()).stop()


def test_the_first_rows_that_never_leave_the_house_are_read_and_named_once_and_all_are_counted(surveyed):
    metrics, log = surveyed(BACKLOG)
    rejected = [event for event in log if event["event"] == "fleet.rejected"]
    assert [(event["reason"], event["first"]) for event in rejected] == [("2 duplicate", ["x: delete one"] * NAMED)]
    unserved = [event for event in log if event["event"] == "fleet.not_served"]
    assert [event["first"] for event in unserved] == [["2 of DE*QQQ, as DE*QQQ*E9"]]
    assert value(metrics, "rejected_evses", operator="", reason="operator_not_served") == 2
