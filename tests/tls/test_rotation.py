import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.development_pki import KeyPair


@pytest.fixture
def pairs(client_authority, span, tmp_path):
    """Two pairs, old and new, and the files that the settings name, which hold the old one."""
    old, new = (
        client_authority.issue_client(name, **span).write(KeyPair(tmp_path / f"{name}.pem", tmp_path / f"{name}.key"))
        for name in ("old", "new")
    )
    used = KeyPair(tmp_path / "client.pem", tmp_path / "client.key")
    shutil.copy(old.certificate, used.certificate)
    shutil.copy(old.private_key, used.private_key)
    return old, new, used


def replace(source, target):
    beside = target.with_suffix(".beside")
    shutil.copy(source, beside)
    beside.replace(target)


def shown(hub):
    subject = [pair for rdn in hub.connections[-1].certificate["subject"] for pair in rdn]
    return dict(subject)["commonName"]


@pytest.mark.parametrize("key_first", [True, False])
def test_a_pair_replaced_in_two_steps_is_used_after_the_second(
    start_hub, connect, push, *, identity_of, pairs, key_first
):
    _, new, used = pairs
    identity = identity_of(used)
    hub = start_hub()
    client = connect(hub, identity=identity)
    steps = [(new.private_key, used.private_key), (new.certificate, used.certificate)]
    first, second = steps if key_first else reversed(steps)

    assert push(client).http_status == 200
    replace(*first)
    assert not identity.refresh()
    assert "does not belong" in str(identity.last_error)
    assert not identity.refresh()
    assert push(client).http_status == 200
    assert (len(hub.connections), shown(hub), identity.facts.common_name) == (1, "old", "old")

    replace(*second)
    assert identity.refresh()
    assert identity.last_error is None
    assert push(client).http_status == 200
    assert (len(hub.connections), shown(hub), identity.facts.common_name) == (2, "new", "new")


def test_a_symlink_swap_is_noticed(start_hub, connect, push, *, identity_of, pairs, tmp_path):
    """As Kubernetes mounts secrets: the files are links through `..data`, which alone is replaced."""
    old, new, _ = pairs
    for name, pair in (("one", old), ("two", new)):
        (tmp_path / name).mkdir()
        shutil.copy(pair.certificate, tmp_path / name / "client.pem")
        shutil.copy(pair.private_key, tmp_path / name / "client.key")
    (tmp_path / "..data").symlink_to("one")
    mounted = KeyPair(tmp_path / "mounted.pem", tmp_path / "mounted.key")
    mounted.certificate.symlink_to("..data/client.pem")
    mounted.private_key.symlink_to("..data/client.key")
    identity = identity_of(mounted)
    hub = start_hub()
    client = connect(hub, identity=identity)
    assert push(client).http_status == 200
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    assert identity.refresh()
    assert push(client).http_status == 200
    assert shown(hub) == "new"


def test_a_half_written_certificate_leaves_the_old_one_in_use(start_hub, connect, push, identity_of, pairs):
    _, new, used = pairs
    identity = identity_of(used)
    hub = start_hub()
    client = connect(hub, identity=identity)
    replace(new.private_key, used.private_key)
    content = new.certificate.read_bytes()
    used.certificate.write_bytes(content[:200])
    assert not identity.refresh()
    assert identity.last_error is not None
    assert push(client).http_status == 200
    assert shown(hub) == "old"
    used.certificate.write_bytes(content)
    assert identity.refresh()
    assert push(client).http_status == 200
    assert shown(hub) == "new"


def test_a_pair_that_disappears_leaves_the_old_one_in_use(identity_of, pairs):
    old, _, used = pairs
    identity = identity_of(used)
    used.certificate.unlink()
    assert not identity.refresh()
    assert "does not exist" in str(identity.last_error)
    replace(old.certificate, used.certificate)
    assert not identity.refresh()
    assert identity.last_error is None


def test_touching_the_files_changes_nothing(identity_of, pairs):
    _, _, used = pairs
    identity = identity_of(used)
    context = identity.context
    os.utime(used.certificate, (1, 1))
    assert not identity.refresh()
    assert (identity.generation, identity.context) == (1, context)


def test_an_encrypted_key_is_used_with_its_password(
    start_hub, connect, push, *, identity_of, client_authority, span, tmp_path
):
    pair = KeyPair(tmp_path / "client.pem", tmp_path / "client.key")
    client_authority.issue_client("DE*ABC", **span).write(pair, password=b"correct horse")
    identity = identity_of(pair, password=b"correct horse")
    assert push(connect(start_hub(), identity=identity)).http_status == 200
    assert "horse" not in repr(identity)


@pytest.mark.parametrize(("begins", "ends", "why"), [(-48, -24, "expired on"), (24, 48, "holds only from")])
def test_a_pair_that_does_not_hold_now_leaves_the_old_one_in_use(
    client_authority, pairs, tmp_path, *, begins, ends, why
):
    _, new, used = pairs
    now = datetime.now(UTC)
    clock = [now]
    identity = ClientIdentity(certificate=used.certificate, private_key=used.private_key, clock=lambda: clock[0])
    span = {"not_before": now + timedelta(hours=begins), "not_after": now + timedelta(hours=ends)}
    other = client_authority.issue_client("other", **span).write(KeyPair(tmp_path / "o.pem", tmp_path / "o.key"))
    replace(other.private_key, used.private_key)
    replace(other.certificate, used.certificate)
    assert not identity.refresh()
    assert why in str(identity.last_error)
    assert identity.facts.common_name == "old"
    clock[0] = now + timedelta(hours=25)
    assert identity.refresh() is (begins > 0), "what was too early is taken up when its time has come"
    clock[0] = now
    replace(new.private_key, used.private_key)
    replace(new.certificate, used.certificate)
    assert identity.refresh()
    assert (identity.facts.common_name, identity.last_error) == ("new", None)
