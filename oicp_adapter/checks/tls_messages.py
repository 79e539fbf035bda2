"""
Reads what a server says in a TLS handshake and Python's `ssl` does not tell: its chain, and whether it asks for ours.

Nothing is decided by it: verification is OpenSSL's. It only explains what was refused.

Source: RFC 5246 §7.4.2, RFC 8446 §4.4.2.
"""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509

from oicp_adapter.oicp.certificates import read_der

_HANDSHAKE: Final = 22
_CERTIFICATE: Final = 11
_CERTIFICATE_REQUEST: Final = 13
_TLS_1_3: Final = 0x0304


@dataclass(slots=True)
class Heard:
    """
    What the server said so far.

    Attributes:
        listens: This Python lets us listen; else the other two say nothing.
        chain: The certificates that it showed, its own first.
        asks: It has asked for a client certificate.
    """

    listens: bool = False
    chain: list[x509.Certificate] = field(default_factory=list)
    asks: bool = False


def listen(context: ssl.SSLContext) -> Heard:
    """Note what the server says in each handshake under *context*, for which there is one connection."""
    heard = Heard()

    def note(*message: Any) -> None:
        _, direction, version, content, kind, data = message
        if direction != "read" or content != _HANDSHAKE:
            return
        if kind == _CERTIFICATE_REQUEST:
            heard.asks = True
        elif kind == _CERTIFICATE:
            heard.chain = list(_certificates(data, extended=version == _TLS_1_3))

    heard.listens = _attach(context, note)
    return heard


def _attach(context: ssl.SSLContext, note: Callable[..., None]) -> bool:
    """Let OpenSSL's message callback call *note*; it is made for debugging, and a Python may come without it."""
    if not hasattr(context, "_msg_callback"):
        return False
    context._msg_callback = note  # noqa: SLF001 - there is no public way before Python 3.13
    return True


def _certificates(message: bytes, *, extended: bool) -> Iterator[x509.Certificate]:
    """Yield the certificates of a Certificate message; what cannot be read ends them."""
    rest = message[4:]
    if extended:
        rest = rest[1 + int.from_bytes(rest[:1]) :]
    rest = rest[3:]
    while rest:
        size = int.from_bytes(rest[:3])
        der, rest = rest[3 : 3 + size], rest[3 + size :]
        if extended:
            rest = rest[2 + int.from_bytes(rest[:2]) :]
        certificate = read_der(der)
        if certificate is None:
            return
        yield certificate
