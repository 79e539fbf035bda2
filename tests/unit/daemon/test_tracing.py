"""A push is one trace from its oldest change to its acknowledgement; without a collector it is none at all."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from oicp_adapter.daemon.tracing import EVENTS, PushTracer, configure_tracing
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.logs import configure_logging
from oicp_adapter.settings import LogSettings
from oicp_adapter.sync.answers import Answer, Effect, Progress, Reason, Scope, TransportFault, Verdict
from oicp_adapter.sync.model import Action, Entry, Intent, Record, Work, WorkReason

KEY, EVSE = CanonicalEvseId("DEABCE1"), EvseId("DE*ABC*E1")
RECORD = Record(KEY, EVSE, OicpStatus.OCCUPIED)
ANSWER = Answer(Progress.SENT, http_status=200, process_id="p-1", duration=timedelta(seconds=0.25))
SILENCE = Answer(Progress.SENT, TransportFault.TIMEOUT)
APPLIED = Verdict(Effect.APPLIED, code="000")
UNKNOWN = Verdict(Effect.UNKNOWN, Scope.HUB, Reason.TIMEOUT, detail="no answer came")
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


class Case:
    """One lane's tracer, and what it made."""

    def __init__(self, sampler=ALWAYS_ON):
        self.memory = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = PushTracer("DE*ABC", provider.get_tracer("test"))

    def push(self, *work, answer=ANSWER, verdict=APPLIED, attempt=7):
        now = datetime.now(UTC)
        intent = Intent(1, attempt, Action.UPDATE, (RECORD,), now, now + timedelta(seconds=80))
        self.tracer.looks()
        self.tracer.sends()
        self.tracer.answered()
        return self.tracer.recorded(intent, work, answer=answer, verdict=verdict, size=len(work))

    def spans(self):
        """Return the root of the newest trace, and its children by name."""
        found = self.memory.get_finished_spans()
        root = [span for span in found if span.parent is None][-1]
        children = [span for span in found if span.parent and span.parent.span_id == root.context.span_id]
        return root, {span.name: span for span in children}


def work(reason=WorkReason.CHANGED, ago=2.0):
    since = datetime.now(UTC) - timedelta(seconds=ago)
    return Work(RECORD, Action.UPDATE, reason, since, urgent=False, entry=Entry(KEY, EVSE))


@pytest.fixture
def case():
    return Case()


def test_a_push_is_traced_from_its_oldest_change_to_its_record_without_a_gap(case):
    old, new = work(ago=30.0), work(ago=1.0)
    ids = case.push(new, old)
    root, steps = case.spans()
    assert root.name == "push update"
    assert root.start_time == pytest.approx(old.since.timestamp() * 1e9, abs=1e3)
    assert list(steps) == ["wait", "commit intent", "POST", "record outcome"]
    ends = [root.start_time, *(span.end_time for span in steps.values())]
    assert [span.start_time for span in steps.values()] == ends[:-1]
    assert root.end_time >= ends[-1]
    assert steps["POST"].kind is SpanKind.CLIENT
    assert steps["POST"].attributes["http.response.status_code"] == 200
    assert dict(root.attributes) == {
        "oicp.operator_id": "DE*ABC",
        "oicp.action": "update",
        "oicp.attempt": 7,
        "oicp.records": 2,
        "oicp.changes": 2,
        "oicp.effect": "applied",
        "oicp.status_code": "000",
        "oicp.process_id": "p-1",
    }
    assert root.status.status_code is StatusCode.UNSET
    assert ids == {"trace_id": f"{root.context.trace_id:032x}", "span_id": f"{root.context.span_id:016x}"}


def test_each_change_is_named_when_it_was_made_and_a_flood_of_them_is_cut(case):
    case.push(*[work(ago=number) for number in range(1, EVENTS + 50)], work(WorkReason.REASSERTED, ago=9000.0))
    root, _ = case.spans()
    assert len(root.events) == EVENTS
    assert root.attributes["oicp.changes"] == EVENTS + 49
    assert root.attributes["oicp.records"] == EVENTS + 50
    first = root.events[0]
    assert dict(first.attributes) == {"oicp.evse_id": EVSE, "oicp.evse_status": "Occupied", "reason": "changed"}
    assert datetime.now(UTC).timestamp() * 1e9 - first.timestamp == pytest.approx(1e9, rel=0.5)


def test_what_nobody_waits_for_begins_with_the_look(case):
    case.push(work(WorkReason.REASSERTED, ago=9000.0))
    root, _ = case.spans()
    assert root.events == ()
    assert datetime.now(UTC).timestamp() * 1e9 - root.start_time < 60e9


def test_a_failure_is_an_error_and_the_next_push_is_linked_to_it(case):
    ids = case.push(work(), answer=SILENCE, verdict=UNKNOWN)
    failed, steps = case.spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "no answer came"
    assert failed.attributes["error.type"] == "timeout"
    assert steps["POST"].attributes["error.type"] == "timeout"
    assert "http.response.status_code" not in steps["POST"].attributes
    case.push(work(), attempt=8)
    again, _ = case.spans()
    assert [f"{link.context.trace_id:032x}" for link in again.links] == [ids["trace_id"]]
    case.push(work(), attempt=9)
    assert case.spans()[0].links == ()


def test_a_trace_that_is_not_sampled_is_not_named_in_the_log():
    case = Case(ALWAYS_OFF)
    assert case.push(work(), verdict=UNKNOWN) == {}
    assert case.memory.get_finished_spans() == ()


def test_without_a_tracer_nothing_is_made():
    case = Case()
    case.tracer = PushTracer("DE*ABC", None)
    assert case.push(work()) == {}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "None"},
    ],
)
def test_nothing_is_traced_unless_a_collector_is_named(environ):
    with capture_logs() as log:
        tracing = configure_tracing(environ)
    assert tracing.tracer is None
    assert log == []
    tracing.close()


def test_a_protocol_that_is_not_spoken_is_told_with_its_cure():
    with capture_logs() as log:
        assert configure_tracing(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).tracer is None
    assert [(event["event"], event["reason"]) for event in log] == [("tracing.off", "OTLP over grpc is not spoken")]


def test_a_missing_extra_is_told_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with capture_logs() as log:
        assert configure_tracing(ENDPOINT).tracer is None
    assert log[0]["event"] == "tracing.off"
    assert log[0]["cure"] == "pip install 'oicp-adapter[tracing]'"


@pytest.mark.parametrize("address", ["http://[::1", "127.0.0.1:4318", "collector", "http://collector:port", "http://"])
def test_an_address_that_is_none_keeps_nothing_but_spans_back(address):
    with capture_logs() as log:
        assert configure_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": address}).tracer is None
    assert log[0]["event"] == "tracing.off"


def test_variables_that_the_library_refuses_keep_nothing_but_spans_back(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999")
    with capture_logs() as log:
        assert configure_tracing(ENDPOINT).tracer is None
    assert log[0]["event"] == "tracing.off"
    assert "OTEL_" in log[0]["cure"]


def test_the_log_names_the_collector_without_what_its_address_may_hide(monkeypatch):
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:canary@127.0.0.1:9/canary?token=canary"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address["OTEL_EXPORTER_OTLP_ENDPOINT"])
    with capture_logs() as log:
        configure_tracing(address).close()
    assert [(event["event"], event["collector"]) for event in log] == [("tracing.on", "127.0.0.1")]
    assert "canary" not in str(log)


def test_a_header_that_the_library_cannot_read_is_not_shown(monkeypatch, capfd):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization Bearer canary")
    configure_logging(LogSettings(level="debug"))
    configure_tracing(ENDPOINT).close()
    assert "canary" not in "".join(capfd.readouterr())
