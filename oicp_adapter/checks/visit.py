"""
Goes to the hub once under an operator's certificate, as far as it gets, and notes what happened on the way.

1. TLS 1.3 tells a refused client certificate only after the handshake, at the first read: so one read is tried before
   anything is sent, and that nothing comes is the good answer.
2. What is sent then is one GET of the base URL, without a body: no operation of OICP stands there, no operator is
   named, and GET asks for no change (RFC 9110 §9.2.1). It passes what stands before the hub's calls, and is none.
3. One connection; the look-up of the name, the addresses that are tried, together, each read of the handshake, and the
   answer have a deadline. Nothing is asked twice, and the environment decides nothing.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import oicp_adapter
from oicp_adapter.checks.tls_messages import Heard, listen
from oicp_adapter.oicp.client_context import load_client_context
from oicp_adapter.oicp.network import look_up
from oicp_adapter.settings import HubSettings, OperatorSettings
from oicp_adapter.sync.classify import parse_http_date

STAGE_TIMEOUT: Final = 10.0
"""Seconds at most for the look-up, for all addresses that are tried, each read of the handshake, and the answer."""

PATIENCE: Final = 1.0
"""Seconds in which an alert of TLS 1.3 is awaited; it takes one round trip."""

_ANSWER_LIMIT: Final = 64 * 1024
_PROXY_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Stage(StrEnum):
    """Where a visit ended."""

    LOOK_UP = "look-up"
    CONNECT = "connect"
    HANDSHAKE = "handshake"
    FIRST_READ = "first read"
    ANSWER = "answer"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What was answered to the GET.

    Attributes:
        headers: By their names in lower case.
        date: The `Date` header, aware, UTC; None: none that can be read.
        asked_at: By this host's clock.
        answered_at: By this host's clock.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    date: datetime | None
    asked_at: datetime
    answered_at: datetime


@dataclass(slots=True)
class Visit:
    """
    One visit.

    Attributes:
        where: Host and port, for people.
        host: As hub.url names it.
        operator: Whose certificate was shown.
        hub: Whose settings were used.
        acknowledged_at: When the hub acknowledged a push last, by the books, if that was lately; None: it was not.
        stage: The last that was begun.
        error: What ended it there; None: nothing, or the hub closed the connection.
        addresses: What the name was found to stand for.
        version: Of TLS; None: no handshake was finished.
        heard: What the server said in the handshake.
        reply: None: there was none.
        proxy_variable: The name of an environment variable that names a proxy, which is not used; None: there is none.
    """

    where: str
    host: str
    operator: OperatorSettings
    hub: HubSettings
    acknowledged_at: datetime | None = None
    stage: Stage = Stage.LOOK_UP
    error: Exception | None = None
    addresses: tuple[str, ...] = ()
    version: str | None = None
    heard: Heard = field(default_factory=Heard)
    reply: Reply | None = None
    proxy_variable: str | None = None


def visit_hub(
    hub: HubSettings,
    operator: OperatorSettings,
    *,
    environ: Mapping[str, str],
    acknowledged_at: datetime | None = None,
    patience: float = PATIENCE,
) -> Visit:
    """
    Go there once, and return how far that led.

    Args:
        environ: Only asked whether it names a proxy.
        acknowledged_at: Goes into the visit.
        patience: Seconds in which an alert is awaited before the request.

    Raises:
        CertificateError: The operator's certificate, its key or the trusted authorities do not load.
    """
    parts = urlsplit(hub.url)
    host, port = parts.hostname or "", parts.port or 443
    variable = next((name for name in _PROXY_VARIABLES if environ.get(name)), None)
    made = Visit(f"{host}:{port}", host, operator, hub, acknowledged_at, proxy_variable=variable)
    password = operator.private_key_password
    context = load_client_context(
        certificate=operator.certificate,
        private_key=operator.private_key,
        password=password.get_secret_value().encode() if password else None,
        ca_file=hub.ca_file,
    )
    made.heard = listen(context)
    timeout = min(STAGE_TIMEOUT, hub.request_timeout.total_seconds())
    try:
        found = _looked_up(host, port, timeout)
        made.addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
        made.stage = Stage.CONNECT
        with _connected(found, timeout) as plain:
            made.stage = Stage.HANDSHAKE
            plain.settimeout(timeout)
            with context.wrap_socket(plain, server_hostname=host) as secured:
                made.version = secured.version()
                made.stage = Stage.FIRST_READ
                secured.settimeout(patience)
                if _is_silent(secured):
                    made.stage = Stage.ANSWER
                    secured.settimeout(timeout)
                    made.reply = _ask(secured, f"{parts.path.rstrip('/')}/", parts.netloc, timeout)
                    made.stage = Stage.DONE if made.reply is not None else Stage.ANSWER
    except (OSError, UnicodeError, http.client.HTTPException) as exc:
        made.error = exc
    return made


def _looked_up(host: str, port: int, timeout: float) -> Sequence[Any]:
    try:
        return look_up(host, port).result(timeout)
    except TimeoutError as exc:
        raise TimeoutError(f"the name service has not answered within {timeout:g} s") from exc


def _connected(found: Sequence[Any], timeout: float) -> socket.socket:
    """Connect to the first address that answers, each with its share of the time; raises what the last one did."""
    ends = time.monotonic() + timeout
    failure = OSError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(found):
        share = max(ends - time.monotonic(), 0.001) / (len(found) - index)
        try:
            plain = socket.socket(family, kind, protocol)
        except OSError as exc:  # a family that this machine does not have
            failure = exc
            continue
        try:
            plain.settimeout(share)
            plain.connect(address)
        except OSError as exc:
            failure = exc
            plain.close()
        else:
            return plain
    raise failure


def _is_silent(secured: ssl.SSLSocket) -> bool:
    try:
        secured.recv(1)
    except TimeoutError:
        return True
    return False


def _ask(secured: ssl.SSLSocket, path: str, authority: str, timeout: float) -> Reply | None:
    """Send the GET and return its answer; None: the connection was closed without one."""
    asked, ends = datetime.now(UTC), time.monotonic() + timeout
    secured.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: oicp-adapter/{oicp_adapter.__version__} check\r\n"
        "Accept: application/json\r\nConnection: close\r\n\r\n".encode("ascii")
    )
    received = b""
    while True:
        if (left := ends - time.monotonic()) <= 0:
            raise TimeoutError
        secured.settimeout(left)
        came = secured.recv(4096)
        received += came
        if not came and not received:
            return None
        reply = _read(received, asked, ended=not came or len(received) > _ANSWER_LIMIT)
        if reply is not None:
            return reply


class _Received:
    """Bytes as `http.client` reads them from a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def _read(received: bytes, asked: datetime, *, ended: bool) -> Reply | None:
    """
    Read an answer; None: more of it is to come.

    Raises:
        http.client.HTTPException: It is none.
    """
    if b"\r\n\r\n" not in received and not ended and received.startswith(b"HTTP/"[: len(received)]):
        return None
    answer = http.client.HTTPResponse(_Received(received), method="GET")  # type: ignore[arg-type]  # what it uses of one
    answer.begin()
    whole = answer.chunked or answer.length is not None
    try:
        body = answer.read()
    except http.client.IncompleteRead as exc:
        if not ended:
            return None
        body = exc.partial
    if not whole and not ended:
        return None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status, headers, body, parse_http_date(headers.get("date")), asked, datetime.now(UTC))


def offset(reply: Reply) -> timedelta | None:
    """Return by how much the hub's clock is ahead of this host's, at least; None: it did not tell the time."""
    if reply.date is None:
        return None
    second = timedelta(seconds=1)  # the header has no fraction
    if reply.date > reply.answered_at:
        return reply.date - reply.answered_at
    return min(reply.date + second - reply.asked_at, timedelta())
