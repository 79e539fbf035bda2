"""
Runs the simulator: the hub's port over mutual TLS and the admin port over plain HTTP, in one background thread.

1. No signal handler is installed; whoever starts it stops it.
2. Stopping cuts every connection at once: a hub that goes away does not say goodbye.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.simulator.admin import admin_app
from oicp_adapter.simulator.exchange import BASE, HubApp
from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.simulator.protocol import HubProtocol
from oicp_adapter.simulator.tls import HubTls, server_context

KEEP_ALIVE: Final = 75
"""Seconds that the hub keeps an idle connection open, as its front proxy would by default."""

_START_WITHIN: Final = timedelta(seconds=10)
_STOP_WITHIN: Final = timedelta(seconds=4)
_BACKLOG: Final = 256


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """
    What a simulator is started with.

    Attributes:
        certificate: PEM of the hub, with its chain.
        private_key: PEM.
        client_ca: PEM of the authority whose client certificates are accepted.
        options: How the hub behaves.
        delay: From the end of a push to its answer; the push is performed before it.
        port: Of the hub; 0: a free one.
        admin_port: Of the admin endpoint; 0: a free one.
        host: Address of both; the admin endpoint lets anybody in, so beyond loopback only in a network of your own.
        name: Under which clients reach the hub; its certificate must bear it.
    """

    certificate: Path
    private_key: Path
    client_ca: Path
    options: HubOptions = field(default_factory=HubOptions)
    delay: timedelta = timedelta()
    port: int = 0
    admin_port: int = 0
    host: str = "127.0.0.1"
    name: str = "localhost"


class SimulatorServer:
    """
    The simulator in a background thread; also a context manager.

    Attributes:
        hub: The hub's state; reading it from another thread is safe, each reading is a copy.
        faults: The injected faults; inject before the requests that they shall strike.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.hub = Hub(config.options)
        self.faults = FaultBook()
        self._app = HubApp(self.hub, self.faults, delay=config.delay, scheduled=self._wake_when_due)
        self._sockets: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """The base that a client's settings name."""
        return f"https://{self.config.name}:{self._sockets[0].getsockname()[1]}{BASE}"

    @property
    def admin_url(self) -> str:
        """Where the admin endpoint listens."""
        return f"http://{self.config.host}:{self._sockets[1].getsockname()[1]}"

    def start(self) -> Self:
        """
        Listen, and return when both ports do.

        Raises:
            CertificateError: The hub's own certificate does not load.
            ConfigurationError: A port is taken.
        """
        config = self.config
        context = server_context(
            certificate=config.certificate, private_key=config.private_key, client_ca=config.client_ca
        )
        with contextlib.ExitStack() as opened:
            self._sockets = [
                opened.enter_context(_listen(config.host, port)) for port in (config.port, config.admin_port)
            ]
            opened.pop_all()  # both listen: from here on `stop` closes them
        self._thread = threading.Thread(target=self._run, args=(context,), name="simulator", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_WITHIN.total_seconds()):
            raise ConfigurationError("the simulator did not start", cure="see the log for the reason")
        return self

    def stop(self) -> None:
        """Cut all connections and end the thread; does nothing if it does not run."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_WITHIN.total_seconds())
        self._thread = None
        for listener in self._sockets:
            listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def _run(self, context: ssl.SSLContext) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve(context))

    async def _serve(self, context: ssl.SSLContext) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        state = ServerState()
        secured: set[HubTls] = set()
        hub = _config(self._app, HubProtocol)
        admin = _config(admin_app(self._app, self.config.options, self.config.delay), HttpToolsProtocol)

        def hub_connected() -> asyncio.BaseProtocol:
            return HubTls(_protocol(hub, state), context, secured)

        listeners = [
            await self._loop.create_server(hub_connected, sock=self._sockets[0], backlog=_BACKLOG),
            await self._loop.create_server(lambda: _protocol(admin, state), sock=self._sockets[1], backlog=_BACKLOG),
        ]
        self._ready.set()
        await self._stop.wait()
        for listener in listeners:
            listener.close()
        for connection in list(secured):
            connection.cut()
        for other in list(state.connections):
            other.transport.abort()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_STOP_WITHIN.total_seconds() / 2)
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(0)  # the aborted transports close their sockets in the loop's next turn

    def _wake_when_due(self) -> None:
        due = self.hub.next_due()
        if due is None or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, (due - datetime.now(UTC)).total_seconds()), self._on_due)

    def _on_due(self) -> None:
        self.hub.due(datetime.now(UTC))
        self._wake_when_due()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it each answer waits 40 ms for an ACK
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise ConfigurationError(
            f"the simulator cannot listen on {host}:{port} ({exc})", cure="choose another port, or 0 for a free one"
        ) from exc
    return listener


def _protocol(config: Config, state: ServerState) -> asyncio.Protocol:
    protocol = config.http_protocol_class
    return protocol(config=config, server_state=state, app_state={}, _loop=asyncio.get_running_loop())  # type: ignore[call-arg]  # its base declares no arguments


def _config(app: object, protocol: type[asyncio.Protocol]) -> Config:
    config = Config(
        app,  # type: ignore[arg-type]  # Starlette's and our ASGI types are narrower than uvicorn's union
        http=protocol,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    config.load()
    return config
