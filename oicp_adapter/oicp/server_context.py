"""Builds the TLS context with which a server of ours shows its certificate."""

import ssl
from pathlib import Path

from oicp_adapter.oicp.client_context import load_pair


def load_server_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """
    Build the TLS context of a server that asks nobody for a certificate; TLS 1.2 or newer.

    Raises:
        CertificateError: A file is missing, unreadable or no PEM, the key is encrypted, or the two do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_pair(
        context, certificate, private_key, cure="name a key without a password that only the server's user can read"
    )
    return context
