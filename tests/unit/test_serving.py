"""A server that others may reach closes what only takes places."""

import http.client
import io
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from oicp_adapter import serving
from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.logs import configure_logging
from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.serving import BackgroundServer, Front
from oicp_adapter.settings import LogSettings

NOW = datetime.now(UTC)
HOLDS = {"not_before": NOW - timedelta(hours=1), "not_after": NOW + timedelta(days=9)}


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


@pytest.fixture(scope="module")
def authority():
    return Authority.create("test", **HOLDS)


@pytest.fixture
def secure(authority, tmp_path):
    """A server with https, and the files of its pair."""
    pair = authority.issue_hub(["localhost"], **HOLDS).write(KeyPair(tmp_path / "a.pem", tmp_path / "a.key"))
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])
    front = Front(pair.certificate, pair.private_key)
    server = BackgroundServer(app, host="127.0.0.1", port=0, what="test server", front=front)
    server.start()
    yield server, pair
    server.stop()


def shown(server, name=None):
    """Return the number of the certificate that a new connection is shown, once a request was answered on it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=name) as client,
    ):
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True)).strip()


@pytest.mark.parametrize("name", [None, "localhost"])
def test_a_pair_that_is_replaced_on_disk_is_shown_to_new_connections(secure, authority, name):
    server, pair = secure
    before = shown(server, name)
    assert not server.pair.refresh()
    authority.issue_hub(["localhost"], **HOLDS).write(pair)
    assert shown(server, name) == before, "not before somebody looks"
    assert server.pair.refresh()
    after = shown(server, name)
    assert after != before
    assert pair.certificate.read_text().startswith(after)


def damaged(kind, pair, issue):
    """Lay something wrong where the server's pair is."""
    if kind == "half":
        pair.certificate.write_bytes(pair.certificate.read_bytes()[:300])
    elif kind == "gone":
        pair.private_key.unlink()
    elif kind == "mismatched":
        issue(**HOLDS).write(KeyPair(pair.certificate, pair.private_key.with_suffix(".other")))
    elif kind == "encrypted":
        issue(**HOLDS).write(pair, password=b"secret")
    else:
        issue(not_before=NOW - timedelta(days=2), not_after=NOW - timedelta(days=1)).write(pair)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("half", "a.pem cannot be read"),
        ("gone", "a.key does not exist"),
        ("mismatched", "does not belong to certificate"),
        ("encrypted", "a.key is encrypted: name a key without a password"),
        ("expired", "the old one stays in use"),
    ],
)
def test_a_pair_that_does_not_load_or_hold_leaves_the_old_one(secure, authority, kind, told):
    server, pair = secure
    before = shown(server)

    def issue(**times):
        return authority.issue_hub(["localhost"], **times)

    damaged(kind, pair, issue)
    assert not server.pair.refresh()
    assert told in str(server.pair.last_error)
    assert shown(server) == before
    issue(**HOLDS).write(pair)
    assert server.pair.refresh()
    assert shown(server) != before
