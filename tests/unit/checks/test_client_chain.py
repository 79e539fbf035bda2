"""What is found about the chain in a client certificate's file, and about what the certificate is made for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oicp_adapter.checks.certificates import PAIR_CHECKS, certificate_findings
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.oicp.development_pki import Issued, KeyPair
from oicp_adapter.settings import OperatorSettings

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def make(
    name: str,
    by: Issued | None = None,
    *,
    ends: datetime = NOW + 90 * DAY,
    usages: tuple[x509.ObjectIdentifier, ...] = (),
    ca: bool = True,
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = by.certificate.subject if by else subject
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - 90 * DAY)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return Issued(builder.sign(by.private_key if by else key, hashes.SHA256()), key)


ROOT = make("Root")
MIDDLE = make("Middle", ROOT)
LEAF = make("DE*ABC", MIDDLE, usages=(CLIENT,), ca=False)


def look(folder: Path, leaf: Issued, *chain: Issued) -> list[Finding]:
    pair = KeyPair(folder / "client.pem", folder / "client.key")
    Issued(leaf.certificate, leaf.private_key, tuple(each.certificate for each in chain)).write(pair)
    ca_file = folder / "ca.pem"
    ROOT.write(KeyPair(ca_file, folder / "ca.key"))
    operator = OperatorSettings(id="DE*ABC", certificate=pair.certificate, private_key=pair.private_key)
    return list(certificate_findings(operator, ca_file=ca_file, now=NOW))


def only(findings: list[Finding], check: Check, level: Level = Level.WARNING) -> Finding:
    (found,) = [each for each in findings if each.level is not Level.OK]
    assert (found.check, found.level) == (check, level)
    assert found.cure
    return found


@pytest.mark.parametrize("chain", [(MIDDLE,), (MIDDLE, ROOT)])
def test_a_chain_with_or_without_its_root_is_good(tmp_path: Path, chain: tuple[Issued, ...]) -> None:
    assert [each.level for each in look(tmp_path, LEAF, *chain)] == [Level.OK]


def test_a_file_without_its_intermediate_is_a_warning(tmp_path: Path) -> None:
    found = only(look(tmp_path, LEAF), Check.CHAIN)
    assert "holds no chain, only a certificate of CN=Middle" in found.what


def test_a_chain_in_the_wrong_order_is_a_warning(tmp_path: Path) -> None:
    found = only(look(tmp_path, LEAF, ROOT, MIDDLE), Check.CHAIN)
    assert "certificate 2" in found.what
    assert "CN=Root, has not signed the one before it, which is of CN=Middle" in found.what


def test_an_authority_of_the_right_name_and_another_key_is_a_warning(tmp_path: Path) -> None:
    assert "has not signed" in only(look(tmp_path, LEAF, make("Middle", ROOT)), Check.CHAIN).what


def test_an_expired_intermediate_is_a_warning_and_an_expired_root_is_none(tmp_path: Path) -> None:
    old_root = make("Root", ends=NOW - DAY)
    middle = make("Middle", old_root, ends=NOW - DAY)
    leaf = make("DE*ABC", middle, ca=False)
    assert "CN=Middle in " in only(look(tmp_path, leaf, middle, old_root), Check.CHAIN).what
    good = make("Middle", old_root)
    leaf = make("DE*ABC", good, ca=False)
    assert [each.level for each in look(tmp_path, leaf, good, old_root)] == [Level.OK]


def test_an_intermediate_that_ends_soon_is_a_warning_that_names_it(tmp_path: Path) -> None:
    middle = make("Middle", ROOT, ends=NOW + 3 * DAY)
    leaf = make("DE*ABC", middle, ends=NOW + 400 * DAY, ca=False)
    found = only(look(tmp_path, leaf, middle), Check.VALIDITY)
    assert "expires, with CN=Middle in its file, on 2026-06-04 12:00 UTC, in 3 days" in found.what
    assert "authority's new certificate" in found.cure


def test_a_root_that_ends_soon_is_ornament(tmp_path: Path) -> None:
    root = make("Root", ends=NOW + 3 * DAY)
    middle = make("Middle", root, ends=NOW + 300 * DAY)
    (found,) = look(tmp_path, make("DE*ABC", middle, ends=NOW + 400 * DAY, ca=False), middle, root)
    assert "valid, with CN=Middle in its file, until 2027-03-28, 300 days" in found.what


def test_a_self_signed_certificate_is_a_warning(tmp_path: Path) -> None:
    assert "is self-signed" in only(look(tmp_path, make("DE*ABC", ca=False)), Check.CHAIN).what


def test_a_certificate_for_servers_is_an_error_with_which_the_daemon_starts(tmp_path: Path) -> None:
    found = only(look(tmp_path, make("DE*ABC", MIDDLE, usages=(SERVER,), ca=False), MIDDLE), Check.PURPOSE, Level.ERROR)
    assert "clientAuth" in found.what
    assert found.starts


@pytest.mark.parametrize("usages", [(), (CLIENT,), (SERVER, CLIENT), (ANY,)])
def test_a_certificate_for_clients_or_for_everything_is_good(
    tmp_path: Path, usages: tuple[x509.ObjectIdentifier, ...]
) -> None:
    leaf = make("DE*ABC", MIDDLE, usages=usages, ca=False)
    assert [each.level for each in look(tmp_path, leaf, MIDDLE)] == [Level.OK]


def test_each_check_of_a_pair_asks_a_question() -> None:
    assert all((check.__doc__ or "").endswith("?") for check in PAIR_CHECKS)
