"""
Serves the hub's endpoints: hands each request to the pure hub and its answer to the delivery.

1. A push is performed when its last byte is there and answered after the simulated latency, so that an answer that is
   under way never hides what already happened.
2. A request stops being in progress just before the last byte of its answer leaves: the client may send the next one
   at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.simulator.delivery import Call, call_of
from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import NO_EFFECT, Effect, Request
from oicp_adapter.simulator.hub import Hub
from oicp_adapter.simulator.journal import Exchange
from oicp_adapter.simulator.pulls import pull_all, pull_by_id, pull_by_operator
from oicp_adapter.simulator.wire import HubAnswer, read_push

BASE: Final = "/api/oicp"
"""Part of the hub's base URL; without it every call is a 404."""

_NOT_FOUND: Final = HubAnswer(404, b"<html><body><h1>404 Not Found</h1></body></html>", {"Content-Type": "text/html"})
_TOO_LARGE: Final = HubAnswer(413, b"", {})

log = structlog.get_logger(__name__)


class HubApp:
    """
    The hub's endpoints as an ASGI application.

    Attributes:
        delay: From the end of a push to its answer.
    """

    def __init__(self, hub: Hub, faults: FaultBook, *, delay: timedelta, scheduled: Callable[[], None]) -> None:
        self.hub = hub
        self.faults = faults
        self.delay = delay
        self._scheduled = scheduled

    async def __call__(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Route one request."""
        call = call_of(scope, receive, send)
        inside = scope["method"] == "POST" and scope["path"].startswith(BASE)
        match scope["path"].removeprefix(BASE).split("/") if inside else ():
            case ["", "evsepush", "v21", "operators", operator, "status-records"]:
                await self._push(operator, call)
            case ["", "evsepull", "v21", "providers", _, "status-records"]:
                await call.body()
                await call.send_whole(pull_all(self.hub))
            case ["", "evsepull", "v21", "providers", _, "status-records-by-id"]:
                await call.send_whole(pull_by_id(self.hub, await call.body() or b""))
            case ["", "evsepull", "v21", "providers", _, "status-records-by-operator-id"]:
                await call.send_whole(pull_by_operator(self.hub, await call.body() or b""))
            case _:
                await call.send_whole(_NOT_FOUND)

    async def _push(self, operator: str, call: Call) -> None:
        exchange = self.hub.begin(operator, call.connection.first_byte_at)
        if exchange.overlap:
            log.warning("hub.overlap", operator=foreign_text(operator), number=exchange.number)

        def answering() -> None:
            self.hub.end(exchange, datetime.now(UTC), answered=True)

        try:
            body = await call.body()
            if body is not None:
                answer, effect = self._perform(exchange, call.connection.certificate_operators, body)
                wait = self.delay + effect.answer_after
                if not (wait and await call.client_left_within(wait)):
                    await call.deliver(answer, effect, answering)
        finally:
            self.hub.end(exchange, datetime.now(UTC), answered=False)

    def _perform(
        self, exchange: Exchange, certificate_operators: frozenset[str], body: bytes
    ) -> tuple[HubAnswer, Effect]:
        limit = self.hub.options.max_body
        if limit is not None and len(body) > limit:
            exchange.http_status = _TOO_LARGE.http_status
            return _TOO_LARGE, NO_EFFECT
        push = read_push(body)
        effect = self.faults.strike(Request(exchange.operator, push)) if exchange.admitted else NO_EFFECT
        now = datetime.now(UTC)
        answer = self.hub.perform(exchange, certificate_operators, push, now, process_id=str(uuid4()), effect=effect)
        self._scheduled()
        return answer, effect
