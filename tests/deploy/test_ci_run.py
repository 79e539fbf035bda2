"""`.ci/run` leaves nothing behind when it is told to end: no process, no folder."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from reliability.real.process import eventually

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
# Stands in for every Python: what the README says makes an environment of such ones, all else takes an hour.
case "$1 $2" in
    ".ci/readme_command.py demo")
        echo 'mkdir -p .venv/bin; for each in python ruff; do cp "$PYTHON" .venv/bin/$each; done; :' ;;
    "-m pip") ;;
    *) echo $$ >"$STARTED/$$"; exec sleep 3600 ;;
esac
"""
NEEDED = ("chromium", "curl", "pgbouncer", "prometheus", "fish", "zsh", "groff", "man", "mandoc", "sqlite3", "kubectl")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository that has nothing but the script."""
    made = tmp_path / "project"
    (made / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", made / ".ci" / "run")
    subprocess.run(["git", "init", "--quiet", str(made)], check=True)
    return made


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Programs that do nothing for an hour, and folders in which they say that they have begun."""
    for name in ("bin", "started", "tmp"):
        (tmp_path / name).mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to("/bin/true")
    python = tmp_path / "bin" / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHON": str(python),
        "STARTED": str(tmp_path / "started"),
        "TMPDIR": str(tmp_path / "tmp"),
    }


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[[], Sequence[int]]]:
    """Tell which of the programs run that said that they have begun; none does afterwards."""

    def found() -> Sequence[int]:
        begun = [int(each.name) for each in (tmp_path / "started").iterdir()]
        return [number for number in begun if Path(f"/proc/{number}").exists()]

    yield found
    for number in found():
        os.kill(number, signal.SIGKILL)


@pytest.mark.skipif(not shutil.which("git"), reason="the script copies what git knows")
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM], ids=lambda told: told.name)
def test_what_runs_beside_the_steps_ends_before_their_folder_is_removed(tree, environ, running, tmp_path, told):
    with subprocess.Popen([tree / ".ci" / "run"], env=environ, stdout=subprocess.PIPE, text=True) as script:
        eventually(lambda: len(running()) == 4)  # audit, Dockerfile and release beside the first linter
        script.send_signal(told)
        said, _ = script.communicate(timeout=60)
    assert script.returncode == 143
    assert "total" in said.splitlines()[-1]
    eventually(lambda: not running())
    assert not list((tmp_path / "tmp").iterdir())
