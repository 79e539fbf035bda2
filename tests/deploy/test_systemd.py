"""The units are ones that systemd takes, equally hardened, and their times fit the programs' own."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from oicp_adapter import serving
from oicp_adapter.daemon.crew import STOP_MARGIN
from oicp_adapter.settings import HubSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ("oicp-adapter.service", "oicp-adapter-control.service")
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 2.0
"""Of systemd's own measure, in which an unprotected service has nearly 10."""


class _Values(dict):
    """Keeps every value of a key that stands there more than once."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def section(unit):
    parser = configparser.RawConfigParser(dict_type=_Values, strict=False)
    parser.optionxform = str
    parser.read_string((FOLDER / unit).read_text())
    return parser["Service"]


@pytest.fixture(scope="module")
def service():
    return section(UNITS[0])


@pytest.fixture(scope="module")
def control():
    return section(UNITS[1])


def test_it_notifies_has_a_watchdog_and_checks_before_it_starts(service):
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["ExecStartPre"].startswith("-/"), "an error with which `run` starts must not keep it from that"
    assert service["ExecStartPre"].endswith("oicp-adapter check --offline")
    assert service["ExecStart"].endswith("oicp-adapter run")
    assert service["ExecReload"] == "kill -HUP $MAINPID"
    assert "client.key:" in service["LoadCredential"]


def test_a_stop_may_take_as_long_as_the_daemon_does_at_most(service):
    longest = HubSettings.model_fields["request_timeout"].default
    assert int(service["TimeoutStopSec"]) >= longest.total_seconds() + STOP_MARGIN + 5


def test_the_control_server_notifies_too_is_reloaded_by_its_signal_and_started_again(control):
    assert control["Type"] == "notify"
    assert control["ExecStart"].endswith("oicp-adapter serve")
    assert control["ExecReload"] == "kill -HUP $MAINPID"
    assert control["Restart"] == "on-failure"
    assert "WatchdogSec" not in control, "nothing would report"
    assert int(control["TimeoutStopSec"]) > 2 * serving.STOP_WITHIN


def test_the_control_server_shares_user_and_store_with_the_daemon_and_is_as_hardened(service, control):
    own = {"LoadCredential", "ExecStartPre", "ExecStart", "WatchdogSec", "TimeoutStopSec", "Nice"}
    assert {key: value for key, value in service.items() if key not in own} == {
        key: value for key, value in control.items() if key not in own
    }


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze is installed")
def test_systemd_takes_it_and_finds_it_little_exposed(tmp_path, name):
    program = tmp_path / "oicp-adapter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / name
    unit.write_text((FOLDER / name).read_text().replace("/opt/oicp-adapter/bin/oicp-adapter", str(program)))
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert name not in done.stderr, done.stderr
    told = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told.stdout)
    assert exposure is not None, told.stdout + told.stderr
    assert float(exposure[1]) <= MOST_EXPOSED, told.stdout
