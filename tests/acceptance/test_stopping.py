"""A daemon ends in order when it is asked to, and loses nothing when nobody asks."""

import contextlib
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture
def quiet(site):
    """A daemon with three EVSEs at the hub and nothing to do."""
    return site.loaded()


def hang(site, eventually):
    """Let the next push hang at a hub that has received it."""
    before = site.requests()
    site.will("never_applied")
    site.write("DE*ABC*E1", "Faulted")
    eventually(lambda: site.requests() > before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_ends_without_waiting_for_any_time_out(site, number):
    site.sections["hub"]["request_timeout"] = 60.0
    site.sections["push"]["lease"] = 120.0
    daemon = site.loaded()
    asked = time.monotonic()
    daemon.send(number)
    assert daemon.ended() == 0
    assert time.monotonic() - asked < 30
    assert daemon.log("daemon.stopping")[0]["why"] == number.name
    assert daemon.log("lane.stopped")[0]["unrecorded"] is False


def test_a_clean_stop_hands_the_lane_over_and_a_restart_sends_nothing(site, quiet, eventually):
    assert quiet.stop() == 0
    before = site.requests()
    assert site.sql("SELECT holder FROM oicp_lane")[0][0] is None
    again = site.daemon()
    site.write("DE*ABC*E2", "Faulted")
    site.arrives("DE*ABC*E2", "OutOfService")
    eventually(lambda: again.log("push.acknowledged"))
    assert site.requests() == before + 1


def test_a_stop_during_a_push_that_hangs_waits_for_its_deadline_and_records_the_doubt(site, quiet, eventually):
    hang(site, eventually)
    asked = time.monotonic()
    quiet.send(signal.SIGTERM)
    eventually(lambda: quiet.get("/readyz")[0] == 503)
    assert quiet.ended() == 0
    assert time.monotonic() - asked < 2 + 5
    assert quiet.log("push.unknown", reason="timeout")
    assert site.sql("SELECT count(*) FROM oicp_ledger WHERE doubted_at IS NOT NULL")[0][0] == 1
    assert site.sql("SELECT count(*) FROM oicp_intent")[0][0] == 0
    site.daemon()
    site.arrives("DE*ABC*E1", "OutOfService")


def test_a_second_signal_cuts_a_push_that_hangs(site, quiet, eventually):
    assert quiet.stop() == 0
    site.sections["hub"]["request_timeout"] = 60.0
    daemon = site.daemon()
    hang(site, eventually)
    daemon.send(signal.SIGTERM)
    eventually(lambda: daemon.log("daemon.stopping"))
    asked = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.ended() == 0
    assert time.monotonic() - asked < 30
    assert daemon.log("push.unknown", reason="cut")
    assert site.sql("SELECT count(*) FROM oicp_ledger WHERE doubted_at IS NOT NULL")[0][0] == 1


@pytest.mark.parametrize("fault", ["never_applied", "late_apply"])
def test_a_kill_during_a_push_loses_nothing(site, quiet, eventually, fault):
    before = site.requests()
    site.will(fault, silent=True, delay=0.5)
    site.write("DE*ABC*E1", "Faulted")
    eventually(lambda: site.requests() > before)
    quiet.send(signal.SIGKILL)
    assert quiet.ended() == -signal.SIGKILL
    assert site.sql("SELECT count(*) FROM oicp_intent")[0][0] == 1
    site.write("DE*ABC*E1", "Charging")
    site.write("DE*ABC*E2", "Faulted")
    again = site.daemon()
    site.arrives("DE*ABC*E1", "Occupied")
    site.arrives("DE*ABC*E2", "OutOfService")
    assert again.log("push.abandoned")
    eventually(lambda: site.sql("SELECT count(*) FROM oicp_ledger WHERE debt_at IS NOT NULL")[0][0] == 0)
    assert site.at_hub() == {"DEABCE0": "Available", "DEABCE1": "Occupied", "DEABCE2": "OutOfService"}
    assert site.hub.hub.journal.counters["overlaps"] == 0


def test_a_second_daemon_on_the_same_sqlite_store_is_refused(site, quiet):
    second = site.start()
    assert second.ended() == 75
    assert f"is held by process {quiet.pid}" in second.text()
    assert quiet.get("/livez")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_still_starts_ends_in_order(site, eventually, number):
    starting = site.start()
    eventually(lambda: catches(starting.pid, signal.SIGTERM) and catches(starting.pid, number), every=0.001)
    starting.send(number)
    assert starting.ended() == 0
    assert f"{number.name} before the daemon ran" in starting.text()
    assert site.sql("SELECT count(*) FROM oicp_lane WHERE holder IS NOT NULL")[0][0] == 0


def catches(pid, number):
    """Tell whether a process has a handler of its own for a signal."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> (number - 1) & 1


def test_a_service_manager_hears_of_the_start_of_life_and_of_the_end(site, monkeypatch, eventually):
    heard = []

    def hear():
        with contextlib.suppress(BlockingIOError):
            heard.append(listener.recv(4096).decode())
        return "\n".join(heard)

    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(site.folder / "notify"))
        listener.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(site.folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        daemon = site.daemon()
        eventually(lambda: "STATUS=DE*ABC active" in hear())
        assert heard[0].startswith("READY=1\nSTATUS=")
        eventually(lambda: hear().count("WATCHDOG=1") >= 3)
        assert daemon.stop() == 0
        eventually(lambda: "STOPPING=1\nSTATUS=draining" in hear())
