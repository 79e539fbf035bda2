"""
Loads, inspects and watches the client certificate and its private key.

1. A key that wants a password never prompts: a daemon would hang on its terminal.
2. The environment (SSL_CERT_FILE, SSL_CERT_DIR) decides nothing; trust comes from the settings or the system.
3. A pair on disk replaces the one in use only after it has loaded completely.
4. No text, repr or error holds a key, PEM or password.
"""

import hashlib
import os
import re
import ssl
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.domain.identifiers import CanonicalOperatorId, operator_key

EXPIRES_SOON: Final = timedelta(days=30)
"""Hubject needs days to sign a request, so a month is the time to begin."""

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where systems keep their trust store when this Python's OpenSSL was built for another place."""

_TOKENS: Final = (re.compile(r"[A-Za-z0-9*+]+"), re.compile(r"[A-Za-z0-9*+_-]+"))
_NAMES_WITH_OPERATOR: Final = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.SERIAL_NUMBER,
)


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
        chain_length: Certificates in the file, its own included.
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
    chain_length: int
    fingerprint: str
    operator_words: frozenset[CanonicalOperatorId]

    def names_operator(self, operator: CanonicalOperatorId) -> bool:
        """Tell whether the OperatorID occurs in the certificate's names, in any spelling, as a word of its own."""
        return operator in self.operator_words


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
    _read_pem(certificate, "CERTIFICATE", "certificate")
    encrypted = b"ENCRYPTED" in _read_pem(private_key, "PRIVATE KEY", "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, private_key, password or _no_password)
    except _PasswordWantedError as exc:
        raise CertificateError(
            f"private key {private_key} is encrypted", cure="name its password's file in private_key_password_file"
        ) from exc
    except (OSError, ValueError) as exc:
        raise _pair_error(exc, certificate, private_key, encrypted=encrypted) from exc
    _trust(context, ca_file)
    return context


def inspect_certificate(path: Path) -> CertificateFacts:
    """
    Read what the first certificate of a PEM file says.

    Raises:
        CertificateError: The file is missing, unreadable, or holds no readable certificate.
    """
    return _facts(_read_pem(path, "CERTIFICATE", "certificate"), path)


def certificate_chain(path: Path) -> Sequence[x509.Certificate]:
    """
    Return the certificates of a PEM file in their order.

    Raises:
        CertificateError: The file is missing, unreadable, or holds no readable certificate.
    """
    pem = _read_pem(path, "CERTIFICATE", "certificate")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as exc:
        raise _unreadable(path, exc) from exc


def system_authorities() -> frozenset[x509.Name]:
    """Return the names of the authorities in the system's trust store; none: there is no store, or it is a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        _trust(context, None)
    except CertificateError:
        return frozenset()
    known = (read_der(der) for der in context.get_ca_certs(binary_form=True))
    return frozenset(each.subject for each in known if each is not None)


def read_der(der: bytes) -> x509.Certificate | None:
    """Read somebody else's certificate; None: it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stores hold old authorities with numbers that RFC 5280 does not allow
        try:
            return x509.load_der_x509_certificate(der)
        except ValueError:
            return None


def key_permissions_problem(path: Path) -> str | None:
    """
    Tell in words that a key file is readable by more than this process needs; None: it is not, or cannot be looked at.

    A file that belongs to root may be readable by its group: so Kubernetes hands a secret to a user that is not root
    (`fsGroup`), and systemd a credential, whose access list shows as the group's bit.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    lent = found.st_uid == 0 and os.geteuid() != 0
    allowed = stat.S_IRGRP if lent else 0
    readers = [who for bit, who in ((stat.S_IRGRP, "its group"), (stat.S_IROTH, "others")) if mode & bit & ~allowed]
    if not readers:
        return None
    cure = f"chmod {'640' if lent else '600'} {path}"
    return f"private key {path} is readable by {' and '.join(readers)} (mode {mode:04o}): {cure}"


class ClientIdentity:
    """
    The certificate and key of one lane as they are on disk, loaded once and again whenever they are replaced.

    Belongs to one client: httpcore sets ALPN on the context at every connection.

    Attributes:
        last_error: Why the pair that is on disk now does not load; None: the pair in use is the one on disk.
    """

    def __init__(
        self,
        *,
        certificate: Path,
        private_key: Path,
        password: bytes | None = None,
        ca_file: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Load the pair.

        Args:
            clock: The time, aware, by which a new pair is judged.

        Raises:
            CertificateError: It does not load; see `load_client_context`.
        """
        self._certificate = certificate
        self._private_key = private_key
        self._password = password
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._clock = clock
        self._stamps = self._stamp()
        self._valid_from: datetime | None = None
        self._loaded = self._load(generation=1)
        self.last_error: CertificateError | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of the pair in use."""
        return self._loaded.context

    @property
    def facts(self) -> CertificateFacts:
        """What the certificate in use says."""
        return self._loaded.facts

    @property
    def generation(self) -> int:
        """Counts the pairs that were in use, from 1; a connection of an older one should be closed."""
        return self._loaded.generation

    def refresh(self) -> bool:
        """
        Take up a new pair when the files have changed; otherwise cost a few stat calls.

        A pair that does not load (replaced in two steps, half-written) or does not hold now leaves the old one in use,
        sets `last_error` and is tried again when a file changes again, or when it begins to hold. Safe to call from
        several threads.

        Returns:
            Whether another pair, or another trusted CA, is in use now.
        """
        with self._lock:
            stamps = self._stamp()
            begins = self._valid_from is not None and self._valid_from <= self._clock()
            if stamps == self._stamps and not begins:
                return False
            # The stamps are those from before the load: a file that changes meanwhile is seen the next time.
            self._stamps, self._valid_from = stamps, None
            try:
                loaded = self._load(generation=self._loaded.generation + 1)
                if loaded.facts.fingerprint != self._loaded.facts.fingerprint:
                    self._require_valid(loaded.facts)
            except CertificateError as exc:
                self.last_error = exc
                return False
            self.last_error = None
            if loaded.digest == self._loaded.digest:
                return False
            self._loaded = loaded
            return True

    def _load(self, *, generation: int) -> "_Loaded":
        facts = inspect_certificate(self._certificate)
        digest = hashlib.sha256()
        for path in self._paths():
            digest.update(hashlib.sha256(_read(path, "file")).digest())
        context = load_client_context(
            certificate=self._certificate,
            private_key=self._private_key,
            password=self._password,
            ca_file=self._ca_file,
        )
        return _Loaded(context, facts, digest.digest(), generation)

    def _require_valid(self, facts: CertificateFacts) -> None:
        now = self._clock()
        if now > facts.not_after:
            raise CertificateError(
                f"{self._certificate} expired on {facts.not_after:%Y-%m-%d %H:%M} UTC, the old one stays in use",
                cure="put a certificate there that holds",
            )
        if now < facts.not_before:
            self._valid_from = facts.not_before
            raise CertificateError(
                f"{self._certificate} holds only from {facts.not_before:%Y-%m-%d %H:%M} UTC, the old one stays in use",
                cure="wait, or put a certificate there that holds now",
            )

    def _stamp(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_stamp(path) for path in self._paths())

    def _paths(self) -> Iterable[Path]:
        return (path for path in (self._certificate, self._private_key, self._ca_file) if path is not None)


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    facts: CertificateFacts
    digest: bytes
    generation: int


class _PasswordWantedError(Exception):
    """OpenSSL asks for a password that nobody gave."""


def _no_password() -> bytes:
    raise _PasswordWantedError


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Identify a file's content without reading it; the change time is among it so that a chmod is seen too."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise CertificateError(f"{what} {path} does not exist", cure="correct the path in the settings") from exc
    except OSError as exc:
        raise CertificateError(
            f"{what} {path} cannot be read ({exc.strerror})", cure="let the adapter's user read that file"
        ) from exc


def _read_pem(path: Path, label: str, what: str) -> bytes:
    content = _read(path, what)
    if b"-----BEGIN " in content and f"{label}-----".encode() in content:
        return content
    raise CertificateError(
        f"{what} {path} holds no PEM block '{label}'",
        cure="convert it: openssl x509 -inform DER for a certificate, openssl pkcs12 -nodes for a .p12 or .pfx",
    )


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
        _read_pem(ca_file, "CERTIFICATE", "CA file")
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
    context.load_verify_locations(cafile=files[0] if files else None, capath=folder)


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
            chain_length=len(chain),
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            operator_words=_operator_words(texts),
        )
    except ValueError as exc:
        raise _unreadable(path, exc) from exc


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
