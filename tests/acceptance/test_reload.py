"""Settings change under a running daemon: on SIGHUP and by their files; what does not hold changes nothing."""

import fcntl
import signal
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta

import pytest


@pytest.fixture
def daemon(site):
    """A daemon with three EVSEs of its one operator at the hub."""
    return site.loaded()


def test_an_operator_comes_and_goes_by_a_change_of_the_file_alone(site, daemon, eventually):
    pushes = daemon.metric("pushes_total", action="fullLoad")
    site.fleet(2, "DE*XYZ")
    site.add_operator("DE*XYZ")
    site.config()
    eventually(lambda: len(site.at_hub("DE*XYZ")) == 2)
    eventually(lambda: daemon.log("config.reloaded"))
    assert daemon.log("config.reloaded")[0]["changed"] == ["operators"]
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    assert daemon.metric("pushes_total", action="fullLoad") == pushes
    eventually(lambda: daemon.metric("lane_state", operator="DE*XYZ", state="active") == 1)
    del site.operators[1]
    site.config()
    eventually(lambda: 'operator="DE*XYZ"' not in daemon.get("/metrics")[1])
    site.write("DE*XYZ*E1", "Faulted", "DE*XYZ")
    site.write("DE*ABC*E1", "Charging")
    site.arrives("DE*ABC*E1", "Occupied")
    assert site.hub.hub.find("DE*XYZ*E1").status == "Available"
    assert daemon.stop() == 0
    assert daemon.log(level="error") == []


def test_settings_that_do_not_hold_leave_the_old_in_use_and_say_why(site, daemon, eventually):
    site.sections["push"]["max_records"] = 0
    site.config()
    eventually(lambda: daemon.log("config.not_reloaded"))
    refused = daemon.log("config.not_reloaded")[0]
    assert "push.max_records = 0" in refused["reason"]
    assert "1 to 10000" in refused["reason"]
    assert "oicp_adapter_config_last_reload_successful 0.0" in daemon.get("/metrics")[1]
    assert daemon.get("/readyz") == (200, "ok\n")
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    site.sections["push"]["max_records"] = 1
    site.config()
    eventually(lambda: daemon.log("config.reloaded"))
    assert "oicp_adapter_config_last_reload_successful 1.0" in daemon.get("/metrics")[1]
    before = site.requests()
    site.sql("UPDATE evse_status SET status = 'Charging'")
    eventually(lambda: set(site.at_hub().values()) == {"Occupied"})
    assert site.requests() == before + 3


@pytest.mark.parametrize("damage", ["certificate", "store", "operators"])
def test_whatever_cannot_be_had_changes_nothing(site, daemon, eventually, damage):
    if damage == "certificate":
        site.operators[0]["certificate"] = site.folder / "nowhere.pem"
    elif damage == "store":
        site.sections["store"]["url"] = "sqlite:////proc/nowhere/store.db"
    else:
        site.operators.clear()
    site.config()
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("config.not_reloaded"))
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    assert daemon.log("lane.stopped") == []
    assert daemon.stop() == 0


def test_settings_with_a_certificate_that_has_expired_replace_no_lane(two_lanes, eventually):
    site = two_lanes
    site.fleet(3)
    daemon = site.daemon()
    site.arrives("DE*ABC*E2", "Available")
    expired = site.client_pair("expired", "DE*ABC", valid_for=timedelta(minutes=-30))
    site.operators[0] |= {"certificate": expired.certificate, "private_key": expired.private_key}
    site.config()
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("config.not_reloaded"))
    assert "expired on" in daemon.log("config.not_reloaded")[0]["reason"]
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    assert daemon.stop() == 0


def test_a_signal_without_a_change_changes_nothing_and_says_so(site, daemon, eventually):
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("config.unchanged"))
    assert daemon.log("lane.stopped") == []
    assert daemon.stop() == 0


def test_a_request_that_hangs_delays_its_own_lane_only_and_no_request_overlaps(two_lanes, eventually):
    site = two_lanes
    site.sections["hub"]["request_timeout"] = 20.0
    site.fleet(3)
    site.fleet(3, "DE*XYZ")
    daemon = site.daemon()
    eventually(lambda: len(daemon.log("push.acknowledged", action="fullLoad")) == 2)
    before = site.requests()
    site.will("never_applied", operator="DE*ABC")
    site.write("DE*ABC*E1", "Faulted")
    eventually(lambda: site.requests() > before)
    site.sections["push"]["max_records"] = 500
    site.config()
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("lane.stopped", operator="DE*XYZ"))
    assert daemon.log("lane.stopped", operator="DE*ABC") == []
    site.write("DE*XYZ*E1", "Faulted", "DE*XYZ")
    site.arrives("DE*XYZ*E1", "OutOfService")
    eventually(lambda: daemon.get("/readyz") == (200, "ok\n"))
    assert daemon.log("push.unknown", operator="DE*ABC") == []
    site.arrives("DE*ABC*E1", "OutOfService")
    assert daemon.log("push.unknown", operator="DE*ABC")[0]["reason"] == "timeout"
    assert site.hub.hub.journal.counters["overlaps"] == 0
    assert daemon.stop() == 0


def test_a_stop_while_lanes_change_over_records_what_is_under_way(site, daemon, eventually):
    before = site.requests()
    site.will("never_applied")
    site.write("DE*ABC*E1", "Faulted")
    eventually(lambda: site.requests() > before)
    site.sections["push"]["max_records"] = 500
    site.config()
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("config.reloaded"))
    assert daemon.stop() == 0
    assert daemon.log("push.unknown", reason="timeout")
    assert site.sql("SELECT count(*) FROM oicp_intent")[0][0] == 0
    site.daemon()
    site.arrives("DE*ABC*E1", "OutOfService")


def test_a_copy_of_the_store_is_taken_up_once_a_person_has_adopted_it_and_the_old_one_let_go(site, daemon, eventually):
    moved = site.folder / "moved.db"
    with closing(sqlite3.connect(site.folder / "store.db")) as old:
        old.execute(f"VACUUM INTO '{moved}'")
    site.sections["store"]["url"] = f"sqlite:///{moved}"
    site.config()
    eventually(lambda: daemon.log("config.not_reloaded"))
    assert "adopt" in daemon.log("config.not_reloaded")[0]["reason"]
    assert daemon.log("lane.state", state="held") == []
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    assert site.command("adopt", "--yes").returncode == 0
    daemon.send(signal.SIGHUP)
    eventually(lambda: daemon.log("config.reloaded"))
    eventually(lambda: daemon.log("lane.stopped"))

    def free():
        with (site.folder / "store.db.daemon").open("a+") as lock, suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True

    eventually(free)
    with closing(sqlite3.connect(moved)) as other, other:
        other.execute("UPDATE evse_status SET status = 'Faulted' WHERE evse_id = 'DE*ABC*E2'")
    site.arrives("DE*ABC*E2", "OutOfService")
    assert daemon.stop() == 0


def test_the_log_speaks_as_new_settings_say_without_a_lane_that_stops(site, daemon, eventually):
    eventually(lambda: daemon.log(level="debug"))
    site.sections["log"]["level"] = "warning"
    site.config()
    daemon.send(signal.SIGHUP)
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    site.sections["push"]["max_records"] = 0
    site.config()
    eventually(lambda: daemon.log("config.not_reloaded"))
    assert [event["event"] for event in daemon.log("config.reloaded")] == []
    assert daemon.log("lane.stopped") == []
