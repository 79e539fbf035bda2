import json
import ssl
import warnings

import httpx
import pytest

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.oicp.client import PushRequest, boottime
from oicp_adapter.sync.answers import Effect, Progress, TransportFault
from oicp_adapter.sync.classify import classify
from oicp_adapter.sync.model import Action


def test_a_push_arrives_as_the_documents_describe_it(start_hub, connect, push):
    hub = start_hub()
    answer = push(connect(hub))
    assert (answer.progress, answer.fault, answer.http_status) == (Progress.SENT, None, 200)
    assert classify(answer, 1).effect is Effect.APPLIED
    (request,) = hub.requests
    assert request.line == b"POST /api/oicp/evsepush/v21/operators/DE*ABC/status-records HTTP/1.1"
    assert request.headers[b"content-type"] == b"application/json"
    assert request.headers[b"accept-encoding"] == b"identity"
    assert request.headers[b"user-agent"].startswith(b"oicp-adapter/")
    assert json.loads(request.body)["OperatorEvseStatus"]["OperatorID"] == "DE*ABC"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_our_client_certificate_is_really_shown(start_hub, connect, push, version):
    only = ssl.TLSVersion[version]
    hub = start_hub(lowest=only, highest=only)
    assert push(connect(hub)).http_status == 200
    subject = [pair for rdn in hub.connections[0].certificate["subject"] for pair in rdn]
    assert ("commonName", "DE*ABC") in subject


def test_httpx_with_paths_shows_no_certificate_which_is_why_the_context_is_ours(start_hub, pki):
    hub = start_hub(asks=ssl.CERT_OPTIONAL)
    pair = pki.clients["DE*ABC"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        http = httpx.Client(
            verify=str(pki.hub_ca.certificate), cert=(str(pair.certificate), str(pair.private_key)), trust_env=False
        )
    with http:
        assert http.get(f"https://localhost:{hub.port}/").status_code == 200
    assert not hub.connections[0].certificate


def test_one_connection_serves_many_pushes(start_hub, connect, push):
    hub = start_hub()
    client = connect(hub)
    assert [push(client).http_status for _ in range(5)] == [200] * 5
    assert len(hub.connections) == 1


def test_a_full_load_is_streamed_and_arrives_whole(start_hub, connect, push):
    hub = start_hub()
    assert push(connect(hub), Action.FULL_LOAD, records=25_000).http_status == 200
    (request,) = hub.requests
    assert request.headers[b"transfer-encoding"] == b"chunked"
    assert len(json.loads(request.body)["OperatorEvseStatus"]["EvseStatusRecord"]) == 25_000


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("action", [Action.FULL_LOAD, Action.UPDATE])
def test_a_push_whose_records_are_not_those_announced_is_never_completed(start_hub, connect, request_of, action, count):
    hub = start_hub()
    client = connect(hub)
    with pytest.raises(StoreUnavailableError, match=f"{count} records were announced and 4 read"):
        client.push(request_of(action, records=4, count=count), send_before=boottime() + 10)
    hub.wait()
    assert hub.requests == []
    assert all(b"]}}" not in connection.received for connection in hub.connections)


def test_an_empty_full_load_is_refused_before_anything_is_connected(start_hub, connect, push):
    hub = start_hub()
    with pytest.raises(ValueError, match="withdraw every EVSE"):
        push(connect(hub), Action.FULL_LOAD, records=0)
    assert hub.connections == []


def test_what_reading_the_records_raises_passes_through_even_if_it_looks_like_the_network(start_hub, connect):
    def broken():
        raise ConnectionResetError("the database went away")
        yield

    client = connect(start_hub())
    with pytest.raises(ConnectionResetError, match="database"):
        client.push(PushRequest(Action.FULL_LOAD, "DE*ABC", "", broken(), 3), send_before=boottime() + 10)


def test_the_answers_headers_are_reported(start_hub, connect, push):
    def script(connection):
        connection.read_request()
        connection.answer(
            b"slow down",
            status=b"429 Too Many Requests",
            headers=b"Retry-After: 7\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nProcess-ID: 5f9d\r\n",
        )

    answer = push(connect(start_hub(script)))
    assert (answer.http_status, answer.retry_after, answer.process_id) == (429, "7", "5f9d")
    assert answer.date.isoformat() == "2026-11-22T10:00:00+00:00"
    assert answer.duration.total_seconds() > 0


def test_a_plus_reaches_the_hub_as_a_plus(start_hub, connect):
    hub = start_hub()
    connect(hub).push(PushRequest(Action.UPDATE, "+49*810", "", [], 0), send_before=boottime() + 10)
    assert hub.requests[0].line.split()[1] == b"/api/oicp/evsepush/v21/operators/+49*810/status-records"


def test_redirects_are_not_followed_and_cookies_not_kept(start_hub, connect, push):
    def script(connection):
        while True:
            connection.read_request()
            connection.answer(b"", status=b"307 Temporary", headers=b"Location: /elsewhere\r\nSet-Cookie: a=b\r\n")

    hub = start_hub(script)
    client = connect(hub)
    assert [push(client).http_status, push(client).http_status] == [307, 307]
    assert all(b"cookie" not in request.headers for request in hub.requests)


def test_too_late_means_that_not_one_byte_reaches_the_hub(start_hub, connect, push):
    hub = start_hub()
    client = connect(hub)
    assert push(client).http_status == 200
    before = bytes(hub.connections[0].received)
    answer = push(client, within=-0.001)
    assert (answer.progress, answer.fault) == (Progress.NOT_SENT, TransportFault.DEADLINE_BEFORE_SEND)
    assert (len(hub.connections), bytes(hub.connections[0].received)) == (1, before)


def test_a_deadline_that_passes_while_connecting_stops_the_request_at_its_first_byte(start_hub, connect, request_of):
    """The clock jumps between the handshake and the request, as it does for a process that was suspended."""
    now = [1000.0]
    hub = start_hub()
    client = connect(hub, clock=lambda: now[0])
    secure = client._line.secure

    def suspended(*args):
        secured = secure(*args)
        now[0] += 3600
        return secured

    client._line.secure = suspended
    answer = client.push(request_of(), send_before=1005.0)
    assert (answer.progress, answer.fault) == (Progress.NOT_SENT, TransportFault.DEADLINE_BEFORE_SEND)
    hub.wait()
    assert [bytes(connection.received) for connection in hub.connections] == [b""]


def test_a_connection_that_was_idle_for_long_or_has_grown_old_is_not_used_again(start_hub, connect, request_of):
    now = [1000.0]
    hub = start_hub()
    client = connect(hub, clock=lambda: now[0])
    for step, connections in ((0, 1), (20, 1), (31, 2), (29, 2), (29, 2)):
        now[0] += step
        assert client.push(request_of(), send_before=now[0] + 1).http_status == 200
        assert len(hub.connections) == connections
    for _ in range(12):
        now[0] += 25
        assert client.push(request_of(), send_before=now[0] + 1).http_status == 200
    assert len(hub.connections) == 3


def test_a_closed_client_sends_nothing(start_hub, connect, push):
    hub = start_hub()
    client = connect(hub)
    client.close()
    client.close()
    answer = push(client)
    assert (answer.progress, answer.fault) == (Progress.NOT_SENT, TransportFault.CUT)
    assert hub.requests == []
