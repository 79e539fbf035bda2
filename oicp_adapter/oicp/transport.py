"""
Puts httpx and httpcore together over our own network.

1. Nothing comes from the environment: no proxy, no trust store, no netrc. Redirects and cookies are ignored.
2. One connection, HTTP/1.1, no retries: whether a request is sent again is not for a library to decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpcore
import httpx

import oicp_adapter
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.network import Line

KEEP_ALIVE: Final = timedelta(seconds=30)
"""An idle connection is used again for this long: well below the 60 s after which common load balancers drop it."""


class Transport(httpx.BaseTransport):
    """httpcore over our own network; httpx's transport has no place for one."""

    def __init__(self, identity: ClientIdentity, line: Line) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=identity.context,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=KEEP_ALIVE.total_seconds(),
            http1=True,
            http2=False,
            retries=0,
            network_backend=line,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; exceptions are those of httpcore, unmapped."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_AnswerStream(answer))

    def has_leftover(self) -> bool:
        """Tell whether bytes beyond the answer have been read; httpcore would take them for the next answer."""
        for connection in self._pool.connections:
            try:
                parser = connection._connection._h11_state  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
                left, _ = parser.trailing_data
            except AttributeError:
                return True
            if left:
                return True
        return False

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class _AnswerStream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@dataclass(frozen=True, slots=True)
class Session:
    """An HTTP client and its connection, opened with one generation of the certificate."""

    http: httpx.Client
    transport: Transport
    generation: int


def open_session(identity: ClientIdentity, generation: int, line: Line, timeout: timedelta) -> Session:
    """Prepare a session; the connection is opened by the first request."""
    transport = Transport(identity, line)
    http = httpx.Client(
        transport=transport,
        timeout=timeout.total_seconds(),  # the exchange's deadline is stricter, whatever the phase
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"oicp-adapter/{oicp_adapter.__version__}",
        },
    )
    return Session(http, transport, generation)
