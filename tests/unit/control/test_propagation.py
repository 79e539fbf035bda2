import http.server
import threading
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from oicp_adapter.control.propagation import KEPT, Propagation, propagation_of, quantile, read_metrics
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.settings import MonitoringSettings, Settings
from oicp_adapter.sync.model import LaneState
from reliability.real.process import eventually

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
INFINITE = float("inf")


class Daemon:
    """Serves the daemon's own metrics, as the daemon does, or what it is told to say; silent when told so."""

    def __init__(self):
        self.metrics = Metrics(["DE*ABC", "DE*XYZ"])
        self.answers = True
        self.says = None
        daemon = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if daemon.answers else 503)
                self.end_headers()
                self.wfile.write(daemon.says or generate_latest(daemon.metrics.registry))

            def log_message(self, *_):
                return None

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def took(self, *seconds, operator="DE*ABC"):
        for each in seconds:
            self.metrics.propagation.labels(operator).observe(each)


@pytest.fixture
def daemon():
    made = Daemon()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


def test_the_lanes_states_and_the_changes_of_all_lanes_are_read_from_the_daemons_own_text(daemon):
    daemon.took(0.04, 0.2)
    daemon.took(0.04, operator="DE*XYZ")
    daemon.metrics.lane_state.labels("DE*ABC", LaneState.HELD).set(1)
    counts, lanes = read_metrics(generate_latest(daemon.metrics.registry).decode())
    assert counts[0.05] == 2
    assert counts[INFINITE] == 3
    assert lanes == {"DE*ABC": "held"}


def test_what_is_no_metric_says_nothing():
    assert read_metrics('oicp_adapter_lane_state{operator="x" 1') == ({}, {})
    assert read_metrics("<html>") == ({}, {})


def test_a_span_holds_the_changes_between_its_looks_and_none_of_those_before(daemon):
    clock = Clock()
    daemon.took(30, 30, 30)
    propagation = Propagation(daemon.url, clock=clock)
    propagation.look()
    for seconds in (0.04, 0.2):
        clock.now += 10 * SECOND
        daemon.took(seconds, seconds)
        propagation.look()
    first, second = propagation.spans(parts=2, length=10 * SECOND)
    assert (first.start, first.changes, second.changes) == (NOON, 2, 2)
    assert 0.025 <= first.median <= first.slowest <= 0.05
    assert 0.1 <= second.median <= second.slowest <= 0.25


def test_a_daemon_that_was_started_anew_begins_at_nothing(daemon):
    clock = Clock()
    propagation = Propagation(daemon.url, clock=clock)
    daemon.took(*[0.04] * 9)
    propagation.look()
    clock.now += SECOND
    daemon.metrics = Metrics(["DE*ABC"])
    daemon.took(0.2)
    propagation.look()
    [span] = propagation.spans(parts=1, length=SECOND)
    assert span.changes == 1


def test_a_silent_daemon_is_said_to_be_silent_and_its_time_is_a_gap(daemon):
    clock = Clock()
    propagation = Propagation(daemon.url, clock=clock)
    assert propagation.latest is None
    assert propagation.spans(parts=3, length=SECOND) == []
    propagation.look()
    daemon.answers = False
    clock.now += SECOND
    assert propagation.look().silent == f"the daemon's metrics at {daemon.url} answer 503"
    assert [span.changes for span in propagation.spans(parts=1, length=SECOND)] == [None]
    assert "does not answer at http://127.0.0.1:9" in Propagation("http://127.0.0.1:9").look().silent


def test_what_is_remembered_is_bounded(daemon):
    clock = Clock()
    daemon.answers = False
    propagation = Propagation("http://127.0.0.1:9", clock=clock)
    for _ in range(KEPT + 5):
        clock.now += SECOND
        propagation.look()
    assert len(propagation._looks) == KEPT


def test_it_asks_by_itself_and_stops(daemon):
    propagation = Propagation(daemon.url)
    propagation.start()
    eventually(lambda: propagation.latest is not None)
    propagation.stop()
    assert propagation.latest.silent is None
    assert not propagation._thread.is_alive()


def test_a_text_over_which_the_parser_stumbles_is_a_silent_daemon_and_it_goes_on_asking(daemon, monkeypatch):
    monkeypatch.setattr("oicp_adapter.control.propagation.EVERY", timedelta(milliseconds=1))
    daemon.says = b'oicp_adapter_status_propagation_seconds_bucket{le="2.5", =operator="DE*ABC"} 0.0'
    propagation = Propagation(daemon.url)
    propagation.start()
    eventually(lambda: len(propagation._looks) > 1)
    assert propagation.latest.silent == f"the daemon's metrics at {daemon.url} cannot be read (IndexError)"
    daemon.says = None
    eventually(lambda: propagation.latest.silent is None)
    propagation.stop()


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:9"), ("0.0.0.0", "http://127.0.0.1:9"), ("::", "http://[::1]:9")],  # noqa: S104 - nothing listens
)
def test_the_daemon_is_asked_where_the_settings_let_it_listen(host, url):
    settings = Settings.model_construct(monitoring=MonitoringSettings(host=host, port=9))
    assert propagation_of(settings)._url == url


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ({0.1: 0, 1.0: 10, INFINITE: 10}, 0.5, 0.55),
        ({0.1: 10, 1.0: 10, INFINITE: 10}, 0.5, 0.05),
        ({0.1: 0, 1.0: 0, INFINITE: 4}, 0.5, 1.0),
        ({0.1: 0, INFINITE: 0}, 0.5, None),
        ({}, 0.5, None),
    ],
)
def test_a_quantile_lies_within_the_bounds_that_hold_it(counts, share, seconds):
    assert quantile(counts, share) == pytest.approx(seconds)
