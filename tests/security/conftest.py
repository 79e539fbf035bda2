"""A hub that answers with whatever a test gives it, commands in this process, and what no output may hold."""

import http.server
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner

from oicp_adapter.cli.main import app
from oicp_adapter.oicp.development_pki import DevelopmentPki, KeyPair
from oicp_adapter.simulator.tls import server_context
from reliability.real.machine import OPERATOR
from reliability.real.site import Site
from reliability.real.workshop import Workshop, opened_workshop

ACKNOWLEDGED = b'{"Result": true, "StatusCode": {"Code": "000"}}'


def answer(body: bytes, *, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """Return the bytes of an answer."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), headers, body)


@dataclass
class ScriptedHub:
    """
    A hub over mutual TLS that gives the answers of a list, the first one first, and acknowledges when it is empty.

    Attributes:
        answers: Bytes, or functions that write to the connection; the connection is closed after a function.
        bodies: Of the requests so far.
        connections: So far.
    """

    pki: DevelopmentPki
    pair: KeyPair | None = None
    answers: list[bytes | Callable[[ssl.SSLSocket], None]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: list[ssl.SSLSocket] = field(default_factory=list)

    def __enter__(self) -> Self:
        pair = self.pair or self.pki.hub
        context = server_context(
            certificate=pair.certificate, private_key=pair.private_key, client_ca=self.pki.client_ca.certificate
        )
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing: what is tested is what the adapter says."""

            def do_POST(self) -> None:
                scripted.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                given = scripted.answers.pop(0) if scripted.answers else answer(ACKNOWLEDGED)
                if isinstance(given, bytes):
                    self.wfile.write(given)
                else:
                    self.close_connection = True
                    given(self.request)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = False

            def get_request(self) -> tuple[ssl.SSLSocket, object]:
                plain, address = super().get_request()
                # The handshake is the handler's thread's business.
                secured = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                scripted.connections.append(secured)
                return secured, address

            def handle_error(self, *_: object) -> None:
                """Say nothing: that clients go away is what is tested."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        for connection in self.connections:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"https://localhost:{self._server.server_address[1]}/api/oicp"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with opened_workshop(tmp_path_factory.mktemp("security")) as opened:
        yield opened


@pytest.fixture
def site(workshop: Workshop) -> Iterator[Site]:
    """A site over SQLite."""
    with workshop.site("sqlite") as opened:
        yield opened


@pytest.fixture
def scripted(workshop: Workshop) -> Iterator[Callable[..., ScriptedHub]]:
    """Start hubs that answer as they are told."""
    hubs: list[ScriptedHub] = []

    def start(*answers: bytes | Callable[[ssl.SSLSocket], None], pair: KeyPair | None = None) -> ScriptedHub:
        hubs.append(ScriptedHub(workshop.pki, pair, list(answers)).__enter__())
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.__exit__()


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"{self.out}\n{self.err}"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Run a command in this process, with this environment besides."""
    for name in [name for name in os.environ if name.startswith("OICP_ADAPTER_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, environ: Mapping[str, str] | None = None) -> Said:
        done = CliRunner().invoke(app, list(arguments), env=dict(environ or {}))
        return Said(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def commands() -> Callable[[Path], Sequence[Sequence[str]]]:
    """Return every command that only reads, in each of its forms."""

    def of(config: Path) -> Sequence[Sequence[str]]:
        reading = (
            ("check", "--offline"),
            ("check", "--json"),
            ("status",),
            ("status", "--json"),
            ("explain", f"{OPERATOR}*E0"),
            ("plan",),
            ("plan", "--json"),
            ("quarantine", "list"),
            ("quarantine", "list", "--json"),
            ("withdrawals", "list"),
            ("withdrawals", "list", "--json"),
            ("temporary", "list"),
            ("temporary", "list", "--json"),
            ("db", "check"),
        )
        return [("--config", str(config), "--debug", *command) for command in reading]

    return of


@pytest.fixture(name="answer", scope="session")
def _answer() -> Callable[..., bytes]:
    return answer
