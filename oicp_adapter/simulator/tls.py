"""
Wraps the hub's connections in TLS, and says why it refuses a certificate.

1. asyncio drops a connection whose handshake failed without sending the alert that names the reason; the real hub sends
   it, and a client tells a refused certificate from a broken line by nothing else.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol, SSLProtocolState
from datetime import timedelta
from pathlib import Path
from typing import Final

from oicp_adapter.domain.errors import CertificateError

_LINGER: Final = timedelta(seconds=0.5)
"""From the alert to the closing: closing at once would reset the connection, and the alert would be lost with it."""


def server_context(*, certificate: Path, private_key: Path, client_ca: Path) -> ssl.SSLContext:
    """
    Return a context that demands a client certificate of *client_ca*, TLS 1.2 or newer.

    Raises:
        CertificateError: A file is missing, is no PEM, or the key belongs to another certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, private_key, password=_no_password)
        context.load_verify_locations(client_ca)
    except (OSError, ValueError) as exc:
        raise CertificateError(
            f"the simulator's certificate {certificate}, its key {private_key} or {client_ca} does not load ({exc})",
            cure="remove the folder and let `oicp-adapter hub` make a new one",
        ) from exc
    return context


class HubTls(SSLProtocol):
    """
    TLS between a plain connection and the protocol that speaks HTTP.

    Args:
        open_connections: Holds every connection from its first to its last moment, in handshake too.
    """

    def __init__(
        self,
        app_protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        open_connections: set["HubTls"],
    ) -> None:
        super().__init__(asyncio.get_running_loop(), app_protocol, context, None, server_side=True)  # type: ignore[arg-type]  # nobody waits for the handshake
        self._open_connections = open_connections
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._open_connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._open_connections.discard(self)
        if self._closing is not None:
            self._closing.cancel()
        super().connection_lost(exc)

    def cut(self) -> None:
        """Close the connection without a word."""
        if self._transport is not None:
            self._transport.abort()  # type: ignore[attr-defined]  # the base class keeps it as a BaseTransport

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if not isinstance(handshake_exc, ssl.SSLError):
            super()._on_handshake_complete(handshake_exc)
            return
        self._process_outgoing()  # type: ignore[attr-defined]  # unknown to the type stubs, as the next one
        self._set_state(SSLProtocolState.UNWRAPPED)  # type: ignore[attr-defined]  # drops what still comes
        finish = super()._on_handshake_complete
        self._closing = self._loop.call_later(_LINGER.total_seconds(), finish, handshake_exc)


def _no_password() -> str:
    raise ValueError("the key is encrypted")
