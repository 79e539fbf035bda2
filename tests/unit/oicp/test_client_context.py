import ssl
from pathlib import Path

import pytest

from oicp_adapter.domain.errors import CertificateError
from oicp_adapter.oicp import client_context
from oicp_adapter.oicp.certificates import inspect_certificate
from oicp_adapter.oicp.client_context import load_client_context, system_authorities
from oicp_adapter.oicp.development_pki import KeyPair


def load(pair: KeyPair, *, password: bytes | None = None, ca_file: Path | None = None) -> ssl.SSLContext:
    return load_client_context(
        certificate=pair.certificate, private_key=pair.private_key, password=password, ca_file=ca_file
    )


def test_a_context_checks_host_names_and_speaks_tls_1_2_or_newer(pki):
    context = load(pki.clients["DE*ABC"], ca_file=pki.hub_ca.certificate)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


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
    monkeypatch.setattr(client_context, "_BUNDLES", ())
    with pytest.raises(CertificateError, match="no trust store"):
        load(pki.clients["DE*ABC"])


def test_a_trust_store_of_the_system_that_does_not_load_is_an_error_with_cause_and_cure(pki, monkeypatch, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.touch()
    built_in = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", str(empty), "SSL_CERT_DIR", "/nowhere")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: built_in)
    with pytest.raises(CertificateError, match=r"trust store .*empty\.pem does not load .*: install ca-certificates"):
        load(pki.clients["DE*ABC"])
    assert system_authorities() == frozenset()
