"""
Serves the control API and the operator page on one address.

1. Beyond this machine it listens only with TLS, or behind a proxy that somebody vouches for: tokens travel here.
2. It works without the daemon and without the hub; what it shows of them is what they left in the store.
"""

import threading
from typing import Any, Final

import structlog
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from oicp_adapter.api.app import api_app, serves
from oicp_adapter.api.probes import probe_routes
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.propagation import propagation_of
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.page.router import page_router
from oicp_adapter.serving import BackgroundServer, Front
from oicp_adapter.store.migrate import require_current

WHAT: Final = "control server"
_LOOK_EVERY: Final = 1.0


class ControlServer:
    """The API and the page over one store; it owns the store and closes it."""

    def __init__(self, desk: Desk) -> None:
        """
        Listen; nothing is served yet.

        Raises:
            ConfigurationError: The address cannot be had, or may not be had without TLS.
            StoreError: The store cannot be used.
        """
        control = desk.settings.control
        if (danger := control.danger()) is not None:
            raise danger
        self._store = desk.store
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

    def run(self, stop: threading.Event) -> None:
        """Serve until *stop* is set."""
        log = structlog.get_logger()
        self._propagation.start()
        self._server.start()
        log.info("control.started", url=self.url)
        try:
            while not stop.wait(_LOOK_EVERY):
                if not self._server.alive:
                    raise RuntimeError("the control server has ended by itself")
        finally:
            self._server.stop()
            self._propagation.stop()
            self._store.close()
            log.info("control.stopped")


class _Both:
    """An ASGI application of two: whatever is not the API's is the page's, or a probe's."""

    def __init__(self, api: Any, page: Any) -> None:
        self._api = api
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the one answer whose path it is."""
        await (self._api if serves(scope["path"]) else self._page)(scope, receive, send)
