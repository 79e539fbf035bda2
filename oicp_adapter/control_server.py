"""
Serves the control API and the operator page on one address.

1. Beyond this machine it listens only with TLS, or behind a proxy that somebody vouches for: tokens travel here.
2. It works without the daemon and without the hub; what it shows of them is what they left in the store.
3. Its certificate is followed on disk, as a lane's is; whatever else changes in the settings wants a restart.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from oicp_adapter.api.app import api_app, serves
from oicp_adapter.api.probes import probe_routes
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.propagation import propagation_of
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.daemon.configuration import differing
from oicp_adapter.daemon.pair_log import follow
from oicp_adapter.daemon.service_manager import ServiceManager
from oicp_adapter.domain.errors import ConfigurationError, foreign_text
from oicp_adapter.page.router import page_router
from oicp_adapter.serving import BackgroundServer, Front
from oicp_adapter.settings import Settings
from oicp_adapter.store.migrate import require_current

WHAT: Final = "control server"
_LOOK_EVERY: Final = 1.0


class ControlServer:
    """The API and the page over one store; it owns the store and closes it."""

    def __init__(
        self, desk: Desk, *, read: Callable[[], Settings] | None = None, manager: ServiceManager | None = None
    ) -> None:
        """
        Listen; nothing is served yet.

        Args:
            read: Reads the settings anew, for `reload`; None: they never change.
            manager: Is told of start and end; None: nobody is.

        Raises:
            ConfigurationError: The address cannot be had, or may not be had without TLS.
            StoreError: The store cannot be used.
        """
        control = desk.settings.control
        if (danger := control.danger()) is not None:
            raise danger
        self._store = desk.store
        self._settings = desk.settings
        self._read = read or (lambda: desk.settings)
        self._manager = manager or ServiceManager({})
        self._asked = False
        self._log = structlog.get_logger()
        require_current(desk.store)
        self._propagation = propagation_of(desk.settings)
        limits = RateLimits()
        front = Front(control.certificate, control.private_key, control.behind_proxy)
        page = page_router(desk, limits=limits, propagation=self._propagation)
        # The page answers whatever is left, so it comes last.
        application = _Both(api_app(desk, limits), Starlette(routes=[*probe_routes(desk.store), *page.routes]))
        self._server = BackgroundServer(application, host=control.host, port=control.port, what=WHAT, front=front)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    def reload(self) -> None:
        """Ask, from a signal handler, for a look at certificate and settings; the log has what came of it."""
        self._asked = True  # an Event has a lock, which the thread that the handler interrupts may hold

    def run(self, stop: threading.Event) -> None:
        """Serve until *stop* is set."""
        self._propagation.start()
        self._server.start()
        self._log.info("control.started", url=self.url)
        self._manager.ready(f"serves {self.url}")
        try:
            while not stop.wait(_LOOK_EVERY):
                if not self._server.alive:
                    raise RuntimeError("the control server has ended by itself")
                asked, self._asked = self._asked, False  # before the look, which then sees what the signal tells of
                if (pair := self._server.pair) is not None:
                    follow(pair, self._log, asked=asked)
                if asked:
                    self._answer_reload()
        finally:
            self._manager.stopping("stops")
            self._server.stop()
            self._propagation.stop()
            self._store.close()
            self._log.info("control.stopped")

    def _answer_reload(self) -> None:
        """Tell whoever asked which certificate is in use, and what of the settings is not."""
        try:
            waits = differing(self._settings, self._read())
        except ConfigurationError as error:
            self._log.error("config.not_reloaded", reason=foreign_text(error), asked=True)
            return
        pair = self._server.pair
        serial = pair.facts.serial if pair is not None else None
        self._log.info("control.reloaded", certificate=serial, wants_restart=waits)


class _Both:
    """An ASGI application of two: whatever is not the API's is the page's, or a probe's."""

    def __init__(self, api: Any, page: Any) -> None:
        self._api = api
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the one answer whose path it is."""
        await (self._api if serves(scope["path"]) else self._page)(scope, receive, send)
