"""
Makes the certificates with which the adapter and the simulator speak mutual TLS on a developer's machine.

1. What is there and still good is used again; what is there and no longer good is replaced only when asked to.
2. Private keys are readable by their owner alone from the moment they exist.
3. Extensions are complete (key identifiers, key usage), so that the strict checks of Python 3.13 pass too.
"""

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oicp_adapter.domain.errors import CertificateError, ConfigurationError, WrongArgumentError, foreign_text

DEFAULT_HUB_NAMES: Final = ("localhost", "127.0.0.1")

_BACKDATED: Final = timedelta(hours=1)
"""A certificate holds from this long before it was made, for machines whose clocks differ."""

_CURE: Final = "delete the directory, choose another one, or have it overwritten"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Paths of a certificate, its chain included, and of its private key."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class DevelopmentPki:
    """
    Paths of everything that was made.

    Attributes:
        hub_ca: What the adapter trusts; its key is beside it.
        hub: What the hub shows.
        client_ca: What the hub trusts; its key is beside it.
        clients: What each operator shows, by OperatorID as spelled.
    """

    hub_ca: KeyPair
    hub: KeyPair
    client_ca: KeyPair
    clients: Mapping[str, KeyPair]


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, not yet on disk; `chain` are the certificates above it."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def write(self, pair: KeyPair, *, password: bytes | None = None) -> KeyPair:
        """Write both files, the key encrypted if there is a password; existing ones are replaced in one step each."""
        _replace(pair.private_key, _key_pem(self.private_key, password), mode=0o600)
        _replace(pair.certificate, b"".join(_pem(link) for link in (self.certificate, *self.chain)), mode=0o644)
        return pair


class Authority:
    """A certificate authority that signs for hubs and for operators."""

    def __init__(self, issued: Issued) -> None:
        self.issued = issued

    @classmethod
    def create(cls, common_name: str, *, not_before: datetime, not_after: datetime) -> Self:
        """Make a new one; both instants aware, UTC."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(common_name, organization="Development only")
        builder = _builder(subject, subject, key.public_key(), not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        return cls(Issued(builder.sign(key, hashes.SHA256()), key))

    @classmethod
    def load(cls, pair: KeyPair) -> Self:
        """
        Read one from disk.

        Raises:
            CertificateError: A file is missing or unreadable, or the two do not match.
        """
        return cls(_load(pair))

    def issue_hub(self, names: Sequence[str], *, not_before: datetime, not_after: datetime) -> Issued:
        """Sign a server's certificate for DNS names and addresses."""
        extensions = [x509.SubjectAlternativeName([_alternative_name(name) for name in names])]
        subject = _name(names[0], organization="Hubject simulator")
        return self._issue(subject, ExtendedKeyUsageOID.SERVER_AUTH, extensions, not_before, not_after)

    def issue_client(self, operator: str, *, not_before: datetime, not_after: datetime) -> Issued:
        """Sign an operator's certificate; CN and O are the OperatorID exactly as spelled."""
        subject = _name(operator, organization=operator)
        return self._issue(subject, ExtendedKeyUsageOID.CLIENT_AUTH, [], not_before, not_after)

    def _issue(
        self,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        extensions: Iterable[x509.ExtensionType],
        not_before: datetime,
        not_after: datetime,
    ) -> Issued:
        own = self.issued
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, own.certificate.subject, key.public_key(), not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(own.private_key.public_key()), critical=False
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return Issued(builder.sign(own.private_key, hashes.SHA256()), key, (own.certificate,))


def create_development_pki(
    directory: Path,
    *,
    operators: Sequence[str],
    hub_names: Sequence[str] = DEFAULT_HUB_NAMES,
    valid_for: timedelta,
    now: datetime,
    overwrite: bool = False,
) -> DevelopmentPki:
    """
    Make what is missing of a development PKI in *directory*, which is created if need be.

    Args:
        directory: Holds hub-ca, hub, client-ca and one client-… pair for each operator (.pem and .key).
        operators: OperatorIDs; their certificates bear them exactly as spelled.
        hub_names: DNS names and addresses under which the hub is reached.
        valid_for: Life time of what is made; existing material keeps its own.
        now: Aware, UTC.
        overwrite: Make everything anew.

    Raises:
        ConfigurationError: Existing material has expired, is incomplete or does not fit, or two operators would share
            a file.
        WrongArgumentError: A hub name can stand in no certificate.
    """
    _require_names(hub_names)
    files = _layout(directory, operators)
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        span = {"not_before": now - _BACKDATED, "not_after": now + valid_for}
        hub_ca = _authority(files.hub_ca, "OICP adapter development hub CA", span, now, overwrite=overwrite)
        client_ca = _authority(files.client_ca, "OICP adapter development client CA", span, now, overwrite=overwrite)
        if overwrite or not _usable(files.hub, hub_ca, now, names=hub_names):
            hub_ca.issue_hub(hub_names, **span).write(files.hub)
        for operator, pair in files.clients.items():
            if overwrite or not _usable(pair, client_ca, now, operator=operator):
                client_ca.issue_client(operator, **span).write(pair)
    except OSError as exc:
        raise ConfigurationError(
            f"development certificates cannot be written to {directory} ({exc.strerror})",
            cure="choose a directory that this user may write to",
        ) from exc
    return files


def client_file_name(operator: str) -> str:
    """Return the stem of an operator's files: `DE*ABC` becomes `client-DE-ABC`."""
    return "client-" + re.sub(r"[^A-Za-z0-9]+", "-", operator).strip("-")


def _require_names(hub_names: Sequence[str]) -> None:
    for place, name in enumerate(hub_names):
        try:
            _alternative_name(name)
            if place == 0:
                _name(name, organization="any")  # it becomes the common name, too
        except ValueError as exc:
            raise WrongArgumentError(
                f"hub name {foreign_text(name, 60)!r} can stand in no certificate",
                cure="give an address, or a DNS name in ASCII (xn--… for others), the first of at most 64 characters",
            ) from exc


def _layout(directory: Path, operators: Sequence[str]) -> DevelopmentPki:
    def pair(stem: str) -> KeyPair:
        return KeyPair(directory / f"{stem}.pem", directory / f"{stem}.key")

    clients: dict[str, KeyPair] = {}
    for operator in dict.fromkeys(operators):
        made = pair(client_file_name(operator))
        for other, taken in clients.items():
            if taken == made:
                both = f"{foreign_text(other, 60)} and {foreign_text(operator, 60)}"
                raise ConfigurationError(
                    f"operators {both} would share {made.certificate}", cure="they are one operator; name it once"
                )
        clients[operator] = made
    return DevelopmentPki(pair("hub-ca"), pair("hub"), pair("client-ca"), MappingProxyType(clients))


def _authority(
    pair: KeyPair, common_name: str, span: Mapping[str, datetime], now: datetime, *, overwrite: bool
) -> Authority:
    if not overwrite and _usable(pair, None, now):
        return Authority.load(pair)
    authority = Authority.create(common_name, **span)
    authority.issued.write(pair)
    return authority


def _usable(
    pair: KeyPair, authority: Authority | None, now: datetime, *, names: Sequence[str] = (), operator: str | None = None
) -> bool:
    """Tell whether a pair can be used again; False: there is none; anything in between is refused."""
    if not pair.certificate.exists() and not pair.private_key.exists():
        return False
    leaf = _load(pair).certificate
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise ConfigurationError(f"{pair.certificate} does not hold at {now:%Y-%m-%d %H:%M} UTC", cure=_CURE)
    if authority is not None:
        try:
            leaf.verify_directly_issued_by(authority.issued.certificate)
        except (InvalidSignature, ValueError, TypeError) as exc:
            raise ConfigurationError(f"{pair.certificate} was signed by another authority", cure=_CURE) from exc
    if missing := [name for name in names if _alternative_name(name) not in _names(leaf)]:
        raise ConfigurationError(f"{pair.certificate} does not name {', '.join(missing)}", cure=_CURE)
    if operator is not None and leaf.subject != _name(operator, organization=operator):
        raise ConfigurationError(f"{pair.certificate} is not that of {foreign_text(operator, 60)}", cure=_CURE)
    return True


def _load(pair: KeyPair) -> Issued:
    try:
        chain = x509.load_pem_x509_certificates(pair.certificate.read_bytes())
        key = serialization.load_pem_private_key(pair.private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise CertificateError(
            f"{pair.certificate} and {pair.private_key} do not load ({foreign_text(exc)})", cure=_CURE
        ) from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != chain[0].public_key():
        raise CertificateError(f"{pair.private_key} does not belong to {pair.certificate}", cure=_CURE)
    return Issued(chain[0], key, tuple(chain[1:]))


def _names(leaf: x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        return list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str, *, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, password: bytes | None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    beside.replace(path)
