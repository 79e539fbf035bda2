"""A service manager hears that the daemon started, lives and stops, and in words what it does; none is no trouble."""

import os
import re
import socket
from contextlib import closing

import pytest

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.service_manager import ServiceManager, lanes_in_words


@pytest.fixture(params=["path", "abstract"])
def heard(request, tmp_path):
    """Listen as systemd does; yields the environment that it would give, and what returns the messages so far."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@oicp-{os.getpid()}-{id(request)}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        listener.settimeout(0)

        def messages():
            found = []
            while True:
                try:
                    found.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, messages


def test_it_hears_of_the_start_of_life_and_of_the_end(heard):
    environment, messages = heard
    manager = ServiceManager(environment)
    manager.ready("DE*ABC active")
    manager.alive("DE*ABC active")
    manager.alive("DE*ABC active, 3 pending")
    manager.reloading()
    manager.ready("DE*ABC active")
    manager.stopping("draining")
    told = messages()
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told.pop(3))
    assert told == [
        "READY=1\nSTATUS=DE*ABC active",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=DE*ABC active, 3 pending",
        "READY=1\nSTATUS=DE*ABC active",
        "STOPPING=1\nSTATUS=draining",
    ]


@pytest.mark.parametrize("without", [{"WATCHDOG_USEC": None}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_PID": "1"}])
def test_a_watchdog_that_is_not_ours_is_not_fed(heard, without):
    environment, messages = heard
    manager = ServiceManager({name: value for name, value in (environment | without).items() if value is not None})
    assert not manager.watches
    manager.alive("DE*ABC active")
    manager.alive("DE*ABC active")
    assert messages() == ["STATUS=DE*ABC active"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "1"}])
def test_without_one_or_with_a_deaf_one_nothing_happens(environment):
    manager = ServiceManager(environment)
    manager.ready("DE*ABC active")
    manager.alive("DE*ABC standby")
    manager.stopping("draining")


def test_a_service_manager_that_does_not_read_stops_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("oicp_adapter.daemon.service_manager._PATIENCE", 0.01)
    path = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(path)
        manager = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1"})
        for number in range(500):
            manager.alive(f"{number} pending")


def test_what_the_lanes_do_is_said_in_words():
    metrics = Metrics(["DE*ABC", "DE*XYZ"])
    assert lanes_in_words(metrics, ["DE*ABC"]) == "DE*ABC starting"
    metrics.lane_state.labels("DE*ABC", "backing_off").set(1)
    metrics.pending_evses.labels("DE*ABC").set(3)
    metrics.quarantined.labels("DE*ABC").set(1)
    metrics.held_withdrawals.labels("DE*ABC").set(2)
    metrics.lane_state.labels("DE*XYZ", "standby").set(1)
    assert lanes_in_words(metrics, ["DE*ABC", "DE*XYZ"]) == (
        "DE*ABC backing off, 3 pending, 1 refused, 2 held; DE*XYZ standby"
    )
    assert lanes_in_words(metrics, []) == "no lane works here"
