"""
Builds the TLS context with which a client shows its certificate to the hub, and decides whom it trusts.

1. A key that wants a password never prompts: a daemon would hang on its terminal.
2. The environment (SSL_CERT_FILE, SSL_CERT_DIR) decides nothing; trust comes from the settings or the system.
3. No text, repr or error holds a key, PEM or password.
"""

import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.oicp.certificates import read_der, read_pem

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where systems keep their trust store when this Python's OpenSSL was built for another place."""


def load_client_context(
    *, certificate: Path, private_key: Path, password: bytes | None, ca_file: Path | None
) -> ssl.SSLContext:
    """
    Build the TLS context of a client that shows *certificate* and trusts *ca_file*.

    TLS 1.2 or newer, host name checked. Dates are not checked here: `inspect_certificate` tells them.

    Args:
        certificate: PEM, with its chain.
        private_key: PEM.
        password: None: the key is expected to be unencrypted.
        ca_file: PEM; None: the system's trust store.

    Raises:
        CertificateError: A file is missing, unreadable or no PEM, the key is encrypted, or the two do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, certificate, private_key, password, cure="name its password's file in private_key_password_file")
    _trust(context, ca_file)
    return context


def load_pair(
    context: ssl.SSLContext, certificate: Path, private_key: Path, password: bytes | None = None, *, cure: str
) -> None:
    """
    Let a context show a certificate.

    Args:
        cure: What to do about an encrypted key for which there is no password.

    Raises:
        CertificateError: As for `load_client_context`.
    """
    read_pem(certificate, "CERTIFICATE", "certificate")
    encrypted = b"ENCRYPTED" in read_pem(private_key, "PRIVATE KEY", "private key")
    try:
        context.load_cert_chain(certificate, private_key, password or _no_password)
    except _PasswordWantedError as exc:
        raise CertificateError(f"private key {private_key} is encrypted", cure=cure) from exc
    except (OSError, ValueError) as exc:
        raise _pair_error(exc, certificate, private_key, encrypted=encrypted) from exc


def system_authorities() -> frozenset[x509.Name]:
    """Return the names of the authorities in the system's trust store; none: there is no store, or it is a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        _trust(context, None)
    except CertificateError:
        return frozenset()
    known = (read_der(der) for der in context.get_ca_certs(binary_form=True))
    return frozenset(each.subject for each in known if each is not None)


class _PasswordWantedError(Exception):
    """OpenSSL asks for a password that nobody gave."""


def _no_password() -> bytes:
    raise _PasswordWantedError


def _pair_error(exc: Exception, certificate: Path, private_key: Path, *, encrypted: bool) -> CertificateError:
    reason = getattr(exc, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return CertificateError(
            f"private key {private_key} does not belong to certificate {certificate}",
            cure="put the key that the certificate was requested with beside it",
        )
    if encrypted:
        return CertificateError(
            f"private key {private_key} does not open with the given password",
            cure="correct the password in the file that private_key_password_file names",
        )
    return CertificateError(
        f"certificate {certificate} and private key {private_key} do not load ({foreign_text(exc)})",
        cure="check both with openssl x509 -noout -text and openssl pkey -noout -check",
    )


def _trust(context: ssl.SSLContext, ca_file: Path | None) -> None:
    if ca_file is not None:
        read_pem(ca_file, "CERTIFICATE", "CA file")
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as exc:
            raise CertificateError(
                f"CA file {ca_file} does not load ({foreign_text(exc)})", cure="check it with openssl x509 -noout -text"
            ) from exc
        return
    # The paths that OpenSSL was built with; load_default_certs would let the environment decide.
    built_in = ssl.get_default_verify_paths()
    files = [path for path in (built_in.openssl_cafile, *_BUNDLES) if Path(path).is_file()]
    folder = built_in.openssl_capath if Path(built_in.openssl_capath).is_dir() else None
    if not files and folder is None:
        raise CertificateError("this system has no trust store", cure="install ca-certificates or set hub.ca_file")
    try:
        context.load_verify_locations(cafile=files[0] if files else None, capath=folder)
    except OSError as exc:
        raise CertificateError(
            f"this system's trust store {files[0] if files else folder} does not load ({foreign_text(exc)})",
            cure="install ca-certificates anew, let the adapter's user read it, or set hub.ca_file",
        ) from exc
