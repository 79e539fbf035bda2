import os
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from oicp_adapter.domain.errors import CertificateError
from oicp_adapter.domain.identifiers import CanonicalOperatorId
from oicp_adapter.oicp import certificates
from oicp_adapter.oicp.certificates import (
    ClientIdentity,
    inspect_certificate,
    key_permissions_problem,
    load_client_context,
)
from oicp_adapter.oicp.development_pki import Authority, KeyPair


@pytest.fixture
def issue(pki, now, tmp_path):
    def make(name="DE*ABC", *, hub=False, password=None) -> KeyPair:
        span = {"not_before": now, "not_after": now + timedelta(days=2)}
        authority = Authority.load(pki.client_ca)
        issued = authority.issue_hub([name], **span) if hub else authority.issue_client(name, **span)
        return issued.write(KeyPair(tmp_path / "one.pem", tmp_path / "one.key"), password=password)

    return make


def load(pair: KeyPair, *, password: bytes | None = None, ca_file: Path | None = None) -> ssl.SSLContext:
    return load_client_context(
        certificate=pair.certificate, private_key=pair.private_key, password=password, ca_file=ca_file
    )


def test_a_context_checks_host_names_and_speaks_tls_1_2_or_newer(pki):
    context = load(pki.clients["DE*ABC"], ca_file=pki.hub_ca.certificate)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_what_a_certificate_says_is_read(pki, now):
    facts = inspect_certificate(pki.clients["DE*ABC"].certificate)
    assert (facts.common_name, facts.organizations, facts.chain_length) == ("DE*ABC", ("DE*ABC",), 2)
    assert "development client CA" in facts.issuer
    assert facts.not_before <= now < facts.not_after == (now + timedelta(days=30)).replace(microsecond=0)
    assert facts.not_after.utcoffset() == timedelta()
    assert len(facts.fingerprint) == 64
    assert inspect_certificate(pki.hub.certificate).alternative_names == ("localhost", "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("DE*ABC", True),
        ("deabc", True),
        ("DE-ABC", True),
        ("CPO DE_ABC, Hubject QA", True),
        ("de-abc.example.com", True),
        ("DE*ABCD", False),
        ("XDE*ABC", False),
        ("DE ABC", False),
    ],
)
def test_an_operator_is_named_by_a_word_of_its_own_in_any_spelling(issue, name, named):
    facts = inspect_certificate(issue(name).certificate)
    assert facts.names_operator(CanonicalOperatorId("DEABC")) is named


def test_an_operator_is_named_by_an_alternative_name_too(issue):
    assert inspect_certificate(issue("de-abc.example", hub=True).certificate).names_operator(
        CanonicalOperatorId("DEABC")
    )


def test_an_encrypted_key_without_a_password_is_an_error_and_never_a_prompt(issue, monkeypatch):
    pair = issue(password=b"correct horse")
    monkeypatch.setattr("getpass.getpass", None)
    with pytest.raises(CertificateError, match=r"is encrypted: name its password's file"):
        load(pair)


def test_a_wrong_password_is_told_without_showing_it(issue):
    pair = issue(password=b"correct horse")
    with pytest.raises(CertificateError, match="does not open with the given password") as caught:
        load(pair, password=b"battery staple")
    assert "staple" not in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_key_of_another_certificate_is_told(pki):
    mixed = KeyPair(pki.clients["DE*ABC"].certificate, pki.hub.private_key)
    with pytest.raises(CertificateError, match="does not belong to certificate"):
        load(mixed)


def spoil(pair: KeyPair, how: str) -> None:
    match how:
        case "missing":
            pair.certificate.unlink()
        case "directory":
            pair.certificate.unlink()
            pair.certificate.mkdir()
        case "no PEM":
            pair.certificate.write_bytes(b"\x30\x82\x01\x02")
        case "empty":
            pair.certificate.write_bytes(b"")
        case "half":
            pair.certificate.write_bytes(pair.certificate.read_bytes()[:200])
        case "nonsense":
            pair.certificate.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize("how", ["missing", "directory", "no PEM", "empty", "half", "nonsense"])
def test_a_file_that_holds_no_certificate_is_an_error_with_cause_and_cure(issue, pki, how):
    pair = issue()
    spoil(pair, how)
    for use in (
        lambda: inspect_certificate(pair.certificate),
        lambda: load(pair),
        lambda: load(pki.clients["DE*ABC"], ca_file=pair.certificate),
    ):
        with pytest.raises(CertificateError) as caught:
            use()
        assert str(pair.certificate) in caught.value.what
        assert caught.value.cure


def test_a_file_that_may_not_be_read_is_told(issue, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    pair = issue()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CertificateError, match=r"cannot be read \(Permission denied\)"):
        load(pair)


def test_without_a_ca_file_and_without_a_trust_store_there_is_no_context(pki, monkeypatch):
    nowhere = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "/nowhere", "SSL_CERT_DIR", "/nowhere")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(certificates, "_BUNDLES", ())
    with pytest.raises(CertificateError, match="no trust store"):
        load(pki.clients["DE*ABC"])


@pytest.mark.parametrize(("mode", "readers"), [(0o600, None), (0o400, None), (0o640, "its group"), (0o604, "others")])
def test_a_key_that_others_may_read_is_a_problem(tmp_path, mode, readers):
    key = tmp_path / "client.key"
    key.touch()
    key.chmod(mode)
    problem = key_permissions_problem(key)
    assert (problem is None) == (readers is None)
    assert readers is None or f"readable by {readers} (mode {mode:04o}): chmod 600" in problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that belong to root")
@pytest.mark.parametrize(("mode", "readers"), [(0o440, None), (0o640, None), (0o444, "others"), (0o644, "others")])
def test_a_key_of_root_may_be_readable_by_the_group_it_is_lent_to(tmp_path, monkeypatch, mode, readers):
    key = tmp_path / "client.key"
    key.touch()
    key.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    problem = key_permissions_problem(key)
    assert (problem is None) == (readers is None)
    assert readers is None or f"readable by {readers} (mode {mode:04o}): chmod 640" in problem
    os.chown(key, 10001, 10001)
    assert "chmod 600" in key_permissions_problem(key)


def test_the_permissions_of_a_missing_key_are_no_problem_of_their_own(tmp_path):
    assert key_permissions_problem(tmp_path / "missing.key") is None


def test_an_identity_that_does_not_load_at_first_is_an_error(tmp_path):
    with pytest.raises(CertificateError, match="does not exist"):
        ClientIdentity(certificate=tmp_path / "a.pem", private_key=tmp_path / "a.key")


def test_an_unchanged_identity_reads_no_file(pki, monkeypatch):
    pair = pki.clients["DE*ABC"]
    identity = ClientIdentity(
        certificate=pair.certificate, private_key=pair.private_key, ca_file=pki.hub_ca.certificate
    )
    monkeypatch.setattr(Path, "read_bytes", None)
    assert not identity.refresh()


def test_a_changed_authority_is_a_new_generation(issue, pki, tmp_path):
    pair = issue()
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(pki.hub_ca.certificate.read_bytes())
    identity = ClientIdentity(certificate=pair.certificate, private_key=pair.private_key, ca_file=trusted)
    trusted.write_bytes(pki.hub_ca.certificate.read_bytes() + pki.client_ca.certificate.read_bytes())
    assert identity.refresh()
    assert (identity.generation, len(identity.context.get_ca_certs())) == (2, 2)


def test_a_key_made_readable_again_is_taken_up(issue, pki, monkeypatch):
    pair = issue()
    identity = ClientIdentity(
        certificate=pair.certificate, private_key=pair.private_key, ca_file=pki.hub_ca.certificate
    )
    pair.private_key.write_bytes(b"unreadable for now")
    assert not identity.refresh()
    assert identity.last_error is not None
    os.replace(issue("DE*XYZ").private_key, pair.private_key)  # noqa: PTH105 - onto itself: only the inode is new
    assert identity.refresh()
    assert (identity.last_error, identity.facts.common_name) == (None, "DE*XYZ")
