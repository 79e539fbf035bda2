import json
from datetime import timedelta

import httpx
import pytest
import respx

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.oicp.client import HubClient, PushRequest, boottime
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.sync.answers import TransportFault
from oicp_adapter.sync.model import Action, Record

BASE = "https://hub.example/api/oicp"
ROUTE = f"{BASE}/evsepush/v21/operators/DE*ABC/status-records"


@pytest.fixture
def identity(pki):
    pair = pki.clients["DE*ABC"]
    return ClientIdentity(certificate=pair.certificate, private_key=pair.private_key, ca_file=pki.hub_ca.certificate)


@pytest.fixture
def client(identity):
    made = HubClient(base_url=BASE + "/", identity=identity, request_timeout=timedelta(seconds=5))
    yield made
    made.close()


def push(client, action=Action.UPDATE):
    record = Record(evse_key("DE*ABC*E1"), "DE*ABC*E1", OicpStatus.OCCUPIED)
    return client.push(PushRequest(action, "DE*ABC", "ABC", [record], 1), send_before=boottime() + 10)


@respx.mock
@pytest.mark.parametrize("action", Action)
def test_every_action_is_posted_to_the_operators_records(client, action):
    route = respx.post(ROUTE).respond(200, json={"Result": True, "StatusCode": {"Code": "000"}})
    answer = push(client, action)
    assert (answer.http_status, answer.fault) == (200, None)
    assert json.loads(answer.body)["Result"] is True
    sent = route.calls.last.request
    assert json.loads(sent.content)["ActionType"] == action
    assert sent.headers["Accept"] == sent.headers["Content-Type"] == "application/json"


@respx.mock
@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 408, 413, 429, 500, 503])
def test_every_status_is_an_answer_and_never_an_exception(client, status):
    respx.post(ROUTE).respond(status, text="<html>", headers={"Process-ID": "p-1", "Retry-After": "x" * 5000})
    answer = push(client)
    assert (answer.http_status, answer.body, answer.process_id) == (status, b"<html>", "p-1")
    assert len(answer.retry_after) < 250


@respx.mock
@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        (httpx.ConnectError, TransportFault.CONNECT),
        (httpx.ConnectTimeout, TransportFault.CONNECT),
        (httpx.PoolTimeout, TransportFault.CONNECT),
    ],
)
def test_what_the_network_raises_becomes_an_answer(client, raised, fault):
    respx.post(ROUTE).mock(side_effect=raised)
    answer = push(client)
    assert (answer.http_status, answer.fault) == (None, fault)


@respx.mock
@pytest.mark.parametrize(
    ("header", "date"),
    [
        ("Sun, 22 Nov 2026 10:00:00 GMT", "2026-11-22T10:00:00+00:00"),
        ("Sun, 22 Nov 2026 12:00:00 +0200", "2026-11-22T10:00:00+00:00"),
        ("Sun, 22 Nov 2026 10:00:00 -0000", "2026-11-22T10:00:00+00:00"),
        ("Fri, 31 Dec 9999 23:59:00 -2359", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_is_read_in_utc_or_not_at_all(client, header, date):
    respx.post(ROUTE).respond(200, headers={"Date": header})
    answer = push(client)
    assert (answer.date and answer.date.isoformat()) == date


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hub.example/api/oicp", "is not https"),
        ("hub.example", "is not https"),
        ("", "is not https"),
        ("https://", "is not https"),
        ("https://hub.example:port", "malformed"),
        ("https://user:secret@hub.example", "has a user"),
        ("http://user:secret@hub.example", "has a user"),
        ("https://hub.example/?key=secret", "a query"),
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_a_password(identity, url, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        HubClient(base_url=url, identity=identity, request_timeout=timedelta(seconds=5))
    assert "secret" not in str(caught.value)


def test_aborting_without_an_exchange_does_nothing(client):
    client.abort()
