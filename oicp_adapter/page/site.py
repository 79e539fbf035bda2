"""
Turns a request into a call of a view, and whatever a view says into an answer.

1. Views are synchronous and run in the thread pool; only streams belong to the event loop.
2. Who is signed in, whether a form is ours and what is told of an error is decided here, once for all views.
3. What the store says of its troubles names files and servers: it is told to who is signed in, and to the log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from oicp_adapter.control.access import Session, session
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.propagation import Propagation
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import AdapterError, Refusal, RequestRefusedError, StoreError, StoreUnavailableError
from oicp_adapter.page.gate import (
    CSRF_FIELD,
    CSRF_HEADER,
    HEADERS,
    ZONE_COOKIE,
    dismiss,
    require_csrf,
    require_own_origin,
    secret_of,
)
from oicp_adapter.page.kept import Kept
from oicp_adapter.page.live import LiveRow, Streams
from oicp_adapter.page.rendering import render
from oicp_adapter.page.times import Times, zone_names

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a form: five thousand EvseIDs, pasted, and ticked besides."""

_FIELDS: Final = 20_000
_SEE_OTHER: Final = 303
_STATUS: Final[Mapping[Refusal, int]] = MappingProxyType(
    {
        Refusal.UNAUTHENTICATED: 401,
        Refusal.NOT_PERMITTED: 403,
        Refusal.NOT_FOUND: 404,
        Refusal.CHANGED_MEANWHILE: 409,
        Refusal.WINDOW_OVER: 409,
        Refusal.START_PASSED: 409,
        Refusal.KEY_REUSED: 409,
        Refusal.RATE_LIMITED: 429,
    }
)
_UNPROCESSABLE: Final = 422
_UNAVAILABLE: Final = 503

RETURN_FIELD: Final = "return"
RETURN_TO_SET: Final = "set"
"""What the field says when a form to set a temporary status waits behind the sign-in."""

Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Site:
    """
    What all views work with.

    Attributes:
        limits: Count attempts to get in with what does not hold.
        propagation: Follows the daemon's metrics; None: nobody does.
        location_names: Of all locations, for filters.
    """

    desk: Desk
    environment: Environment
    limits: RateLimits
    propagation: Propagation | None
    streams: Streams = field(default_factory=Streams)
    location_names: Kept[Sequence[str]] = field(default_factory=Kept)


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request, as a view sees it.

    Attributes:
        session: Who is signed in; None: nobody, and the view does not ask for it.
        form: What a form holds; of a request that changes nothing, its query.
    """

    site: Site
    request: Request
    session: Session | None
    form: Fields

    @property
    def desk(self) -> Desk:
        """The service's own."""
        return self.site.desk

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return self.signed_in.actor

    @property
    def signed_in(self) -> Session:
        """
        The session.

        Raises:
            RequestRefusedError: Nobody is signed in.
        """
        if self.session is None:
            raise RequestRefusedError(Refusal.UNAUTHENTICATED, "nobody is signed in", cure="sign in with a token")
        return self.session

    def first(self, name: str) -> str:
        """Return the first value of a field without the space around it, empty when there is none."""
        values = self.form.get(name)
        return values[0].strip() if values else ""

    def every(self, name: str) -> Sequence[str]:
        """Return all values of a field."""
        return self.form.get(name, ())

    def times(self, now: datetime | None = None) -> Times:
        """Return how the reader sees time."""
        chosen = self.request.cookies.get(ZONE_COOKIE)
        return Times(chosen if chosen in zone_names() else None, now or self.desk.store.now())

    def page(self, template: str, *, status: int = 200, **facts: Any) -> Response:
        """Return a page."""
        shared = {
            "session": self.session,
            "csrf": self.session.csrf if self.session is not None else "",
            "path": self.request.url.path,
            "chosen_zone": self.request.cookies.get(ZONE_COOKIE),
        }
        return render(self.site.environment, template, status=status, facts=shared | facts)


View = Callable[[Call], Response]
Look = Callable[[Call], Sequence[LiveRow]]
Endpoint = Callable[[Request], Any]


def to(address: str) -> Response:
    """Return the answer that sends a browser on, with GET."""
    return RedirectResponse(address, status_code=_SEE_OTHER)


def endpoint(site: Site, view: View, *, signed_in: bool = True) -> Endpoint:
    """
    Return what serves a view.

    Args:
        signed_in: Only for who is.
    """

    async def serve(request: Request) -> Response:
        try:
            body = await _body(request) if request.method == "POST" else b""
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        try:
            response = await run_in_threadpool(_answer, site, view, request, body, signed_in=signed_in)
        except Exception as error:  # noqa: BLE001 - every way of failing has an answer, with the headers of all others
            structlog.get_logger().error("page.failed", exc_info=error)
            response = PlainTextResponse("this page has failed; the log of `serve` says why\n", 500)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    return serve


def stream_endpoint(site: Site, begin: Callable[[], Look]) -> Endpoint:
    """
    Return what serves a stream.

    Args:
        begin: Returns, for each stream, what is looked at again and again, for who is still signed in.
    """

    async def serve(request: Request) -> Response:
        look = begin()

        def read() -> Sequence[LiveRow]:
            try:
                held = _session(site, request)
            except StoreError as error:
                raise _unsaid() from error
            if held is None:
                raise RequestRefusedError(Refusal.UNAUTHENTICATED, "the session is over", cure="sign in again")
            return look(Call(site, request, held, _form(request, b"")))

        return site.streams.answer(read)

    return serve


def refused_status(error: AdapterError) -> int:
    """Return the status of the answer that tells of an error."""
    if isinstance(error, RequestRefusedError):
        return _STATUS.get(error.refusal, _UNPROCESSABLE)
    return _UNAVAILABLE


def _answer(site: Site, view: View, request: Request, body: bytes | None, *, signed_in: bool) -> Response:
    held: Session | None = None
    form: Fields = {}
    try:
        form = _form(request, body)
        held = _session(site, request) if signed_in else None
        if signed_in and held is None and request.method == "GET":
            return to("/sign-in")
        call = Call(site, request, held, form)
        if request.method == "POST":
            require_own_origin(request)
            if signed_in:
                given = request.headers.get(CSRF_HEADER) or call.first(CSRF_FIELD)
                require_csrf(given, call.signed_in.csrf)
        return view(call)
    except (RequestRefusedError, StoreError) as error:
        return _told(Call(site, request, held, form), error)


def _told(call: Call, error: RequestRefusedError | StoreError) -> Response:
    status = refused_status(error)
    if isinstance(error, StoreError):
        structlog.get_logger().warning("page.store_failed", error=str(error))
        error = error if call.session is not None else _unsaid()
    if isinstance(error, RequestRefusedError) and error.refusal is Refusal.UNAUTHENTICATED:
        return sign_in_page(call, error)
    return call.page("refused", status=status, error=error, passes=error.passes)


def _unsaid() -> StoreError:
    """Return what is told of any trouble of the store to somebody of whom it is not known who they are."""
    return StoreUnavailableError("the store does not answer", cure="the log of `serve` has more")


def sign_in_page(call: Call, error: RequestRefusedError | None = None) -> Response:
    """Return the page on which a person signs in, with why they have to."""
    lost = call.request.method == "POST" and call.request.url.path != "/sign-in"
    status = 200 if error is None else refused_status(error)
    response = Call(call.site, call.request, None, {}).page(
        "sign_in", status=status, error=error, lost=lost, kept=_kept(call)
    )
    if error is not None and secret_of(call.request) is not None:
        dismiss(response)
    return response


def _kept(call: Call) -> Sequence[tuple[str, str]]:
    """Return the fields of a long form that was sent without a session, for it to come back after the sign-in."""
    if not call.request.url.path.startswith("/set") and call.first(RETURN_FIELD) != RETURN_TO_SET:
        return []
    secret = {CSRF_FIELD, RETURN_FIELD, "token"}
    kept = [(name, value) for name, values in call.form.items() if name not in secret for value in values]
    return [(RETURN_FIELD, RETURN_TO_SET), *kept] if call.request.method == "POST" else []


def _session(site: Site, request: Request) -> Session | None:
    secret = secret_of(request)
    if secret is None:
        return None
    try:
        return session(site.desk, secret)
    except RequestRefusedError as error:
        if error.refusal is Refusal.UNAUTHENTICATED:
            return None
        raise


def _form(request: Request, body: bytes | None) -> Fields:
    if body is None:
        raise RequestRefusedError(
            Refusal.TOO_MANY,
            f"the form is larger than {BODY_LIMIT // 1024} KiB",
            cure="choose a location, or paste fewer EvseIDs",
        )
    text = body.decode(errors="replace") if request.method == "POST" else request.url.query
    try:
        form = parse_qs(text, keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError as error:
        raise RequestRefusedError(
            Refusal.TOO_MANY, f"the form has more than {_FIELDS} fields", cure="choose fewer"
        ) from error
    if any("\0" in value for values in form.values() for value in values):
        raise RequestRefusedError(Refusal.INVALID, "a field holds the character NUL", cure="leave it out")
    return form


async def _body(request: Request) -> bytes | None:
    """Return the body of a form; None: it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            return None
        parts.append(part)
    return b"".join(parts)
