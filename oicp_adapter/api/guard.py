"""
Lets a request in, or not: who it is, how often they asked, what their token allows, how much they send.

1. All of that is decided before the body is read, and for every route: there is no other way to one.
2. What ends with an error is answered here too, so that every answer says how much of the token's rate is left.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import structlog
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive

from oicp_adapter.api.problems import is_foreseen, problem_response
from oicp_adapter.control.access import TokenView, identify
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.rates import Allowance, RateLimits
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreError

MOST_BYTES: Final = 1 << 20
"""Bytes of a request's body: five thousand EvseIDs are a fifth of it."""

_SCHEME: Final = "bearer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and where their request is carried out."""

    desk: Desk
    actor: Actor


@dataclass(frozen=True, slots=True)
class Guard:
    """
    What is needed to let somebody in.

    Attributes:
        scopes: What each route demands, by its method and path; a route that is not there cannot be made.
    """

    desk: Desk
    limits: RateLimits
    scopes: Mapping[tuple[str, str], Scope]

    def admit(self, request: Request, scope: Scope) -> None:
        """
        Let a request in, and leave at it who asks.

        Raises:
            RequestRefusedError: UNAUTHENTICATED, RATE_LIMITED or NOT_PERMITTED.
            StoreError: The store could not be read.
        """
        token = self._token(request)
        allowance = self.limits.request(token.id, token.requests_per_minute)
        request.state.allowance = allowance
        if not allowance.granted:
            raise _rate_limited(f"token {token.id} asks more than {allowance.limit} times a minute", allowance)
        if scope not in token.grant.scopes:
            raise RequestRefusedError(
                Refusal.NOT_PERMITTED,
                f"token {token.id} has no scope {scope}",
                cure="ask for one that has it: `oicp-adapter token create`",
            )
        request.state.caller = Caller(self.desk, token.actor)

    def _token(self, request: Request) -> TokenView:
        """Tell whose request it is; a token that holds is let in however many others of its address do not."""
        try:
            return identify(self.desk, _bearer(request))
        except RequestRefusedError as error:
            address = request.client.host if request.client is not None else ""
            allowance = self.limits.failure(address)
            request.state.allowance = allowance
            if not allowance.granted:
                what = f"more than {allowance.limit} requests a minute came from this address without a valid token"
                raise _rate_limited(what, allowance) from error
            raise


class GuardedRoute(APIRoute):
    """A route that nobody enters unasked; `guard` is set by `guarded`."""

    guard: ClassVar[Guard]

    @property
    def scope(self) -> Scope:
        """What it demands of a token."""
        method = next(iter(self.methods or ()))
        return self.guard.scopes[method, self.path]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request: everything around the route's own function."""
        answer = super().get_route_handler()
        guard, scope = self.guard, self.scope

        async def handle(request: Request) -> Response:
            try:
                await run_in_threadpool(guard.admit, request, scope)
                _refuse_announced(request)
                response = await answer(Request(request.scope, _limited(request.receive)))
            except Exception as error:  # noqa: BLE001 - every way of failing has an answer
                self._log(error)
                response = problem_response(request, error)
            _tell_rate(request, response)
            # What a token may see is nobody else's, and is asked for again each time.
            response.headers["Cache-Control"] = "private, no-cache"
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        return handle

    def _log(self, error: Exception) -> None:
        """Write down what the answer does not say."""
        log = structlog.get_logger().bind(route=self.path)
        if isinstance(error, StoreError):
            log.warning("api.store_failed", error=str(error))
        elif not is_foreseen(error):
            log.error("api.failed", exc_info=error)


def guarded(guard: Guard) -> type[GuardedRoute]:
    """Return the class of the routes that a guard stands before."""
    return type("Guarded", (GuardedRoute,), {"guard": guard})


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Calling = Annotated[Caller, Depends(_caller)]
"""The parameter of a route by which it learns who asks."""


def _bearer(request: Request) -> str:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != _SCHEME or not text.strip():
        raise RequestRefusedError(
            Refusal.UNAUTHENTICATED, "the request has no token", cure="send the header Authorization: Bearer TOKEN"
        )
    return text.strip()


def _refuse_announced(request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length[:20]) > MOST_BYTES:
        raise _too_large()


def _limited(receive: Receive) -> Receive:
    """Read a body as far as it is allowed to go; its length may not have been announced."""
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MOST_BYTES:
            raise _too_large()
        return message

    return limited


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body has more than {MOST_BYTES} bytes: send several requests")


def _rate_limited(what: str, allowance: Allowance) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.RATE_LIMITED, what, cure=f"wait for {allowance.reset} s", facts={"retryAfter": allowance.reset}
    )


def _tell_rate(request: Request, response: Response) -> None:
    allowance: Allowance | None = getattr(request.state, "allowance", None)
    if allowance is not None:
        response.headers["X-RateLimit-Limit"] = str(allowance.limit)
        response.headers["X-RateLimit-Remaining"] = str(allowance.remaining)
        response.headers["X-RateLimit-Reset"] = str(allowance.reset)
