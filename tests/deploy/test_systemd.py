"""The unit is one that systemd takes, hardened, and its times fit the daemon's own."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from oicp_adapter.daemon.crew import STOP_MARGIN
from oicp_adapter.settings import HubSettings

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "oicp-adapter.service"
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


@pytest.fixture(scope="module")
def service():
    parser = configparser.RawConfigParser(dict_type=_Values, strict=False)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser["Service"]


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


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze is installed")
def test_systemd_takes_it_and_finds_it_little_exposed(tmp_path):
    program = tmp_path / "oicp-adapter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/oicp-adapter/bin/oicp-adapter", str(program)))
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert UNIT.name not in done.stderr, done.stderr
    told = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told.stdout)
    assert exposure is not None, told.stdout + told.stderr
    assert float(exposure[1]) <= MOST_EXPOSED, told.stdout
