"""What the README says is what the program does: its commands run, its tables equal the code's."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from oicp_adapter.cli.main import app
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.domain.statuses import TRANSLATIONS, Status

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
RUN_BY_CI = {"demo", "tests"}


def blocks() -> dict[str | None, str]:
    found = re.findall(r"(?:<!-- ci: (\w+) -->\s*)?^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return {name or None: text for name, text in found}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_every_block_of_commands_is_run_by_ci_or_by_a_test() -> None:
    assert set(blocks()) == RUN_BY_CI | {"walkthrough"}


@pytest.mark.timeout(180)
def test_the_walkthrough_runs_as_it_stands(tmp_path: Path) -> None:
    if missing := [tool for tool in ("bash", "sqlite3", "curl") if shutil.which(tool) is None]:
        pytest.skip(f"the walkthrough uses {', '.join(missing)}, which this machine lacks")
    script = blocks()["walkthrough"]
    for port in ("18443", "18444", "19464"):
        assert port in script
        script = script.replace(port, str(free_port()))
    commands = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OICP_ADAPTER_")}
    environment["PATH"] = f"{commands}{os.pathsep}{environment['PATH']}"
    # Whatever fails, what was started in the background ends with the shell.
    guarded = "set -euo pipefail\ntrap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT\n" + script
    done = subprocess.run(
        ["bash", "-c", guarded], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "So it is Maintenance" in done.stdout
    assert 'oicp_adapter_pushes_total{action="fullLoad",operator="DE*ABC"} 1.0' in done.stdout


def test_the_translation_table_is_the_one_of_the_code() -> None:
    told: dict[str, tuple[str, ...]] = {}
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4:
            told |= {word.strip(): tuple(cells[1:]) for word in cells[0].split(",")}
    for status in Status:
        row = TRANSLATIONS[status]
        assert told[status.value] == (row.oicp.value, row.ocpi.value, row.driver.value)


def test_the_table_of_commands_names_every_command() -> None:
    commands = README.split("## Commands")[1].split("## Metrics")[0]
    for name in typer.main.get_command(app).list_commands(None):  # type: ignore[attr-defined,arg-type]
        assert f"`{name}" in commands, name


def test_the_table_of_metrics_names_every_metric_and_no_other() -> None:
    told = README.split("## Metrics")[1].replace("last_successful_push_…", "last_successful_push_timestamp_seconds")
    told = told.replace("last_full_load_…", "last_full_load_timestamp_seconds")
    named = set(re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", told)) - {"oicp_adapter_", "operator"}
    exported = {
        f"{family.name}{'_total' if family.type == 'counter' else '_info' if family.type == 'info' else ''}"
        for family in Metrics(["DE*ABC"]).registry.collect()
    }
    assert named == {name.removeprefix("oicp_adapter_") for name in exported}
