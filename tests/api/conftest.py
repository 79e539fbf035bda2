"""Serves the real API over a real store and a real socket, and gives each test tokens and a client."""

import itertools
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from oicp_adapter.api.app import api_app
from oicp_adapter.control.access import ROLES, NewToken, create_token
from oicp_adapter.control.desk import Desk, desk_of
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.serving import BackgroundServer
from oicp_adapter.settings import OperatorSettings, Settings
from oicp_adapter.store.engine import Store

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used; else each client would read the system's authorities, which takes longer than most tests."""

WINDOWS = "/v2/temporary-evse-statuses"
ANN = Actor("ann", None, EVERYTHING)
FLEET = {
    "DE*ABC*E1": ("Mainz, Rheinufer", "CB1"),
    "DE*ABC*E2": ("Mainz, Rheinufer", "CB1"),
    "DE*ABC*E3": ("Mainz, Rheinufer", "CB2"),
    "DE*ABC*E4": ("Köln, Dom", "CB3"),
    "DE*ABC*E5": (None, None),
}


def wire(instant: datetime) -> str:
    """An instant as a client writes it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def soon(**after: float) -> str:
    """A time to come, to the second."""
    return wire((datetime.now(UTC) + timedelta(**after)).replace(microsecond=0))


@pytest.fixture
def desk(store: Store) -> Desk:
    with store.writing() as connection:
        for evse_id, (location, charge_box) in FLEET.items():
            connection.execute(
                text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, 'DE*ABC', 'Available')"),
                {"evse": evse_id},
            )
            if location is not None:
                connection.execute(
                    text(
                        "INSERT INTO evse_location (evse_id, location, charge_box, time_zone)"
                        " VALUES (:evse, :location, :box, 'Europe/Berlin')"
                    ),
                    {"evse": evse_id, "location": location, "box": charge_box},
                )
    operator = OperatorSettings(id="DE*ABC", certificate="client.pem", private_key="client.key")
    return desk_of(Settings(operators=(operator,)), store)


@pytest.fixture
def token(desk: Desk) -> Callable[..., str]:
    """Make a token of a role, named after it, with other facts of `NewToken` on demand; return its text."""

    def make(role: str = "operator", **other: object) -> str:
        facts = {"name": role, "scopes": ROLES[role].scopes, "kinds": ROLES[role].kinds, "requests_per_minute": 6000}
        return create_token(desk, ANN, NewToken(**(facts | other)))[1]

    return make


@pytest.fixture
def address(desk: Desk) -> Iterator[str]:
    """URL of the API, served by uvicorn."""
    server = BackgroundServer(api_app(desk, RateLimits()), host="127.0.0.1", port=0, what="API")
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def client_of(address: str) -> Iterator[Callable[[str | None], httpx.Client]]:
    """Make a client that comes with a token; None: with none."""
    clients = []

    def make(text: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {text}"} if text is not None else {}
        clients.append(httpx.Client(base_url=address, headers=headers, trust_env=False, verify=TLS, timeout=30))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


@pytest.fixture
def api(client_of: Callable[[str | None], httpx.Client], token: Callable[..., str]) -> httpx.Client:
    """The client of an operator."""
    return client_of(token())


@pytest.fixture
def made(api: httpx.Client) -> Callable[..., dict]:
    """Set a temporary status and return it."""
    numbers = itertools.cycle(FLEET)

    def make(**body: object) -> dict:
        wanted = {"evseId": next(numbers), "temporaryStatus": "MAINTENANCE"} | body
        answer = api.post(WINDOWS, json=wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return make


def problem(answer: httpx.Response, status: int, kind: str) -> dict:
    """The problem that an answer is, after a look at everything that every problem has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"]) == (f"/problems/{kind}", status)
    assert body["instance"] == answer.request.url.path
    assert body["title"]
    assert body["detail"]
    assert all(set(each) == {"field", "detail"} for each in body["errors"])
    return body
