"""The monitoring endpoints answer in words, and ask nobody."""

import asyncio

import pytest

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.monitoring import monitoring_app


def ask(app, path, method="GET"):
    """Call an ASGI application once; return status, headers and body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [],
    }
    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return sent[0]["status"], headers, body


def app(alive=None, ready=None):
    return monitoring_app(Metrics(["DE*ABC"]), not_alive=lambda: alive, not_ready=lambda: ready)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_healthy_daemon_answers_ok(path):
    assert ask(app(), path)[::2] == (200, "ok\n")


def test_a_daemon_that_is_not_ready_says_why_and_is_alive_nevertheless():
    starting = app(ready="starting: lane DE*ABC has not read the store yet")
    assert ask(starting, "/readyz")[::2] == (503, "starting: lane DE*ABC has not read the store yet\n")
    assert ask(starting, "/livez")[0] == 200


def test_a_daemon_that_hangs_says_so():
    assert ask(app(alive="lane DE*ABC has not turned for 120 s"), "/livez")[::2] == (
        503,
        "lane DE*ABC has not turned for 120 s\n",
    )


def test_metrics_are_prometheus_text():
    status, headers, body = ask(app(), "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE oicp_adapter_pending_evses gauge\n" in body


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/metrics", "POST", 405)])
def test_nothing_else_is_served(path, method, status):
    assert ask(app(), path, method)[0] == status
