"""Serves an ASGI application from a background thread; nothing here installs a signal handler."""

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.oicp.pair_on_disk import PairOnDisk
from oicp_adapter.oicp.server_context import load_server_context

STOP_WITHIN: Final = 5.0
"""Seconds that the thread may take to end."""

_AT_ONCE: Final = 200
"""Connections that are served at a time; more are told to come again, so that a flood costs little."""

_KEEP_ALIVE: Final = 30
"""Seconds for which a connection without a request stays open."""

HEAD_WITHIN: Final = 10.0
"""Seconds within which a client has sent the head of a request; silent ones would take the places of others."""

BODY_WITHIN: Final = 60.0
"""Seconds within which it has sent the rest; more than the head, since a busy server reads with breaks."""


@dataclass(frozen=True, slots=True)
class Front:
    """
    How clients reach a server.

    Attributes:
        certificate: PEM file, for https; None: http.
        private_key: PEM file of its key.
        proxied: Clients come through a proxy, whose words about them are believed.
    """

    certificate: Path | None = None
    private_key: Path | None = None
    proxied: bool = False


class _PatientProtocol(HttpToolsProtocol):
    """One connection, closed when the head or the body of a request does not come in time."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in its base
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait(HEAD_WITHIN)

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        self._wait(HEAD_WITHIN)

    def on_headers_complete(self) -> None:
        """Go on to the answer, and wait for the body, which may be empty."""
        self._wait_no_longer()
        self._wait(BODY_WITHIN)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing more of this request."""
        self._wait_no_longer()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(seconds, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class _QuietServer(uvicorn.Server):
    """Wakes up once a second where its base does so ten times: that is a fifth of what a daemon at rest costs."""

    _loop: asyncio.AbstractEventLoop | None = None
    _ending: asyncio.Event

    async def main_loop(self) -> None:
        """Keep house until asked to end."""
        self._ending = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)

    def end(self) -> None:
        """Ask for an end, from another thread."""
        self.should_exit = True
        self.force_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._ending.set)


class BackgroundServer:
    """
    One uvicorn server in a thread of its own.

    Attributes:
        pair: The certificate and key that new connections are shown; `refresh` takes up another one. None: http.
    """

    def __init__(self, app: Any, *, host: str, port: int, what: str, front: Front = Front()) -> None:
        """
        Listen; nothing is served yet.

        Args:
            app: An ASGI application.
            port: 0: a free one.
            what: Names the endpoint in errors and as the thread.

        Raises:
            ConfigurationError: The address is taken or not ours, or the certificate or its key cannot be used.
        """
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            http=_PatientProtocol,
            proxy_headers=front.proxied,
            forwarded_allow_ips="*" if front.proxied else None,
            limit_concurrency=_AT_ONCE,
            timeout_keep_alive=_KEEP_ALIVE,
            ssl_certfile=front.certificate,
            ssl_keyfile=front.private_key,
        )
        try:
            _refuse_encrypted(front.private_key, what)
            config.load()
        except OSError as error:  # what ssl raises, too
            raise ConfigurationError(
                f"the {what} cannot use its certificate: {error.strerror or error}",
                cure="name a PEM certificate with its chain, and the private key that belongs to it",
            ) from error
        self.pair = _followed(front, config.ssl)
        try:
            self._socket = _listen(host, port)
        except OSError as error:
            raise ConfigurationError(
                f"the {what} cannot listen on {host}:{port}: {error.strerror or error}",
                cure=f"choose another host or port for the {what}, or stop the process that has it",
            ) from error
        self._scheme = "https" if front.certificate is not None else "http"
        self._server = _QuietServer(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name=what, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"{self._scheme}://[{host}]:{port}" if ":" in host else f"{self._scheme}://{host}:{port}"

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End open connections and the thread."""
        self._server.end()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN)
        self._socket.close()


def _refuse_encrypted(private_key: Path | None, what: str) -> None:
    """Refuse a key that wants a password: OpenSSL would ask the terminal for it, and the server wait for a person."""
    if private_key is not None and b"ENCRYPTED" in private_key.read_bytes():
        raise ConfigurationError(
            f"the private key {private_key} of the {what} is encrypted",
            cure="name a key without a password that only the server's user can read",
        )


def _followed(front: Front, context: ssl.SSLContext | None) -> PairOnDisk | None:
    """Let each new connection of a server be shown the pair that is in use by then."""
    if context is None or front.certificate is None or front.private_key is None:
        return None
    load = partial(load_server_context, front.certificate, front.private_key)
    pair = PairOnDisk(certificate=front.certificate, private_key=front.private_key, load=load)

    def show(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # A context that loaded whole takes the place of another one: to load into the one in use could leave it with a
        # certificate and the key of another. Called for clients that name no server, too.
        connection.context = pair.context

    context.sni_callback = show
    return pair


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches delayed sending off only for sockets that name it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
