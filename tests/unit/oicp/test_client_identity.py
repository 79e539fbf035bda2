import os
from pathlib import Path

import pytest

from oicp_adapter.domain.errors import CertificateError
from oicp_adapter.oicp.client_identity import ClientIdentity


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
