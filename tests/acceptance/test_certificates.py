"""A certificate replaced on disk is taken up without restart, however it is replaced; a bad one changes nothing."""

import signal
from datetime import UTC, datetime, timedelta

from reliability.real.machine import written


def swap(link, target):
    """Let a symbolic link name another folder, in one step."""
    fresh = link.with_name(f"{link.name}.new")
    fresh.symlink_to(target)
    fresh.replace(link)


def through_link(site, operator, target):
    """Let a lane's files be named through a link, as mounted secrets are; return the link."""
    link = site.folder / f"current-{operator['id'].replace('*', '')}"
    link.symlink_to(target)
    operator |= {"certificate": link / "client.pem", "private_key": link / "client.key"}
    return link


def expiry(daemon, operator="DE*ABC"):
    return daemon.metric("client_certificate_not_after_timestamp_seconds", operator=operator)


def waits_for_minutes(site, lane):
    """Let a lane's backoff be as long as it becomes; false while a request is out, whose answer would set another."""
    long = written(site.store, datetime.now(UTC) + timedelta(minutes=4))
    idle = "lane = :lane AND NOT EXISTS (SELECT 1 FROM oicp_intent WHERE lane = :lane)"
    site.sql(f"UPDATE oicp_lane SET wait_until = :long WHERE {idle}", long=long, lane=lane)
    return site.sql("SELECT 1 FROM oicp_lane WHERE lane = :lane AND wait_until = :long", long=long, lane=lane)


def attempts(site, operator):
    return sum(entry.operator == operator for entry in site.hub.hub.journal.entries)


def test_a_wrong_certificate_holds_its_lane_alone_until_the_right_one_is_swapped_in(two_lanes, eventually):
    site = two_lanes
    wrong = site.client_pair("wrong", "DE*QQQ").certificate.parent
    right = site.client_pair("right", "DE*XYZ", valid_for=timedelta(days=365)).certificate.parent
    link = through_link(site, site.operators[1], wrong)
    site.fleet(3)
    site.fleet(3, "DE*XYZ")
    daemon = site.daemon()
    site.arrives("DE*ABC*E2", "Available")
    eventually(lambda: daemon.metric("lane_state", operator="DE*XYZ", state="held"))
    assert daemon.metric("lane_state", state="active") == 1
    assert daemon.get("/readyz") == (200, "ok\n")
    assert daemon.log("lane.state", operator="DE*XYZ", state="held")[0]["reason"] == "unauthorized"
    eventually(lambda: waits_for_minutes(site, "DEXYZ"))
    tried = attempts(site, "DE*XYZ")
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    assert attempts(site, "DE*XYZ") == tried, "the other lane does not wait for the one that is held"
    assert site.at_hub("DE*XYZ") == {}
    before = expiry(daemon, "DE*XYZ")
    swap(link, right)
    eventually(lambda: len(site.at_hub("DE*XYZ")) == 3)
    assert len(daemon.log("certificate.replaced", operator="DE*XYZ")) == 1
    assert expiry(daemon, "DE*XYZ") > before + timedelta(days=200).total_seconds()
    eventually(lambda: daemon.metric("lane_state", operator="DE*XYZ", state="active"))
    assert daemon.stop() == 0


def test_an_expired_certificate_holds_its_lane_alone_and_the_next_is_taken_up(two_lanes, eventually):
    site = two_lanes
    files = site.client_pair("expired", "DE*XYZ", valid_for=timedelta(minutes=-30))
    site.operators[1] |= {"certificate": files.certificate, "private_key": files.private_key}
    site.fleet(3)
    site.fleet(3, "DE*XYZ")
    daemon = site.daemon()
    assert "DE*XYZ: certificate" in daemon.text()
    site.arrives("DE*ABC*E2", "Available")
    eventually(lambda: daemon.log("lane.state", operator="DE*XYZ", state="held", reason="certificate"))
    assert daemon.metric("lane_state", operator="DE*XYZ", state="held") == 1
    assert expiry(daemon, "DE*XYZ") < datetime.now(UTC).timestamp()
    assert attempts(site, "DE*XYZ") == 0
    assert site.at_hub("DE*XYZ") == {}
    fresh = site.client_pair("fresh", "DE*XYZ")
    fresh.private_key.replace(files.private_key)
    fresh.certificate.replace(files.certificate)
    eventually(lambda: len(site.at_hub("DE*XYZ")) == 3)
    assert daemon.stop() == 0


def test_a_pair_replaced_in_two_steps_is_taken_up_with_the_second_and_no_push_fails(site, eventually):
    current = site.client_pair("current", "DE*ABC")
    fresh = site.client_pair("fresh", "DE*ABC", valid_for=timedelta(days=365))
    site.operators[0] |= {"certificate": current.certificate, "private_key": current.private_key}
    site.fleet(3)
    daemon = site.daemon()
    site.arrives("DE*ABC*E2", "Available")
    before = expiry(daemon)
    fresh.private_key.replace(current.private_key)
    eventually(lambda: daemon.log("certificate.not_replaced"))
    assert "does not belong to certificate" in daemon.log("certificate.not_replaced")[0]["reason"]
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("certificate.not_replaced", asked=True))
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    assert expiry(daemon) == before
    fresh.certificate.replace(current.certificate)
    eventually(lambda: daemon.log("certificate.replaced"))
    assert expiry(daemon) > before + timedelta(days=200).total_seconds()
    site.write("DE*ABC*E1", "Charging")
    site.arrives("DE*ABC*E1", "Occupied")
    assert daemon.get("/readyz")[0] == 200
    assert [event for event in daemon.log() if event["event"].startswith("push.") and event["level"] == "warning"] == []


def test_half_a_file_and_a_file_that_is_gone_leave_the_old_pair_in_use(site, eventually):
    current = site.client_pair("current", "DE*ABC")
    site.operators[0] |= {"certificate": current.certificate, "private_key": current.private_key}
    site.fleet(3)
    daemon = site.daemon()
    site.arrives("DE*ABC*E2", "Available")
    pem = current.certificate.read_text()
    for number, damage in enumerate((lambda: current.certificate.write_text(pem[:200]), current.certificate.unlink)):
        damage()
        # the same failure again is counted by the log, so what tells of the second look is the pushes going on
        eventually(lambda: daemon.log("certificate.not_replaced"))
        status = ("Faulted", "Charging")[number]
        site.write("DE*ABC*E1", status)
        site.arrives("DE*ABC*E1", ("OutOfService", "Occupied")[number])
    assert daemon.get("/livez") == (200, "ok\n")
    assert daemon.log("certificate.replaced") == []
