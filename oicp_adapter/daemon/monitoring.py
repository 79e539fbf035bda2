"""
Answers the monitoring endpoints: metrics, liveness, readiness.

1. Nothing here asks the hub anything, and liveness asks nothing at all: a hub's or a store's outage must not get the
   daemon restarted.
2. Readiness says in words why it is refused.
"""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from oicp_adapter.daemon.metrics import Metrics

Complaint = Callable[[], str | None]
"""Returns why a question is answered with no, None for yes."""


def monitoring_app(metrics: Metrics, *, not_alive: Complaint, not_ready: Complaint) -> Starlette:
    """Return the ASGI application of the monitoring endpoints."""

    def show_metrics(_: Request) -> Response:
        """Return all metrics as Prometheus reads them."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def show_liveness(_: Request) -> Response:
        """Answer 200 while the loops turn, else 503 with why not; asks neither the store nor the hub."""
        return _answer(not_alive())

    async def show_readiness(_: Request) -> Response:
        """Answer 200 once the store was read, 503 with why while starting, stopping or without store."""
        return _answer(not_ready())

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/livez", show_liveness),
            Route("/readyz", show_readiness),
        ]
    )


def _answer(complaint: str | None) -> Response:
    if complaint is None:
        return PlainTextResponse("ok\n")
    return PlainTextResponse(f"{complaint}\n", status_code=503)
