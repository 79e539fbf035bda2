"""A collector gets each push as one trace, and the log names it beside Hubject's Process-ID."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """
    Takes spans as an OpenTelemetry collector does.

    Attributes:
        deaf: It hangs up instead of answering, and takes nothing.
        lost: The batches that came meanwhile, each by the numbers of its spans; one that is sent again is no other.
    """

    def __init__(self, port: int = 0, *, deaf: bool = False) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.deaf = deaf
        self.lost: set[frozenset[bytes]] = set()
        self.resources: list[dict[str, str]] = []
        self.spans: list = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def trace(self, trace_id: str) -> dict:
        return {span.name: span for span in list(self.spans) if span.trace_id.hex() == trace_id}


def spans_of(sent) -> list:
    return [span for scope in sent.scope_spans for span in scope.spans]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        asked = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.deaf:
            self.server.lost.add(frozenset(span.span_id for each in asked.resource_spans for span in spans_of(each)))
            self.close_connection = True
            return
        for each in asked.resource_spans:
            self.server.resources.append({item.key: item.value.string_value for item in each.resource.attributes})
            self.server.spans += spans_of(each)
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(made: Collector) -> Iterator[Collector]:
    with made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with serving(Collector()) as made:
        yield made


@pytest.fixture
def traced(collector, monkeypatch):
    """The collector, named in the environment of daemons that start from now on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    return collector


def test_a_change_is_followed_to_its_acknowledgement_and_the_log_leads_there(site, traced, eventually):
    daemon = site.loaded()
    changed = time.time_ns()
    site.write("DE*ABC*E1", "Faulted")
    (told,) = eventually(lambda: daemon.log("push.acknowledged", action="update"))
    trace = eventually(lambda: len(found := traced.trace(told["trace_id"])) == 5 and found)
    root = trace["push update"]
    assert root.span_id.hex() == told["span_id"]
    facts = {item.key: item.value.string_value for item in root.attributes}
    assert facts["oicp.process_id"] == told["process_id"]
    assert abs(root.start_time_unix_nano - changed) < 5e9
    assert changed < trace["POST"].start_time_unix_nano < trace["POST"].end_time_unix_nano <= root.end_time_unix_nano
    (event,) = root.events
    assert {item.key: item.value.string_value for item in event.attributes}["oicp.evse_id"] == "DE*ABC*E1"
    assert traced.resources[0]["service.name"] == "oicp-adapter"
    assert daemon.stop() == 0


def test_what_a_stop_finds_unsent_is_sent(site, traced, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "sidecar-7")
    daemon = site.loaded()
    assert traced.spans == []
    assert daemon.stop() == 0
    assert "push fullLoad" in {span.name for span in traced.spans}
    assert traced.resources[0]["service.name"] == "sidecar-7"


def test_a_collector_that_comes_back_gets_spans_again(site, traced, eventually, free_port, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    site.fleet(3)
    daemon = site.daemon()
    statuses = cycle(["Faulted", "Charging", "Available"])

    def push():
        site.write("DE*ABC*E1", next(statuses))
        return True

    def failed():
        push()
        return daemon.text().count("opentelemetry") > 0 or daemon.log(level="error")

    eventually(failed, every=0.5)
    with serving(Collector(free_port, deaf=True)) as late:
        eventually(lambda: push() and len(late.lost) > 1, every=0.5)  # once a second begins, one more has failed
        late.deaf = False
        eventually(lambda: push() and late.spans, every=0.5)
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.text()


def test_a_collector_that_is_away_costs_no_push_and_no_late_stop(site, traced, eventually, free_port, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port}")
    site.fleet(3)
    daemon = site.daemon()
    for number, status in enumerate(["Faulted", "Charging", "Available"] * 3):
        site.write("DE*ABC*E1", status)
        eventually(lambda told=number: len(daemon.log("push.acknowledged", action="update")) > told)
    assert daemon.get("/readyz") == (200, "ok\n")
    asked = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - asked < 2 + 6  # what the last spans may take, and a stop on a machine with much to do
    assert not [event for event in daemon.log() if "retrying" in event["event"]]
