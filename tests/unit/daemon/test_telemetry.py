"""What a lane does is told once, counted always, and names no EVSE above debug."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.answers import Answer, Effect, Progress, Reason, Scope, Verdict
from oicp_adapter.sync.exchange import Settled
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Intent,
    LaneState,
    Position,
    Record,
    Rejected,
    Rejection,
    WindowEdge,
    Work,
    WorkReason,
)
from oicp_adapter.sync.steps import Round

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY, EVSE = CanonicalEvseId("DEABCE1"), EvseId("DE*ABC*E1")
RECORD = Record(KEY, EVSE, OicpStatus.OCCUPIED)
INTENT = Intent(1, 7, Action.UPDATE, (RECORD,), NOW, NOW + timedelta(seconds=80))
ANSWER = Answer(Progress.SENT, http_status=200, process_id="p-1", duration=timedelta(seconds=0.25))
APPLIED = Verdict(Effect.APPLIED, code="000")


@pytest.fixture
def metrics():
    return Metrics(["DE*ABC"])


@pytest.fixture
def log():
    with capture_logs() as events:
        yield events


@pytest.fixture
def telemetry(metrics, log):
    return LaneTelemetry("DE*ABC", metrics)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"oicp_adapter_{name}", {"operator": "DE*ABC", **labels})


def work(reason=WorkReason.CHANGED, edge=None, ago=2.0):
    since = NOW - timedelta(seconds=ago)
    return Work(RECORD, Action.UPDATE, reason, since, urgent=False, entry=Entry(KEY, EVSE), edge=edge)


def recorded(telemetry, verdict=APPLIED, *items, intent=INTENT, answer=ANSWER):
    settled = Settled((), Position(), 0)
    telemetry.recorded(intent, items, answer=answer, verdict=verdict, settled=settled, size=1, now=NOW)


def found(**facts):
    nothing = {"work": (), "save": (), "forget": (), "rejected": (), "unmapped": {}, "held": 0}
    return Round(**{**nothing, **facts})


def test_an_acknowledged_push_is_counted_and_told_with_its_process_id(telemetry, metrics, log):
    recorded(telemetry, APPLIED, work())
    assert value(metrics, "pushes_total", action="update") == 1
    assert value(metrics, "status_codes_total", code="000") == 1
    assert value(metrics, "push_records_sum", action="update") == 1
    assert value(metrics, "push_duration_seconds_sum", action="update") == 0.25
    assert value(metrics, "last_successful_push_timestamp_seconds") == NOW.timestamp()
    assert value(metrics, "status_propagation_seconds_sum") == 2.0
    (event,) = log
    assert event["event"] == "push.acknowledged"
    assert (event["process_id"], event["records"], event["log_level"]) == ("p-1", 1, "info")


@pytest.mark.parametrize("reason", [WorkReason.REASSERTED, WorkReason.DEBT])
def test_what_nobody_waits_for_is_no_propagation(telemetry, metrics, reason):
    recorded(telemetry, APPLIED, work(reason))
    assert value(metrics, "status_propagation_seconds_count") == 0


@pytest.mark.parametrize("edge", WindowEdge)
def test_the_lag_of_a_boundary_is_counted_by_its_edge(telemetry, metrics, edge):
    recorded(telemetry, APPLIED, work(edge=edge, ago=0.5))
    assert value(metrics, "window_lag_seconds_sum", edge=edge) == 0.5


def test_clocks_that_differ_make_no_negative_lag(telemetry, metrics):
    recorded(telemetry, APPLIED, work(ago=-3.0))
    assert value(metrics, "status_propagation_seconds_sum") == 0


def test_a_full_load_notes_when_it_started(telemetry, metrics):
    recorded(telemetry, APPLIED, intent=Intent(1, 7, Action.FULL_LOAD, (), NOW - timedelta(seconds=9), NOW))
    assert value(metrics, "last_full_load_timestamp_seconds") == NOW.timestamp() - 9
    assert value(metrics, "push_records_count", action="fullLoad") == 1


@pytest.mark.parametrize("effect", [Effect.UNKNOWN, Effect.NOT_APPLIED])
def test_a_failure_is_counted_by_its_reason_and_told_with_the_hubs_words(telemetry, metrics, log, effect):
    recorded(telemetry, Verdict(effect, Scope.HUB, Reason.HUB_TROUBLE, code="009", detail="try later"))
    assert value(metrics, "push_failures_total", action="update", reason="hub_trouble") == 1
    assert value(metrics, "pushes_total", action="update") == 0
    assert value(metrics, "last_successful_push_timestamp_seconds") == 0
    told, warning = log[:2]
    assert (told["event"], told["log_level"], told["process_id"]) == (f"push.{effect}", "info", "p-1")
    assert (warning["event"], warning["log_level"]) == ("push.failing", "warning")
    assert (warning["detail"], warning["process_id"]) == ("try later", "p-1")


def test_an_evse_is_named_at_debug_only(telemetry, log):
    recorded(telemetry, Verdict(Effect.NOT_APPLIED, Scope.RECORD, Reason.INVALID_RECORD))
    recorded(telemetry, APPLIED, work())
    telemetry.observed(found(unmapped={KEY: "Ready"}))
    assert {event["log_level"] for event in log if "E1" in str(event)} == {"debug"}


def test_a_change_of_state_is_one_line_and_one_gauge(telemetry, metrics, log):
    telemetry.state(LaneState.ACTIVE)
    telemetry.state(LaneState.ACTIVE)
    telemetry.state(LaneState.HELD, "unauthorized", "no such account")
    assert [(event["state"], event["log_level"]) for event in log] == [("active", "info"), ("held", "warning")]
    assert log[1]["reason"] == "unauthorized"
    gauges = {state: value(metrics, "lane_state", state=state) for state in LaneState}
    assert gauges == {state: float(state is LaneState.HELD) for state in LaneState}


def test_a_condition_that_lasts_is_told_once_and_again_when_it_changes(telemetry, log):
    for word in ("Ready", "Ready", "Steady"):
        telemetry.observed(found(unmapped={KEY: word}))
    told = [event["words"] for event in log if event["event"] == "status.unmapped"]
    assert told == [["Ready"], ["Steady"]]


def test_a_full_load_that_waits_is_told_once_each_time_that_one_is_due(telemetry, log):
    for _ in range(2):
        telemetry.full_load_postponed("the ledger has doubts")
        telemetry.full_load_postponed("the ledger has doubts")
        recorded(telemetry, APPLIED, intent=Intent(1, 7, Action.FULL_LOAD, (), NOW, NOW))
    assert [event["event"] for event in log] == ["full_load.postponed", "push.acknowledged"] * 2


def test_every_unmapped_word_is_counted(telemetry, metrics):
    telemetry.observed(found(unmapped={KEY: "Ready", CanonicalEvseId("DEABCE2"): "Steady"}))
    telemetry.observed(found(unmapped={KEY: "Ready"}))
    assert value(metrics, "unmapped_statuses_total") == 3


def test_rejected_rows_and_held_withdrawals_are_told(telemetry, log):
    malformed = Rejection.MALFORMED_EVSE_ID
    row = Rejected(EvseId("x"), CanonicalEvseId("X"), OperatorId("DE*ABC"), malformed, "'x' is no EvseID")
    telemetry.observed(found(rejected=[row], held=3))
    events = {event["event"]: event for event in log}
    assert events["withdrawals.held"]["count"] == 3
    assert events["evses.rejected"]["count"] == 1
    assert events["evse.rejected"]["detail"] == "'x' is no EvseID"
    assert events["evse.rejected"]["log_level"] == "debug"


def test_an_abandoned_and_an_overtaken_push_are_told_with_their_attempt(telemetry, log):
    telemetry.abandoned(INTENT)
    telemetry.overtaken(INTENT, "p-9")
    assert [(event["event"], event["attempt"]) for event in log] == [("push.abandoned", 7), ("push.overtaken", 7)]
    assert log[1]["process_id"] == "p-9"
