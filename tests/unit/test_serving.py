"""A server that others may reach closes what only takes places."""

import http.client
import io
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from oicp_adapter import serving
from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.logs import configure_logging
from oicp_adapter.serving import BackgroundServer, Front
from oicp_adapter.settings import LogSettings


@pytest.fixture
def address(monkeypatch):
    """Host and port of a server that waits for an instant only, and says how much it was sent."""
    monkeypatch.setattr(serving, "HEAD_WITHIN", 0.3)
    monkeypatch.setattr(serving, "BODY_WITHIN", 0.3)

    async def count(request):
        return PlainTextResponse(str(len(await request.body())))

    here = Route("/", lambda _: PlainTextResponse("here"))
    app = Starlette(routes=[here, Route("/count", count, methods=["POST"])])
    server = BackgroundServer(app, host="127.0.0.1", port=0, what="test server")
    server.start()
    yield "127.0.0.1", int(server.url.rpartition(":")[2])
    server.stop()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_does_not_finish_its_head_is_let_go(address, sent):
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(sent)
        assert client.recv(1000) == b""


@pytest.mark.parametrize("sent", [b"content-length: 4\r\n\r\nab", b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n"])
def test_a_client_that_does_not_finish_its_body_is_let_go(address, sent):
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(b"POST /count HTTP/1.1\r\nhost: x\r\n" + sent)
        assert client.recv(1000) == b""


def test_a_body_that_has_come_is_waited_for_no_longer(address):
    client = http.client.HTTPConnection(*address, timeout=30)
    for _ in range(3):
        client.request("POST", "/count", body=b"abcd")
        assert client.getresponse().read() == b"4"
    client.close()


def test_a_client_that_asks_again_on_its_connection_is_answered(address):
    client = http.client.HTTPConnection(*address, timeout=30)
    for _ in range(3):
        client.request("GET", "/")
        assert client.getresponse().read() == b"here"
    client.close()


def test_clients_that_speak_no_http_do_not_end_the_server(address):
    said = io.StringIO()
    configure_logging(LogSettings(), stream=said)
    for _ in range(30):
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(b"garbage\r\n\r\n")
            assert b"400" in client.recv(1000)
    client = http.client.HTTPConnection(*address, timeout=30)
    client.request("GET", "/")
    assert client.getresponse().read() == b"here"
    client.close()
    assert len(said.getvalue().splitlines()) == 1


@pytest.mark.parametrize("head", ["-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "Proc-Type: 4,ENCRYPTED\n"])
def test_a_key_that_wants_a_password_is_refused_before_a_terminal_is_asked_for_it(tmp_path, head):
    key = tmp_path / "server.key"
    key.write_text(head)
    with pytest.raises(ConfigurationError, match=r"server\.key of the test server is encrypted: name a key without"):
        BackgroundServer(None, host="127.0.0.1", port=0, what="test server", front=Front(key, key))
