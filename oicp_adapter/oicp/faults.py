"""
Decides which fault of the transport an exception of the network libraries is.

1. A TLS alert about our certificate is told apart from all others, since nothing but a person ends it; with TLS 1.3 it
   shows only when the answer is read, after the request was written.
2. It counts as such only on a connection over which nothing came back yet: afterwards the hub has accepted us.
"""

import re
import ssl
from typing import Final

import httpcore
import httpx

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.oicp.network import Exchange, Stage, TooLateError
from oicp_adapter.sync.answers import TransportFault

NETWORK_ERRORS: Final = (
    TooLateError,
    httpx.HTTPError,
    httpx.StreamError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    OSError,
)
"""Everything that an exchange can raise because of the network or the hub."""

_TIMEOUTS: Final = (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError)

_ABOUT_OUR_CERTIFICATE: Final = re.compile(
    r"ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|NO_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR"
    r"|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED))\b"
)
_AFTER_THE_HANDSHAKE: Final = re.compile(r"ALERT_HANDSHAKE_FAILURE\b")
"""Once we have finished the handshake, only our certificate is left to fail it."""


def fault_of(exc: Exception, exchange: Exchange, *, answered: bool) -> tuple[TransportFault, str]:
    """
    Return the fault and the words about it.

    Args:
        exc: One of `NETWORK_ERRORS`.
        exchange: The exchange that it ended.
        answered: Something had come back over the connection before.
    """
    if exchange.aborted:
        return TransportFault.CUT, "ended by this process"
    if isinstance(exc, TooLateError):
        return TransportFault.DEADLINE_BEFORE_SEND, "the last moment for the first byte had passed"
    words = foreign_text(f"{exchange.stage.value}: {str(exc) or type(exc).__name__}")
    if exchange.stage is Stage.CONNECT or isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout):
        return TransportFault.CONNECT, words
    if isinstance(exc, _TIMEOUTS):
        return TransportFault.TIMEOUT, words
    tls = _tls_error(exc)
    if tls is not None and not answered and _refuses_our_certificate(tls, exchange.stage):
        return TransportFault.TLS_ALERT, words
    return (TransportFault.TLS_HANDSHAKE if exchange.stage is Stage.HANDSHAKE else TransportFault.CUT), words


def _tls_error(exc: BaseException) -> ssl.SSLError | None:
    """Find the error of OpenSSL among the causes."""
    seen: BaseException | None = exc
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _refuses_our_certificate(exc: ssl.SSLError, stage: Stage) -> bool:
    alert = f"{getattr(exc, 'reason', None)} {exc}"
    if _ABOUT_OUR_CERTIFICATE.search(alert):
        return True
    return stage is Stage.TALK and _AFTER_THE_HANDSHAKE.search(alert) is not None
