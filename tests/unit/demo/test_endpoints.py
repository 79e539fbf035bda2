"""What the hub's admin endpoint and the daemon's metrics are understood to say."""

import json

import pytest
from prometheus_client import generate_latest

from oicp_adapter.daemon.metrics import Metrics as DaemonMetrics
from oicp_adapter.demo.endpoints import ask_held, ask_metrics, ask_ready, ask_requests
from oicp_adapter.sync.model import LaneState
from tests.unit.web_server import web_server

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def server():
    """The URL of a server, and its answers, which a test fills in."""
    answers = {}
    with web_server(answers) as (port, _):
        yield f"http://127.0.0.1:{port}", answers


def test_the_state_of_each_lane_is_read_from_the_daemons_own_metrics(server):
    url, answers = server
    metrics = DaemonMetrics(["DE*ABC", "+43*822"])
    metrics.lane_state.labels("DE*ABC", LaneState.HELD).set(1)
    metrics.lane_state.labels("+43*822", LaneState.ACTIVE).set(1)
    answers["/metrics"] = 200, generate_latest(metrics.registry)

    assert ask_metrics(url).lanes == {"DE*ABC": LaneState.HELD, "+43*822": LaneState.ACTIVE}


def test_readiness_is_none_or_the_reason_against_it(server):
    url, answers = server
    answers["/readyz"] = 503, b"starting: lane DE*ABC has not read the store yet\n"
    assert ask_ready(url) == "starting: lane DE*ABC has not read the store yet"

    answers["/readyz"] = 200, b"ok\n"
    assert ask_ready(url) is None


def test_what_the_hub_holds_is_keyed_by_the_canonical_evse_id(server):
    url, answers = server
    held = {"operators": {"DE*ABC": [{"evse_id": "DE*ABC*E1", "status": "Occupied", "changed_at": "…"}]}}
    answers["/state"] = 200, json.dumps(held).encode()

    assert ask_held(url) == {"DE*ABC": {"DEABCE1": "Occupied"}}


def test_requests_are_counted_by_action_and_by_whether_they_were_performed(server):
    url, answers = server
    done = {"action": "update", "code": "000", "answered_at": "2026-05-01T12:00:00Z"}
    requests = [done, done, done | {"code": "022"}, {"action": None, "code": None, "answered_at": None}]
    answers["/journal"] = 200, json.dumps({"requests": requests, "counters": {"overlaps": 1}}).encode()

    found = ask_requests(url)

    assert found.by_action == {"update": 3, "unreadable": 1}
    assert (found.refused, found.overlaps) == (2, 1)


def test_who_does_not_answer_or_answers_with_an_error_has_said_nothing(server):
    for url in (NOBODY, server[0]):
        assert ask_held(url) is None
        assert ask_requests(url) is None
        assert ask_metrics(url) is None
        assert ask_ready(url)
