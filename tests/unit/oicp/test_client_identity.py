import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oicp_adapter.domain.errors import CertificateError
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.development_pki import Authority, Issued


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


@pytest.fixture
def working(issue, pki):
    """Make an identity of DE*ABC with a pair in use, and return the pair's files beside it."""

    def make(name="DE*ABC", *, hub=False, clock=lambda: datetime.now(UTC)):
        pair = issue(name, hub=hub)
        identity = ClientIdentity(
            certificate=pair.certificate,
            private_key=pair.private_key,
            ca_file=pki.hub_ca.certificate,
            operator=operator_key("DE*ABC"),
            clock=clock,
        )
        return identity, pair

    return make


def another_authority(now):
    """Make one that the hub may know or not, which nobody can tell here."""
    return Authority.create("Another CA", not_before=now, not_after=now + timedelta(days=2))


def out_of_order(pair, pki, now):
    """Let a certificate's file end in an authority that has not signed it."""
    issued = Authority.load(pki.client_ca).issue_client("DE*ABC", not_before=now, not_after=now + timedelta(days=2))
    Issued(issued.certificate, issued.private_key, (another_authority(now).issued.certificate,)).write(pair)


def refused(identity, words):
    assert not identity.refresh()
    assert words in str(identity.last_error)
    assert "the old one" in str(identity.last_error)
    assert identity.last_error.cure
    assert identity.generation == 1


def test_a_new_pair_for_servers_leaves_the_old_one_in_use(issue, working):
    identity, _ = working()
    issue(hub=True)
    refused(identity, "extended key usage has no clientAuth")
    issue()
    assert identity.refresh()
    assert (identity.last_error, identity.doubt) == (None, None)


def test_a_new_pair_whose_chain_does_not_hold_together_leaves_the_old_one_in_use(working, pki, now):
    identity, pair = working()
    out_of_order(pair, pki, now)
    refused(identity, "has not signed the one before it")


def test_a_new_self_signed_pair_leaves_the_old_one_in_use(working, now):
    identity, pair = working()
    another_authority(now).issued.write(pair)
    refused(identity, "is self-signed")


def test_a_flaw_that_the_old_pair_has_too_is_no_reason_to_refuse_the_new_one(issue, working):
    identity, _ = working(hub=True)
    issue(hub=True)
    assert identity.refresh()


def test_a_flawed_pair_is_taken_up_once_the_old_one_has_expired(working, now):
    instant = [now]
    identity, pair = working(clock=lambda: instant[0])
    instant[0] += timedelta(days=1)
    later = another_authority(now).issue_hub(["DE*ABC"], not_before=now, not_after=now + timedelta(days=5))
    later.write(pair)
    refused(identity, "clientAuth")
    assert not identity.refresh()
    instant[0] = now + timedelta(days=2, seconds=1)
    assert identity.refresh()
    assert identity.last_error is None


def test_a_pair_of_an_authority_that_nobody_here_knows_is_taken_up_with_or_without_its_chain(working, now):
    identity, pair = working()
    span = {"not_before": now, "not_after": now + timedelta(days=2)}
    issued = another_authority(now).issue_client("DE*ABC", **span)
    issued.write(pair)
    assert identity.refresh()
    Issued(issued.certificate, issued.private_key).write(pair)
    assert identity.refresh()
    assert identity.generation == 3


@pytest.mark.parametrize("name", ["DE*XYZ", "DE-XYZ", "+49*810"])
def test_a_new_pair_of_another_operator_leaves_the_old_one_in_use(issue, working, name):
    identity, _ = working()
    issue(name)
    refused(identity, f"is that of {name}, the old one, of DE*ABC, stays in use")


def test_a_new_pair_that_names_no_operator_is_taken_up_with_a_doubt(issue, working):
    identity, _ = working()
    issue("Charging Company")
    assert identity.refresh()
    assert "names Charging Company and no more" in identity.doubt
    assert "017" in identity.doubt


def test_where_the_old_pair_named_no_operator_the_new_one_may_name_any(issue, working):
    identity, _ = working("Charging Company")
    issue("DE*XYZ")
    assert identity.refresh()
    assert identity.doubt is None
