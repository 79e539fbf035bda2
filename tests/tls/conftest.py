"""A hub of plain sockets and TLS in a thread, which answers as a script tells it to."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oicp_adapter.checks.hub import hub_findings
from oicp_adapter.checks.visit import visit_hub
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.oicp.client import HubClient, PushRequest, boottime
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.development_pki import Authority, DevelopmentPki, KeyPair, create_development_pki
from oicp_adapter.settings import HubSettings, OperatorSettings
from oicp_adapter.sync.model import Action, Record

OURS = object()
OK = b'{"Result":true,"StatusCode":{"Code":"000"}}'


@dataclass
class Request:
    line: bytes
    headers: dict[bytes, bytes]
    body: bytes


@dataclass
class Connection:
    """One connection that the hub has accepted; `tls` is None until the handshake is done."""

    plain: socket.socket
    tls: ssl.SSLSocket | None = None
    received: bytearray = field(default_factory=bytearray)
    requests: list[Request] = field(default_factory=list)
    handshake_error: str | None = None
    certificate: dict | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def _more(self) -> bytes:
        came = self.tls.recv(65536)
        self.received += came
        if not came:
            raise EOFError
        return came

    def read_head(self) -> tuple[bytes, dict[bytes, bytes], bytes]:
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self._more()
        head, rest = buffer.split(b"\r\n\r\n", 1)
        line, *fields = head.split(b"\r\n")
        return line, {name.lower(): value for name, value in (one.split(b": ", 1) for one in fields)}, rest

    def read_request(self) -> Request:
        line, headers, rest = self.read_head()
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while True:
                while b"\r\n" not in rest:
                    rest += self._more()
                size, rest = rest.split(b"\r\n", 1)
                wanted = int(size, 16)
                while len(rest) < wanted + 2:
                    rest += self._more()
                body, rest = body + rest[:wanted], rest[wanted + 2 :]
                if not wanted:
                    break
        else:
            wanted = int(headers.get(b"content-length", b"0"))
            while len(rest) < wanted:
                rest += self._more()
            body = rest
        self.requests.append(Request(line, headers, body))
        return self.requests[-1]

    def answer(self, body: bytes = OK, *, status: bytes = b"200 OK", headers: bytes = b"") -> None:
        self.tls.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), headers, body))

    def reset(self) -> None:
        """Close so that the other side sees a reset, not an orderly end."""
        self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.tls.close()


def always_ok(connection: Connection) -> None:
    while True:
        connection.read_request()
        connection.answer()


class Hub:
    """Accepts connections on a port of its own until closed; every connection follows the script in a thread."""

    def __init__(self, context: ssl.SSLContext | None, script: Callable[[Connection], None]) -> None:
        self._context = context
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections: list[Connection] = []
        self.closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def requests(self) -> list[Request]:
        return [request for connection in self.connections for request in connection.requests]

    def wait(self, *, seconds: float = 5.0) -> None:
        """Wait until every connection so far has ended."""
        for connection in self.connections:
            assert connection.ended.wait(seconds)

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what a script has sent has arrived
            connection = Connection(plain)
            self.connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: Connection) -> None:
        try:
            if self._context is not None:
                connection.plain.settimeout(10)
                connection.tls = self._context.wrap_socket(
                    connection.plain, server_side=True, do_handshake_on_connect=False
                )
                connection.plain = connection.tls
                try:
                    connection.tls.do_handshake()
                except OSError as exc:
                    connection.handshake_error = str(exc)
                    # Let the alert arrive before the reset that unread data would cause.
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(connection.tls, socket.SHUT_WR)
                        while socket.socket.recv(connection.tls, 65536):
                            pass
                    return
                connection.certificate = connection.tls.getpeercert()
            self._script(connection)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            connection.plain.close()
            connection.ended.set()

    def close(self) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection.plain, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def span():
    now = datetime.now(UTC)
    return {"not_before": now - timedelta(hours=1), "not_after": now + timedelta(days=1)}


@pytest.fixture(scope="session")
def pki(tmp_path_factory) -> DevelopmentPki:
    return create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=["DE*ABC"], valid_for=timedelta(days=1), now=datetime.now(UTC)
    )


@pytest.fixture(scope="session")
def hub_authority(pki) -> Authority:
    return Authority.load(pki.hub_ca)


@pytest.fixture(scope="session")
def client_authority(pki) -> Authority:
    return Authority.load(pki.client_ca)


@pytest.fixture
def server_context(pki):
    def make(
        *,
        pair: KeyPair = pki.hub,
        lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        asks: ssl.VerifyMode = ssl.CERT_REQUIRED,
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = lowest
        context.maximum_version = highest
        context.load_cert_chain(pair.certificate, pair.private_key)
        context.load_verify_locations(pki.client_ca.certificate)
        context.verify_mode = asks
        return context

    return make


@pytest.fixture
def start_hub(server_context) -> Iterator[Callable[..., Hub]]:
    hubs: list[Hub] = []

    def start(script: Callable[[Connection], None] = always_ok, *, tls: bool = True, **options) -> Hub:
        hubs.append(Hub(server_context(**options) if tls else None, script))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.close()


@pytest.fixture
def identity_of(pki):
    def make(pair: KeyPair = pki.clients["DE*ABC"], *, ca_file: Path = pki.hub_ca.certificate, **options):
        return ClientIdentity(certificate=pair.certificate, private_key=pair.private_key, ca_file=ca_file, **options)

    return make


@pytest.fixture
def connect(identity_of) -> Iterator[Callable[..., HubClient]]:
    clients: list[HubClient] = []

    def make(
        hub: Hub, *, identity: ClientIdentity | None = None, host: str = "localhost", timeout: float = 5.0, **options
    ) -> HubClient:
        clients.append(
            HubClient(
                base_url=f"https://{host}:{hub.port}/api/oicp",
                identity=identity or identity_of(),
                request_timeout=timedelta(seconds=timeout),
                **options,
            )
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def request_of():
    def make(action: Action = Action.UPDATE, *, records: int = 1, count: int | None = None) -> PushRequest:
        ids = [f"DE*ABC*E{number}" for number in range(records)]
        return PushRequest(
            action=action,
            operator_id="DE*ABC",
            operator_name="ABC technologies",
            records=[Record(evse_key(text), text, OicpStatus.AVAILABLE) for text in ids],
            count=records if count is None else count,
        )

    return make


@pytest.fixture
def push(request_of):
    def send(client: HubClient, *args, within: float = 10.0, **options):
        return client.push(request_of(*args, **options), send_before=boottime() + within)

    return send


@pytest.fixture
def operator(pki):
    pair = pki.clients["DE*ABC"]
    return OperatorSettings(id="DE*ABC", certificate=pair.certificate, private_key=pair.private_key)


@pytest.fixture
def look(pki, operator):
    """Visit a hub, or a port, and return what is found."""

    def run(hub, *, host="localhost", ca=OURS, timeout=5.0, environ=None, shown=None, acknowledged_at=None):
        port = hub if isinstance(hub, int) else hub.port
        ca_file = pki.hub_ca.certificate if ca is OURS else ca
        settings = HubSettings(
            url=f"https://{host}:{port}/api/oicp", ca_file=ca_file, request_timeout=timedelta(seconds=timeout)
        )
        changed = {} if shown is None else {"certificate": shown.certificate, "private_key": shown.private_key}
        visit = visit_hub(
            settings,
            operator.model_copy(update=changed),
            environ=environ or {},
            acknowledged_at=acknowledged_at,
            patience=0.05,
        )
        return list(hub_findings(visit))

    return run
