"""What `check` finds about the certificate that a hub shows, over real TLS."""

import contextlib
import socket
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oicp_adapter.checks import Check
from oicp_adapter.checks.tls_messages import listen
from oicp_adapter.oicp.client_context import system_authorities
from oicp_adapter.oicp.development_pki import Authority, Issued, KeyPair
from tests.tls.visits import VERSIONS, answering, bad, only


def signed(subject, issuer, span, *, ca=False, usage=ExtendedKeyUsageOID.SERVER_AUTH):
    """Sign a certificate for localhost, or an authority; return it with its key."""
    own = ec.generate_private_key(ec.SECP256R1())
    name = subject if isinstance(subject, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder(name_of(issuer) or name, name, own.public_key(), x509.random_serial_number())
        .not_valid_before(span["not_before"])
        .not_valid_after(span["not_after"])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Issued(builder.sign(own if issuer is None else issuer.private_key, hashes.SHA256()), own)


def name_of(issuer):
    return issuer.certificate.subject if issuer is not None else None


@pytest.fixture
def hub_shows(start_hub, tmp_path):
    def start(issued, *chain):
        whole = Issued(
            issued.certificate, issued.private_key, tuple(each.certificate for each in chain) or issued.chain
        )
        return start_hub(answering(), pair=whole.write(KeyPair(tmp_path / "hub.pem", tmp_path / "hub.key")))

    return start


@pytest.fixture
def three(span):
    """A root, an intermediate, and a hub's certificate of the latter."""
    root = signed("Root", None, span, ca=True)
    middle = signed("Middle", root, span, ca=True)
    return root, middle, signed("hub", middle, span)


def pem_of(path, *issued):
    return (
        Issued(issued[0].certificate, issued[0].private_key, tuple(each.certificate for each in issued[1:]))
        .write(KeyPair(path, path.with_suffix(".key")))
        .certificate
    )


def test_a_private_authority_that_the_system_does_not_know_is_cured_by_ca_file(start_hub, look):
    found = only(look(start_hub(answering()), ca=None), Check.HUB_CERTIFICATE)
    assert "OICP adapter development hub CA" in found.what
    assert "not in the system's trust store" in found.what
    assert "name its file as hub.ca_file" in found.cure


def test_another_authority_than_that_of_ca_file(start_hub, look, span, tmp_path):
    other = Authority.create("Another CA", **span).issued.write(KeyPair(tmp_path / "ca.pem", tmp_path / "ca.key"))
    found = only(look(start_hub(answering()), ca=other.certificate), Check.HUB_CERTIFICATE)
    assert f"not in hub.ca_file {other.certificate}" in found.what
    assert "beside what is there" in found.cure


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_intermediate(hub_shows, look, three, tmp_path, version):
    root, middle, leaf = three
    ca = pem_of(tmp_path / "root.pem", root)
    found = only(look(hub_shows(leaf), ca=ca), Check.HUB_CERTIFICATE)
    assert "shows its own certificate alone, and CN=Middle" in found.what
    assert "intermediate" in found.cure
    assert bad(look(hub_shows(leaf, middle), ca=ca)) == []
    assert bad(look(hub_shows(leaf), ca=pem_of(tmp_path / "both.pem", root, middle))) == []


@pytest.mark.skipif(not system_authorities(), reason="this system has no trust store")
def test_a_ca_file_that_shuts_out_what_the_system_would_trust(hub_shows, look, span):
    known = next(iter(sorted(system_authorities(), key=lambda name: name.rfc4514_string())))
    root = signed(known, None, span, ca=True)
    leaf = signed("hub", root, span)
    found = only(look(hub_shows(leaf)), Check.HUB_CERTIFICATE)
    assert "but the system's trust store does" in found.what
    assert "take hub.ca_file out" in found.cure


def test_a_hub_of_another_name_is_told_with_the_names_that_it_has(hub_shows, look, hub_authority, span):
    found = only(look(hub_shows(hub_authority.issue_hub(["hub.example", "192.0.2.1"], **span))), Check.HUB_CERTIFICATE)
    assert "for another host, it is for hub.example, 192.0.2.1" in found.what


def test_an_expired_certificate_of_the_hub(hub_shows, look, hub_authority, span):
    end = span["not_before"] + timedelta(seconds=1)
    found = only(
        look(hub_shows(hub_authority.issue_hub(["localhost"], **span | {"not_after": end}))), Check.HUB_CERTIFICATE
    )
    assert f"has expired (since {end:%Y-%m-%d %H:%M} UTC)" in found.what
    assert "clock" in found.cure


def test_a_certificate_of_the_hub_that_does_not_hold_yet(hub_shows, look, hub_authority, span):
    begin = span["not_after"] - timedelta(hours=1)
    found = only(
        look(hub_shows(hub_authority.issue_hub(["localhost"], **span | {"not_before": begin}))), Check.HUB_CERTIFICATE
    )
    assert "does not hold yet (before" in found.what


def test_an_expired_intermediate_is_named(hub_shows, look, span, tmp_path):
    root = signed("Root", None, span, ca=True)
    end = span["not_before"] + timedelta(seconds=1)
    middle = signed("Middle", root, span | {"not_after": end}, ca=True)
    leaf = signed("hub", middle, span)
    found = only(look(hub_shows(leaf, middle), ca=pem_of(tmp_path / "root.pem", root)), Check.HUB_CERTIFICATE)
    assert "an authority, CN=Middle, that has expired" in found.what


def test_a_self_signed_hub(hub_shows, look, span):
    found = only(look(hub_shows(signed("hub", None, span))), Check.HUB_CERTIFICATE)
    assert "self-signed" in found.what


def test_a_certificate_that_is_not_made_for_servers(hub_shows, look, hub_authority, span):
    hub = hub_authority.issued
    leaf = signed("hub", hub, span, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    assert "not made for servers" in only(look(hub_shows(leaf)), Check.HUB_CERTIFICATE).what


@pytest.mark.parametrize("version", VERSIONS)
def test_the_chain_of_a_hub_is_heard_as_it_was_sent(start_hub, pki, three, tmp_path, version):
    root, middle, leaf = three
    pair = KeyPair(tmp_path / "hub.pem", tmp_path / "hub.key")
    Issued(leaf.certificate, leaf.private_key, (middle.certificate,)).write(pair)
    hub = start_hub(answering(), pair=pair, lowest=version, highest=version)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    heard = listen(context)
    with socket.create_connection(("127.0.0.1", hub.port)) as plain, contextlib.suppress(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")
    assert heard.listens
    assert heard.chain == [leaf.certificate, middle.certificate]
    assert root.certificate not in heard.chain
