"""
Tries the TLS handshake with the hub under an operator's certificate, without an API call.

1. TLS 1.3 tells a refused client certificate only after the handshake, at the first read: so one read is tried, and
   that nothing comes is the good answer.
"""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from oicp_adapter.checks.finding import Finding, Level
from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.domain.exit_codes import ExitCode
from oicp_adapter.oicp.certificates import load_client_context
from oicp_adapter.settings import HubSettings, OperatorSettings

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for the connection and the handshake together at most, each read."""

PATIENCE: Final = 1.0
"""Seconds in which an alert of TLS 1.3 is awaited; it takes one round trip."""

_HOST_MISMATCH: Final = (62, 64)
_EXPIRED: Final = (9, 10)
_REFUSALS: Final[Sequence[tuple[str, str]]] = (
    ("CERTIFICATE_EXPIRED", "says that the client certificate has expired: have a new one signed"),
    ("CERTIFICATE_REVOKED", "says that the client certificate is revoked: ask Hubject, and have a new one signed"),
    ("UNKNOWN_CA", "does not know who signed the client certificate: QA and production have authorities of their own"),
    ("CERTIFICATE_REQUIRED", "got no client certificate: check that operators.certificate holds it first"),
    ("CERTIFICATE", "refuses the client certificate: put its whole chain into the file, and ask Hubject"),
    ("ACCESS_DENIED", "refuses the client certificate: ask Hubject"),
)


def handshake_finding(hub: HubSettings, operator: OperatorSettings, *, patience: float = PATIENCE) -> Finding:
    """
    Connect to the hub, shake hands, wait *patience* seconds for an alert, and say what came of it.

    No byte of a request is sent. The daemon starts whatever is found here, since it may pass.
    """
    return replace(_handshake(hub, operator, patience), starts=True)


def _handshake(hub: HubSettings, operator: OperatorSettings, patience: float) -> Finding:
    parts = urlsplit(hub.url)
    host, port = parts.hostname or "", parts.port or 443
    where = f"{host}:{port}"
    timeout = min(CONNECT_TIMEOUT, hub.request_timeout.total_seconds())
    password = operator.private_key_password
    try:
        context = load_client_context(
            certificate=operator.certificate,
            private_key=operator.private_key,
            password=password.get_secret_value().encode() if password else None,
            ca_file=hub.ca_file,
        )
        with (
            socket.create_connection((host, port), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            version = secured.version()
            secured.settimeout(patience)
            closed = _closed_at_once(secured)
    except CertificateError as exc:
        return Finding.from_error(operator.id, exc)
    except ssl.SSLCertVerificationError as exc:
        return _untrusted(operator.id, where, hub, exc)
    except ssl.SSLError as exc:
        return _refused(operator.id, where, exc)
    except (OSError, UnicodeError) as exc:
        return _unreachable(operator.id, where, exc)
    if closed:
        return Finding(
            Level.WARNING,
            operator.id,
            f"{where} closed the connection right after the handshake",
            "the hub may refuse the client certificate without saying so: ask Hubject if pushes fail",
        )
    return Finding(Level.OK, operator.id, f"{where} accepts the client certificate ({version})")


def _closed_at_once(secured: ssl.SSLSocket) -> bool:
    try:
        return not secured.recv(1)
    except TimeoutError:
        return False


def _untrusted(subject: str, where: str, hub: HubSettings, exc: ssl.SSLCertVerificationError) -> Finding:
    said = foreign_text(exc.verify_message)
    if exc.verify_code in _HOST_MISMATCH:
        return Finding(
            Level.ERROR, subject, f"the certificate of {where} is for another host ({said})", "correct hub.url"
        )
    if exc.verify_code in _EXPIRED:
        cure = "check this machine's clock, then tell Hubject"
        return Finding(Level.ERROR, subject, f"the certificate of {where} does not hold now ({said})", cure)
    trusted = f"hub.ca_file {hub.ca_file}" if hub.ca_file else "the system's trust store"
    return Finding(
        Level.ERROR,
        subject,
        f"{where} shows a certificate that {trusted} does not vouch for ({said})",
        "put the authority that signed it into hub.ca_file; a proxy that opens TLS cannot be used",
    )


def _refused(subject: str, where: str, exc: ssl.SSLError) -> Finding:
    reason = exc.reason or ""
    if "ALERT" in reason:
        for word, meaning in _REFUSALS:
            if word in reason:
                what, _, cure = meaning.partition(": ")
                return Finding(Level.ERROR, subject, f"{where} {what} ({reason})", cure)
    shown = foreign_text(reason or exc)
    if "PROTOCOL" in reason or "VERSION" in reason:
        cure = "let hub.url name the TLS port of a hub; TLS 1.2 or newer is needed"
        return Finding(Level.ERROR, subject, f"{where} does not speak TLS 1.2 or newer ({shown})", cure)
    return Finding(
        Level.ERROR,
        subject,
        f"the TLS handshake with {where} failed ({shown})",
        "try again",
        exit_code=ExitCode.UNAVAILABLE,
    )


def _unreachable(subject: str, where: str, exc: OSError | UnicodeError) -> Finding:
    if isinstance(exc, socket.gaierror | UnicodeError):
        what, cure = f"the name of {where} cannot be looked up", "correct hub.url, or this machine's name service"
    elif isinstance(exc, TimeoutError):
        what, cure = f"{where} does not answer", "let the firewall pass it, and ask Hubject to let this address in"
    elif isinstance(exc, ConnectionRefusedError):
        what, cure = f"{where} refuses the connection", "correct hub.url, or start the hub"
    else:
        shown = foreign_text(exc.strerror or exc)
        what, cure = f"the connection to {where} broke ({shown})", "let the firewall pass it; then try again"
    return Finding(Level.ERROR, subject, what, cure, exit_code=ExitCode.UNAVAILABLE)
