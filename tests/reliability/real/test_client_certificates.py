"""A refused client certificate holds the lane and blames no record; a new one is taken up in any order."""

import shutil
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.oicp.development_pki import Authority, KeyPair
from reliability.real.judge import judge
from reliability.real.machine import OPERATOR
from reliability.real.points import FLEET, evse, stand_at
from reliability.real.process import eventually
from reliability.real.workshop import side_by_side

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
HOUR = timedelta(hours=1)


def pair_in(site, name):
    folder = site.folder / name
    folder.mkdir(exist_ok=True)
    return KeyPair(folder / "client.pem", folder / "client.key")


def issued(site, pki, name, *, ends=timedelta(days=30), authority=None):
    """Make a certificate and key of their own."""
    now = datetime.now(UTC)
    authority = authority or Authority.load(pki.client_ca)
    made = authority.issue_client(OPERATOR, not_before=now - HOUR, not_after=now + ends)
    return made.write(pair_in(site, name))


def used(site, pair):
    """Let the settings name files of their own that hold a pair."""
    files = pair_in(site, "used")
    for source, target in zip(files_of(pair), files_of(files), strict=True):
        shutil.copy(source, target)
    site.operators[0] |= {"certificate": files.certificate, "private_key": files.private_key}
    return files


def files_of(pair):
    return pair.certificate, pair.private_key


def put(source, target):
    """Replace one file in one step."""
    beside = target.with_suffix(".new")
    shutil.copy(source, beside)
    beside.replace(target)


def soon_expired(site, pki, files, daemon):
    """Put a certificate there that holds just long enough to be taken up, and wait until it has expired."""
    for seconds in (5, 10, 20, 40):
        ends = timedelta(seconds=seconds)
        over = datetime.now(UTC) + ends + timedelta(seconds=1)
        place(issued(site, pki, f"short-{seconds}", ends=ends), files)
        eventually(lambda over=over: daemon.log("certificate.replaced") or datetime.now(UTC) > over, every=0.05)
        eventually(lambda over=over: datetime.now(UTC) > over, every=0.1)
        if daemon.log("certificate.replaced"):
            return


def foreign(site, pki, files, daemon):
    """Put the certificate of an authority there that the hub does not know."""
    now = datetime.now(UTC)
    authority = Authority.create("Another CA", not_before=now - HOUR, not_after=now + HOUR)
    place(issued(site, pki, "foreign", authority=authority), files)
    eventually(lambda: daemon.log("certificate.replaced"), every=0.05)


def place(pair, files):
    for source, target in zip(files_of(pair), files_of(files), strict=True):
        put(source, target)


def patient(site):
    """Let no push fail for want of time: here each failure counts, and machines are shared."""
    site.sections["hub"]["request_timeout"] = 30.0
    site.sections["push"]["lease"] = 30.0


def held_and_healed(site, pki, spoil):
    """Let the hub refuse the certificate, look at what that does, and put a good one in its place."""
    patient(site)
    files = used(site, issued(site, pki, "first"))
    daemon = site.settled(FLEET)
    stand_at(site, "certificate").warm()
    spoil(site, pki, files, daemon)
    site.way.cut()
    before = site.requests()
    for number in range(FLEET):
        site.write(evse(number), "Charging" if number % 2 else "Faulted")
    eventually(lambda: daemon.log("lane.state", state="held", reason="certificate"), every=0.05)
    eventually(lambda: len(daemon.log("push.not_applied")) >= 2, every=0.05)
    assert site.requests() == before
    assert not daemon.log("push.unknown"), "a refused certificate puts nothing in doubt"
    assert site.one("SELECT count(*) FROM oicp_ledger WHERE doubted_at IS NOT NULL OR debt_at IS NOT NULL") == 0
    assert site.one("SELECT count(*) FROM oicp_ledger WHERE retry_at IS NOT NULL OR batch_cap IS NOT NULL") == 0
    place(issued(site, pki, "good"), files)
    judge(site)
    assert daemon.log("lane.state", before="held")
    assert daemon.stop() == 0


@pytest.mark.timeout(240)
def test_a_refused_certificate_holds_the_lane_until_it_is_replaced_and_blames_no_record(workshop, store):
    def job(spoil, version):
        with workshop.site(store, version=VERSIONS[version]) as site:
            held_and_healed(site, workshop.pki, spoil)

    side_by_side(
        {
            f"{spoil.__name__}, {each}": lambda spoil=spoil, each=each: job(spoil, each)
            for spoil in (soon_expired, foreign)
            for each in VERSIONS
        }
    )


def key_first(files, fresh, between):
    put(fresh.private_key, files.private_key)
    between()
    put(fresh.certificate, files.certificate)


def certificate_first(files, fresh, between):
    put(fresh.certificate, files.certificate)
    between()
    put(fresh.private_key, files.private_key)


def half_written(files, fresh, between):
    put(fresh.private_key, files.private_key)
    content = fresh.certificate.read_bytes()
    files.certificate.write_bytes(content[: len(content) // 3])
    between()
    files.certificate.write_bytes(content)


def gone_for_a_while(files, fresh, between):
    for path in files_of(files):
        path.unlink()
    between()
    place(fresh, files)


def symlink_swapped(files, fresh, between):
    """As a mounted secret: the files are links through a folder's link, which alone is replaced."""
    between()
    swapped = files.certificate.parent.with_name("next")
    swapped.symlink_to(fresh.certificate.parent)
    swapped.replace(files.certificate.parent)


ORDERS = (key_first, certificate_first, half_written, gone_for_a_while, symlink_swapped)


def rotated(site, pki, order):
    """Replace a pair while changes go on and connections are made anew; no push may fail."""
    patient(site)
    if order is symlink_swapped:
        first = issued(site, pki, "first")
        (site.folder / "current").symlink_to(first.certificate.parent)
        files = KeyPair(site.folder / "current" / "client.pem", site.folder / "current" / "client.key")
        site.operators[0] |= {"certificate": files.certificate, "private_key": files.private_key}
    else:
        files = used(site, issued(site, pki, "first"))
    daemon = site.settled(FLEET)
    stand = stand_at(site, order.__name__)

    def between():
        if order is not symlink_swapped:
            eventually(lambda: daemon.log("certificate.not_replaced"), every=0.05)
        site.way.cut()
        stand.warm()

    order(files, issued(site, pki, "fresh"), between)
    eventually(lambda: daemon.log("certificate.replaced"), every=0.05)
    stand.warm()
    assert len(daemon.log("certificate.replaced")) == 1
    failed = {"push.unknown", "push.not_applied", "push.failing"}
    assert not [line for line in daemon.log() if line["event"] in failed]
    judge(site)
    assert daemon.stop() == 0


@pytest.mark.timeout(240)
def test_a_certificate_replaced_in_any_order_is_taken_up_and_no_push_fails(workshop, store):
    def job(order, version):
        with workshop.site(store, version=VERSIONS[version]) as site:
            rotated(site, workshop.pki, order)

    side_by_side(
        {f"{order.__name__}, {each}": lambda o=order, v=each: job(o, v) for order in ORDERS for each in VERSIONS}
    )
