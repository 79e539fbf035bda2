"""
Reads the files of certificates and keys, and tells what a certificate says.

1. No error holds what stands in a file: where a certificate is expected, somebody may have named a key.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.domain.identifiers import CanonicalOperatorId, operator_key

EXPIRES_SOON: Final = timedelta(days=30)
"""Hubject needs days to sign a request, so a month is the time to begin."""

_TOKENS: Final = (re.compile(r"[A-Za-z0-9*+]+"), re.compile(r"[A-Za-z0-9*+_-]+"))
_NAMES_WITH_OPERATOR: Final = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.SERIAL_NUMBER,
)


@dataclass(frozen=True, slots=True)
class Link:
    """
    One certificate of a file.

    Attributes:
        subject: Distinguished name, RFC 4514.
        not_after: Aware, UTC; the last second at which it holds.
        own: It is the first, whose file this is; else that of an authority.
        root: It has signed itself; as an authority it is ornament then, since the other side has its own.
    """

    subject: str
    not_after: datetime
    own: bool
    root: bool


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """
    What a certificate says, as far as people and checks need it.

    Attributes:
        subject: Distinguished name, RFC 4514.
        common_name: None: the subject has none.
        organizations: In the order of the subject.
        alternative_names: DNS names, addresses, mail addresses and URIs, as text.
        issuer: Distinguished name, RFC 4514.
        serial: Hexadecimal, lower case.
        not_before: Aware, UTC; from this second on it holds.
        not_after: Aware, UTC; the last second at which it holds.
        chain: All certificates in the file in their order, its own included.
        fingerprint: SHA-256 of the certificate, hexadecimal, lower case.
        operator_words: Keys of all words in its names that could be an OperatorID.
    """

    subject: str
    common_name: str | None
    organizations: tuple[str, ...]
    alternative_names: tuple[str, ...]
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    chain: tuple[Link, ...]
    fingerprint: str
    operator_words: frozenset[CanonicalOperatorId]

    @property
    def endings(self) -> Sequence[Link]:
        """What has to hold for the certificate to be of use, that which ends first at the beginning; never empty."""
        return sorted((link for link in self.chain if link.own or not link.root), key=lambda link: link.not_after)

    def names_operator(self, operator: CanonicalOperatorId) -> bool:
        """Tell whether the OperatorID occurs in the certificate's names, in any spelling, as a word of its own."""
        return operator in self.operator_words


def inspect_certificate(path: Path) -> CertificateFacts:
    """
    Read what the first certificate of a PEM file says.

    Raises:
        CertificateError: The file is missing, unreadable, or holds no readable certificate.
    """
    return _facts(read_pem(path, "CERTIFICATE", "certificate"), path)


def certificate_chain(path: Path) -> Sequence[x509.Certificate]:
    """
    Return the certificates of a PEM file in their order.

    Raises:
        CertificateError: The file is missing, unreadable, or holds no readable certificate.
    """
    pem = read_pem(path, "CERTIFICATE", "certificate")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as exc:
        raise _unreadable(path, exc) from exc


def read_der(der: bytes) -> x509.Certificate | None:
    """Read somebody else's certificate; None: it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stores hold old authorities with numbers that RFC 5280 does not allow
        try:
            return x509.load_der_x509_certificate(der)
        except ValueError:
            return None


def read_file(path: Path, what: str) -> bytes:
    """
    Return what a file of the settings holds.

    Args:
        what: What the file is, for the error.

    Raises:
        CertificateError: It is missing or unreadable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise CertificateError(f"{what} {path} does not exist", cure="correct the path in the settings") from exc
    except OSError as exc:
        raise CertificateError(
            f"{what} {path} cannot be read ({exc.strerror})", cure="let the adapter's user read that file"
        ) from exc


def read_pem(path: Path, label: str, what: str) -> bytes:
    """
    Return what a PEM file holds.

    Args:
        label: How the label of one of its blocks must end, as `PRIVATE KEY`.
        what: What the file is, for the error.

    Raises:
        CertificateError: It is missing or unreadable, or has no such block.
    """
    content = read_file(path, what)
    if b"-----BEGIN " in content and f"{label}-----".encode() in content:
        return content
    raise CertificateError(
        f"{what} {path} holds no PEM block '{label}'",
        cure="convert it: openssl x509 -inform DER for a certificate, openssl pkcs12 -nodes for a .p12 or .pfx",
    )


def _facts(pem: bytes, path: Path) -> CertificateFacts:
    try:
        chain = x509.load_pem_x509_certificates(pem)
        leaf = chain[0]
        names = _alternative_names(leaf)
        texts = [*names, *(text for oid in _NAMES_WITH_OPERATOR for text in _texts(leaf.subject, oid))]
        return CertificateFacts(
            subject=leaf.subject.rfc4514_string(),
            common_name=next(iter(_texts(leaf.subject, NameOID.COMMON_NAME)), None),
            organizations=tuple(_texts(leaf.subject, NameOID.ORGANIZATION_NAME)),
            alternative_names=names,
            issuer=leaf.issuer.rfc4514_string(),
            serial=f"{leaf.serial_number:x}",
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            chain=tuple(_link(each, own=place == 0) for place, each in enumerate(chain)),
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            operator_words=_operator_words(texts),
        )
    except ValueError as exc:
        raise _unreadable(path, exc) from exc


def _link(certificate: x509.Certificate, *, own: bool) -> Link:
    root = certificate.issuer == certificate.subject
    return Link(certificate.subject.rfc4514_string(), certificate.not_valid_after_utc, own, root)


def _unreadable(path: Path, exc: ValueError) -> CertificateError:
    return CertificateError(
        f"certificate {path} cannot be read ({foreign_text(exc)})", cure="check it with openssl x509 -noout -text"
    )


def _texts(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    return [value if isinstance(value, str) else value.decode("utf-8", "replace") for value in values]


def _alternative_names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return tuple(str(name.value) for name in names if isinstance(name, kinds))


def _operator_words(texts: Iterable[str]) -> frozenset[CanonicalOperatorId]:
    """Split names into words twice, since `DE-ABC` is how some authorities write what may hold no asterisk."""
    words = (word for text in texts for tokens in _TOKENS for word in tokens.findall(text))
    return frozenset(operator_key(word.replace("-", "").replace("_", "")) for word in words)
