"""What a server says in a handshake, however little of it there is."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from oicp_adapter.checks.tls_messages import listen
from oicp_adapter.oicp.development_pki import Authority

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HANDSHAKE, CERTIFICATE = 22, 11


def said(message: bytes, version: ssl.TLSVersion) -> int:
    """Let OpenSSL say that a Certificate message came; return how many certificates were understood."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    heard = listen(context)
    context._msg_callback(None, "read", version, HANDSHAKE, CERTIFICATE, message)
    return len(heard.chain)


def sized(content: bytes, size: int) -> bytes:
    return len(content).to_bytes(size) + content


@pytest.fixture(scope="module")
def certificate() -> bytes:
    made = Authority.create("Hub CA", not_before=NOW, not_after=NOW + timedelta(days=1))
    return made.issued.certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_of_a_message_that_ends_anywhere_the_whole_certificates_are_understood(
    certificate: bytes, version: ssl.TLSVersion
) -> None:
    extended = version is ssl.TLSVersion.TLSv1_3
    entry = sized(certificate, 3) + (sized(b"", 2) if extended else b"")
    head = b"\x0b\0\0\0" + (sized(b"", 1) if extended else b"")
    whole = head + sized(entry * 2, 3)
    begin = len(head) + 3
    ends = [begin + len(certificate) + 3, begin + len(entry) + 3 + len(certificate)]
    for length in range(len(whole) + 1):
        assert said(whole[:length], version) == sum(length >= end for end in ends), length
