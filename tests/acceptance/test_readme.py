"""What the README says is what the program does: its commands run, its table of statuses equals the code's."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from oicp_adapter.demo.judgement import Unpushable
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


# Tells of each command that fails, and does nothing else: a user's shell goes on, and so does this one.
OBSERVED = "trap 'echo \"line $LINENO failed: $BASH_COMMAND\" >&2' ERR\n"


def clone_with(tmp_path: Path) -> Path:
    """Make a folder in which the demo line of the README has been run."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return tmp_path


def paste(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a block as a shell runs what is pasted into it; whatever it leaves in the background ends with this."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OICP_ADAPTER_")}
    ours = Path(sys.executable).parent
    elsewhere = [each for each in environment["PATH"].split(os.pathsep) if Path(each) != ours]
    environment["PATH"] = os.pathsep.join(elsewhere)
    shell = subprocess.Popen(
        [shutil.which("bash") or "bash", "-c", OBSERVED + script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = shell.communicate(timeout=150)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()
    return subprocess.CompletedProcess(shell.args, shell.returncode, out, errors)


@pytest.mark.timeout(180)
def test_the_walkthrough_runs_as_it_stands(tmp_path: Path) -> None:
    if missing := [tool for tool in ("bash", "sqlite3", "curl") if shutil.which(tool) is None]:
        pytest.skip(f"the walkthrough uses {', '.join(missing)}, which this machine lacks")
    script = blocks()["walkthrough"]
    for port in ("18443", "18444", "19464"):
        assert port in script
        script = script.replace(port, str(free_port()))
    done = paste(script, clone_with(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " failed: " not in done.stderr
    assert "So it is Maintenance" in done.stdout
    assert 'oicp_adapter_pushes_total{action="fullLoad",operator="DE*ABC"} 1.0' in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_a_wait_of_the_walkthrough_that_is_in_vain_ends_and_says_so(tmp_path: Path) -> None:
    script = blocks()["walkthrough"]
    assert "seq 60" in script
    waits = re.findall(r"^(?:until|while) ", script, re.MULTILINE)
    assert not waits, "each wait goes through `await`, which ends"
    function = script[script.index("await() {") : script.index("acknowledged() {")]
    done = paste(function.replace("seq 60", "seq 2") + "await test -s nothing\n", tmp_path)
    assert done.returncode == 1
    assert "gave up waiting for: test -s nothing" in done.stderr


def test_what_a_fleet_of_ones_own_is_told_is_what_the_demo_says() -> None:
    rows = Unpushable("rows are odd", "mend them")
    for number in range(9):
        rows.add(f"E{number}")
    assert str(rows) == "9 rows are odd, as E0, E1, E2: mend them"
    told = " ".join(README.split("`--from FILE.csv`")[1].split())
    assert "for each reason with up to three examples and what to do; `db import` lists each row" in told


def test_the_translation_table_is_the_one_of_the_code() -> None:
    told: dict[str, tuple[str, ...]] = {}
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4:
            told |= {word.strip(): tuple(cells[1:]) for word in cells[0].split(",")}
    for status in Status:
        row = TRANSLATIONS[status]
        assert told[status.value] == (row.oicp.value, row.ocpi.value, row.driver.value)
