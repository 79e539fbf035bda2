"""
Speaks HTTP over mutual TLS, and tells the application what ASGI hides: the transport, the certificate, the first byte.

1. The OperatorIDs of a certificate are its common names exactly as spelled; there may be several.
"""

from asyncio import Transport
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTION: Final = "oicp.connection"
"""Key of the scope's extension that holds the connection."""


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One request's connection.

    Attributes:
        transport: To write past HTTP, and to cut.
        certificate_operators: OperatorIDs that the client certificate names.
        first_byte_at: When the request's first byte was read.
    """

    transport: Transport
    certificate_operators: frozenset[str]
    first_byte_at: datetime


class HubProtocol(HttpToolsProtocol):
    """uvicorn's protocol that hands a `Connection` to the application with each request."""

    _certificate_operators: frozenset[str] = frozenset()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # uvicorn narrows it so, too
        """Read the client certificate once for all requests of the connection."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert") or {}
        self._certificate_operators = frozenset(_common_names(certificate.get("subject", ())))

    def on_message_begin(self) -> None:
        """Note the instant at which a request begins."""
        super().on_message_begin()
        connection = Connection(self.transport, self._certificate_operators, datetime.now(UTC))
        self.scope["extensions"] = {CONNECTION: connection}  # type: ignore[dict-item]  # ASGI wants plain dicts; ours is private


def _common_names(subject: Iterable[Any]) -> Iterable[str]:
    for names in subject:
        for kind, value in names:
            if kind == "commonName":
                yield value
