"""Probes of the control server: liveness asks nothing, readiness the store, and strangers learn nothing of either."""

import threading
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Match

from oicp_adapter.api import probes
from oicp_adapter.api.app import serves
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.domain.errors import StoreSchemaError, StoreUnavailableError
from oicp_adapter.page.router import page_router
from oicp_adapter.serving import BackgroundServer
from tests.api.conftest import TLS

PATHS = ("/livez", "/readyz")


@pytest.fixture
def client(desk, monkeypatch):
    """A client of a server with nothing but the probes."""
    monkeypatch.setattr(probes, "KEPT_FOR", 0.0)
    server = BackgroundServer(
        Starlette(routes=probes.probe_routes(desk.store)), host="127.0.0.1", port=0, what="probes"
    )
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False, verify=TLS, timeout=30) as client:
        yield client
    server.stop()


def test_both_say_ok_without_a_token(client):
    assert [(answer.status_code, answer.text) for answer in map(client.get, PATHS)] == [(200, "ok\n")] * 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreUnavailableError("no /srv/store.db at db.internal", cure="wait"), "the store does not answer"),
        (StoreSchemaError("no table in /srv/store.db", cure="upgrade"), "the store has not the tables of this program"),
    ],
)
def test_a_store_that_cannot_be_read_is_not_ready_but_alive_and_is_told_without_names(
    client, desk, monkeypatch, error, told
):
    def fail(*_, **__):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(type(desk.store), "reading", fail)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, f"{told}; the log of `serve` has more\n")
        assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_store_that_hangs_is_told_in_time_and_asked_by_one_thread_only(client, desk, monkeypatch):
    monkeypatch.setattr(probes, "ANSWER_WITHIN", 0.1)
    held, asked = threading.Event(), []

    def hang(store):
        asked.append(store)
        held.wait(30)

    monkeypatch.setattr(probes, "require_answer", hang)
    try:
        for _ in range(3):
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert "has not answered" in answer.text
        assert client.get("/livez").status_code == 200
        assert len(asked) == 1
    finally:
        held.set()
    end = time.monotonic() + 30
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < end


def test_many_who_ask_within_a_second_cost_one_look(client, monkeypatch):
    asked = []
    monkeypatch.setattr(probes, "KEPT_FOR", 60.0)
    monkeypatch.setattr(probes, "require_answer", asked.append)
    assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(asked) == 1


@pytest.mark.parametrize("path", PATHS)
def test_nothing_of_the_api_or_of_the_page_has_their_paths(desk, path):
    assert not serves(path)
    *routes, everything_else = page_router(desk, limits=RateLimits()).routes
    assert everything_else.path == "/{anything:path}"
    scope = {"type": "http", "path": path, "method": "GET"}
    assert [route for route in routes if route.matches(scope)[0] is not Match.NONE] == []
