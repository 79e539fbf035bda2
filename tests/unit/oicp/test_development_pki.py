import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from oicp_adapter.domain.errors import CertificateError, ConfigurationError, WrongArgumentError
from oicp_adapter.oicp.development_pki import client_file_name, create_development_pki


@pytest.fixture
def make(tmp_path, now):
    def create(*operators, at=now, **options):
        return create_development_pki(
            tmp_path / "pki", operators=operators or ["DE*ABC"], valid_for=timedelta(days=30), now=at, **options
        )

    return create


def contents(pki):
    return {path.name: path.read_bytes() for path in pki.hub.certificate.parent.iterdir()}


def test_everything_that_both_sides_need_is_made_and_keys_are_the_owners_alone(make):
    pki = make("DE*ABC", "+49*810")
    stems = ("hub-ca", "hub", "client-ca", "client-DE-ABC", "client-49-810")
    assert set(contents(pki)) == {f"{stem}.{kind}" for stem in stems for kind in ("pem", "key")}
    keys = [pki.hub_ca, pki.hub, pki.client_ca, *pki.clients.values()]
    assert {stat.S_IMODE(pair.private_key.stat().st_mode) for pair in keys} == {0o600}


def test_certificates_pass_the_strict_rules_of_the_web(make, now):
    """RFC 5280 as browsers apply it, which is stricter than VERIFY_X509_STRICT."""
    pki = make()

    def verify(pair, authority):
        leaf, *chain = x509.load_pem_x509_certificates(pair.certificate.read_bytes())
        store = Store(x509.load_pem_x509_certificates(authority.certificate.read_bytes()))
        return PolicyBuilder().store(store).time(now), leaf, chain

    builder, leaf, chain = verify(pki.hub, pki.hub_ca)
    assert builder.build_server_verifier(x509.DNSName("localhost")).verify(leaf, chain)
    leaf, *chain = x509.load_pem_x509_certificates(pki.clients["DE*ABC"].certificate.read_bytes())
    authority = x509.load_pem_x509_certificate(pki.client_ca.certificate.read_bytes())
    leaf.verify_directly_issued_by(authority)
    assert chain == [authority]
    identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier == authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_making_it_again_changes_nothing_and_a_new_operator_is_added(make):
    before = contents(make("DE*ABC"))
    assert contents(make("DE*ABC")) == before
    after = contents(make("DE*ABC", "DE*XYZ"))
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"client-DE-XYZ.pem", "client-DE-XYZ.key"}


def test_expired_material_is_refused_and_replaced_only_on_demand(make, now):
    before = contents(make())
    later = now + timedelta(days=31)
    with pytest.raises(ConfigurationError, match="does not hold at"):
        make(at=later)
    assert contents(make(at=later, overwrite=True)).keys() == before.keys()
    assert contents(make(at=later)) != before


def test_a_key_without_its_certificate_is_refused(make):
    pki = make()
    pki.hub.certificate.unlink()
    with pytest.raises(CertificateError, match="do not load"):
        make()


def test_a_certificate_with_another_key_is_refused(make):
    pki = make()
    pki.hub.private_key.write_bytes(pki.hub_ca.private_key.read_bytes())
    with pytest.raises(CertificateError, match="does not belong to"):
        make()


def test_certificates_of_another_authority_are_refused(make):
    pki = make()
    pki.client_ca.certificate.unlink()
    pki.client_ca.private_key.unlink()
    with pytest.raises(ConfigurationError, match="signed by another authority"):
        make()


def test_a_hub_that_lacks_a_wanted_name_is_refused(make):
    make()
    with pytest.raises(ConfigurationError, match=r"does not name hub\.example"):
        make(hub_names=["localhost", "hub.example"])


def test_another_spelling_of_an_operator_does_not_get_the_others_certificate(make):
    make("+49*810")
    with pytest.raises(ConfigurationError, match=r"is not that of 49\*810"):
        make("49*810")
    with pytest.raises(ConfigurationError, match="name it once"):
        make("+49*810", "49*810")


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path, now):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        create_development_pki(tmp_path / "file" / "pki", operators=[], valid_for=timedelta(days=1), now=now)


@pytest.mark.parametrize(("operator", "stem"), [("DE*ABC", "client-DE-ABC"), ("../x", "client-x")])
def test_file_names_are_safe(operator, stem):
    assert client_file_name(operator) == stem


@pytest.mark.parametrize("names", [[""], ["münchen.example"], ["a" * 65], ["localhost", "münchen.example"]])
def test_a_hub_name_that_can_stand_in_no_certificate_is_wrong_usage_and_leaves_nothing_behind(make, tmp_path, names):
    with pytest.raises(WrongArgumentError, match="can stand in no certificate: give an address") as caught:
        make(hub_names=names)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "pki").exists()
