"""A daemon takes new settings up lane by lane, and keeps the old where the new ones cannot be used."""

import socket
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from oicp_adapter.daemon.crew import STALL, STOP_MARGIN
from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.settings import LogSettings, MonitoringSettings, PushMode, PushSettings
from reliability.real.process import DIRECT, eventually
from tests.unit.daemon.conftest import PATIENCE, FakeLane, events, with_push


def test_lanes_of_new_settings_start_after_those_of_the_same_account(daemon, log):
    old, other = FakeLane("DE*ABC"), FakeLane("DE*XYZ")
    case = daemon(old, other)
    new, added = FakeLane("DEABC"), FakeLane("DE*QQQ")
    case.reload(with_push(case, max_records=7), new, added)
    eventually(lambda: events(log, "config.reloaded"))
    assert (new.after, added.after) == ([old], [])
    assert old.calls == other.calls == ["start", "stop"]
    assert events(log, "config.reloaded")[0]["changed"] == ["push.max_records"]
    eventually(lambda: case.closed == 1)
    case.stop()
    assert new.calls == added.calls == ["start", "stop"]
    assert case.closed == 2


def test_a_lane_that_waits_for_its_predecessor_keeps_the_daemon_ready(daemon, log):
    old = FakeLane(hangs=True)
    case = daemon(old)
    new = FakeLane()
    new.waiting = True
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    assert case.get("/readyz") == (200, "ok\n")
    new.waiting = False
    assert case.get("/readyz") == (503, "starting: lane DE*ABC has not read the store yet\n")
    new.turned_at = case.now
    case.now += 30 + STOP_MARGIN + 1
    eventually(lambda: "abort" in old.calls)
    eventually(lambda: case.closed == 1)


def test_a_lane_that_comes_back_waits_for_all_that_ever_pushed_for_its_operators(daemon, log):
    first, second, third = FakeLane("DE*ABC", hangs=True), FakeLane("DE*XYZ", hangs=True), FakeLane("DE*XYZ")
    third.operator_keys = frozenset({operator_key("DE*XYZ"), operator_key("DE*ABC")})
    case = daemon(first)
    for number, lane in enumerate((second, third), start=1):
        case.reload(with_push(case, max_records=number), lane)
        eventually(lambda number=number: len(events(log, "config.reloaded")) == number)
    assert (second.after, third.after) == ([], [first, second])
    case.daemon.stop()
    assert third.stopping.wait(PATIENCE)


def test_a_lane_that_hangs_after_it_was_replaced_makes_the_daemon_dead(daemon, log):
    old = FakeLane(hangs=True, stuck=True)
    case = daemon(old)
    new = FakeLane()
    new.waiting = True
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    case.now += 30 + STALL.total_seconds() + 1
    eventually(lambda: "abort" in old.calls)
    assert case.get("/livez") == (503, "lane DE*ABC has not turned for 90 s\n")
    old.stuck = False
    new.turned_at = case.now
    eventually(lambda: case.closed == 1)
    assert case.get("/livez")[0] == 200


def test_a_lane_that_waits_long_for_another_does_not_hang(daemon, log):
    old = FakeLane(hangs=True, stuck=True)
    case = daemon(old)
    new = FakeLane()
    new.waiting = True
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    old.turned_at = case.now = case.now + 30 + STALL.total_seconds() + 1
    assert case.get("/livez") == (200, "ok\n")
    new.waiting = False
    assert case.get("/livez") == (503, "lane DE*ABC has not turned for 90 s\n")
    old.alive = False


def test_lanes_that_are_switched_off_leave_no_state_behind(daemon, log):
    case = daemon(FakeLane())
    case.metrics.lane_state.labels("DE*ABC", "active").set(1)
    case.operators = ["DE*ABC"]
    case.reload(with_push(case, mode="off"))
    eventually(lambda: case.closed == 1)
    eventually(lambda: 'oicp_adapter_lane_state{operator="DE*ABC",state="active"} 0.0' in case.get("/metrics")[1])


def test_a_stop_while_lanes_change_over_ends_both(daemon, log):
    old = FakeLane(hangs=True)
    case = daemon(old)
    new = FakeLane(hangs=True)
    case.reload(with_push(case, max_records=7), new)
    eventually(lambda: events(log, "config.reloaded"))
    case.daemon.stop()
    assert new.stopping.wait(PATIENCE)
    case.stop()
    assert old.calls == ["start", "stop", "stop", "abort"]
    assert new.calls == ["start", "stop", "abort"]
    assert case.closed == 2


def test_series_of_an_operator_that_is_served_no_more_are_gone_when_its_lane_has_ended(daemon, log):
    leaving = FakeLane("DE*XYZ", hangs=True)
    case = daemon(FakeLane(), leaving)
    case.metrics.pushes.labels("DE*ABC", "update").inc(3)
    case.reload(with_push(case, max_records=7), FakeLane())
    eventually(lambda: events(log, "config.reloaded"))
    assert 'operator="DE*XYZ"' in case.get("/metrics")[1]
    leaving.alive = False
    eventually(lambda: 'operator="DE*XYZ"' not in case.get("/metrics")[1])
    assert 'oicp_adapter_pushes_total{action="update",operator="DE*ABC"} 3.0' in case.get("/metrics")[1]


def test_the_mode_that_is_shown_is_the_one_in_use_also_while_lanes_change_over_and_without_any(daemon, log):
    def shown():
        labels = ({"operator": "DE*ABC", "mode": mode} for mode in PushMode)
        return {each["mode"]: case.metrics.registry.get_sample_value("oicp_adapter_push_mode", each) for each in labels}

    old = FakeLane(hangs=True)
    case = daemon(old)
    case.operators = ["DE*ABC"]
    assert shown() == {"live": 1, "shadow": 0, "off": 0}
    case.reload(with_push(case, mode="shadow"), FakeLane())
    eventually(lambda: events(log, "config.reloaded"))
    assert shown() == {"live": 0, "shadow": 1, "off": 0}
    case.reload(with_push(case, mode="off"))
    eventually(lambda: len(events(log, "config.reloaded")) == 2)
    old.alive = False
    eventually(lambda: case.closed == 2)
    eventually(lambda: shown() == {"live": 0, "shadow": 0, "off": 1})


def test_a_reload_that_changes_nothing_has_the_lanes_tell_what_is_wrong_with_their_certificates(daemon, log):
    lane = FakeLane()
    case = daemon(lane)
    assert not lane.certificate_told.is_set()
    case.daemon.reload()
    eventually(lambda: events(log, "config.unchanged"))
    assert lane.certificate_told.is_set()


@pytest.mark.parametrize("error", [ConfigurationError("no", cure="yes"), ValueError("a bug")])
def test_settings_that_cannot_be_used_change_nothing_and_the_next_good_ones_do(daemon, log, error):
    old = FakeLane()
    case = daemon(old)
    case.refusal = error
    case.reload(with_push(case, max_records=7), FakeLane())
    eventually(lambda: events(log, "config.not_reloaded"))
    assert old.calls == ["start"]
    assert "oicp_adapter_config_last_reload_successful 0.0" in case.get("/metrics")[1]
    assert (events(log, "config.not_reloaded")[0]["exc_info"] is error) is isinstance(error, ValueError)
    case.refusal = None
    case.daemon.reload()
    eventually(lambda: events(log, "config.reloaded"))
    assert "oicp_adapter_config_last_reload_successful 1.0" in case.get("/metrics")[1]


def test_settings_that_no_lane_depends_on_leave_the_lanes_at_work(daemon, log):
    lane = FakeLane()
    case = daemon(lane)
    case.reload(case.settings.model_copy(update={"log": LogSettings(level="debug")}))
    eventually(lambda: events(log, "config.reloaded"))
    assert lane.calls == ["start"]
    assert [settings.log.level for settings in case.in_use] == ["debug"]


def test_a_monitoring_address_moves(daemon, log):
    case = daemon(FakeLane())
    before = case.daemon.url
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        case.reload(case.settings.model_copy(update={"monitoring": MonitoringSettings(port=port)}))
        eventually(lambda: events(log, "config.not_reloaded"))
        assert case.get("/livez")[0] == 200
    case.daemon.reload()
    eventually(lambda: events(log, "config.reloaded"))
    assert case.daemon.url == f"http://127.0.0.1:{port}"
    assert case.get("/livez")[0] == 200
    with pytest.raises(urllib.error.URLError):
        DIRECT.open(f"{before}/livez", timeout=PATIENCE)


def test_another_host_with_the_same_port_is_moved_to_and_back_when_it_cannot_be_had(daemon, log):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    case = daemon(FakeLane())
    everywhere, nowhere = "0.0.0.0", "192.0.2.1"  # noqa: S104 - all addresses are what is tried
    for host in ("127.0.0.1", everywhere, nowhere):
        before = len(log)
        case.reload(case.settings.model_copy(update={"monitoring": MonitoringSettings(host=host, port=port)}))
        told = "config.not_reloaded" if host == nowhere else "config.reloaded"
        eventually(lambda told=told, before=before: events(log[before:], told))
    assert case.daemon.url == f"http://0.0.0.0:{port}"
    assert case.get("/livez")[0] == 200


def test_an_address_that_cannot_be_had_gives_the_new_lanes_up(daemon, log):
    old = FakeLane()
    case = daemon(old)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        changed = {"monitoring": MonitoringSettings(port=taken.getsockname()[1]), "push": PushSettings(max_records=7)}
        new = FakeLane()
        new.alive = False
        case.reload(case.settings.model_copy(update=changed), new)
        eventually(lambda: events(log, "config.not_reloaded"))
    assert old.calls == ["start"]
    assert new.calls == []
    assert case.closed == 1
