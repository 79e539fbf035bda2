"""
Answers whether the control server lives and can work, to what restarts it or sends it requests.

1. Nobody needs a token, so nothing here names a file or a host, and however many ask, the store is asked by one thread.
2. Liveness asks nothing at all: a store's outage must not get the server restarted.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from oicp_adapter.domain.errors import StoreError, StoreSchemaError
from oicp_adapter.store.engine import Store
from oicp_adapter.store.health import require_answer

ANSWER_WITHIN: Final = 2.0
"""Seconds that the store may take; what probes gives up after 3 s or more."""

KEPT_FOR: Final = 1.0
"""Seconds for which an answer of the store stands for all who ask."""


def probe_routes(store: Store) -> Sequence[Route]:
    """Return the routes `/livez` and `/readyz` of a server that works with a store."""
    readiness = _Readiness(store)

    async def show_liveness(_: Request) -> Response:
        """Answer 200 while requests are served; asks neither the store nor the hub."""
        return PlainTextResponse("ok\n")

    async def show_readiness(_: Request) -> Response:
        """Answer 200 while the store can be read, else 503 with why not; the log has the details."""
        complaint = await readiness.complaint()
        return PlainTextResponse(f"{complaint or 'ok'}\n", status_code=200 if complaint is None else 503)

    return [Route("/livez", show_liveness), Route("/readyz", show_readiness)]


class _Readiness:
    """Asks the store; belongs to one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asking: asyncio.Task[str | None] | None = None
        self._asked_at = 0.0

    async def complaint(self) -> str | None:
        """Return why the store cannot be read, for anybody's eyes; None: it can."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now >= self._asked_at + KEPT_FOR):
            self._asking, self._asked_at = asyncio.create_task(run_in_threadpool(self._ask)), now
        try:
            # Shielded: whoever gives up takes the answer from nobody else.
            return await asyncio.wait_for(asyncio.shield(self._asking), ANSWER_WITHIN)
        except TimeoutError:
            return f"the store has not answered within {ANSWER_WITHIN:.0f} s"

    def _ask(self) -> str | None:
        try:
            require_answer(self._store)
        except StoreError as error:
            structlog.get_logger().warning("readiness.store_failed", error=str(error))
            what = "has not the tables of this program" if isinstance(error, StoreSchemaError) else "does not answer"
            return f"the store {what}; the log of `serve` has more"
        return None
