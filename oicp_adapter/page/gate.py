"""
Decides who gets in, and what every answer forbids the browser.

1. The session's secret stands in one cookie that no script reads and that no other site's page can make a browser send.
2. A request that changes something must name the session's CSRF token and come from this very origin; a browser that
   does not say where a request comes from is refused.
3. No secret stands in an address that works twice.
"""

from collections.abc import Mapping
from hmac import compare_digest
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oicp_adapter.domain.errors import Refusal, RequestRefusedError

COOKIE: Final = "__Host-oicp-adapter"
"""The prefix makes browsers refuse one that was set for other hosts, for a path, or without `Secure`."""

ZONE_COOKIE: Final = "oicp-adapter-zone"
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # With no-referrer a browser would not say either from where a form of ours comes.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-store",
    }
)
"""What stands in every answer; static files replace the last."""


def secret_of(request: Request) -> str | None:
    """Return the session's secret that the browser sent; None: none."""
    return request.cookies.get(COOKIE)


def require_own_origin(request: Request) -> None:
    """
    Do nothing when a request comes from a page of ours.

    Raises:
        RequestRefusedError: It comes from elsewhere, or the browser does not say from where.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = origin.partition("://")[2] == request.headers.get("host") if origin is not None else site is not None
    if not ours or site not in {None, "same-origin"}:
        raise RequestRefusedError(
            Refusal.NOT_PERMITTED,
            "the form was not sent by this page",
            cure="open the page itself and try again there; a proxy in between must pass the Host header on",
        )


def require_csrf(given: str | None, expected: str) -> None:
    """
    Do nothing when a form names its session's token.

    Raises:
        RequestRefusedError: It does not.
    """
    if given is None or not compare_digest(given.encode(), expected.encode()):
        raise RequestRefusedError(
            Refusal.NOT_PERMITTED,
            "the form belongs to another session, so nothing was done",
            cure="reload the page and try again",
        )


def admit(response: Response, secret: str) -> None:
    """Let the browser keep the session's secret while it runs; the session itself ends by the store's clock."""
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="strict")


def dismiss(response: Response) -> None:
    """Let the browser forget the session's secret."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
