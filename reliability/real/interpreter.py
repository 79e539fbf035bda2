"""Starts daemons and runs other commands as their users do: each in an interpreter of its own, which imports anew."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class Interpreter:
    """
    The parent of what it starts.

    Attributes:
        release: Where another release of the package is, for what starts from now on; None: the one that is imported.
    """

    def __init__(self) -> None:
        self.release: Path | None = None
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, arguments: Sequence[str], *, folder: Path, output: Path, errors: Path) -> int:
        """Run the command with these arguments; return its pid."""
        with output.open("wb") as out, errors.open("wb") as err:
            child = subprocess.Popen(
                _line(arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self._environment(),
                cwd=folder,
            )
        self._children[child.pid] = child
        return child.pid

    def reap(self, pid: int) -> int:
        """Return the exit code of a process that has ended, negative: the signal that ended it."""
        return self._children.pop(pid).wait()

    def run(self, arguments: Sequence[str], *, folder: Path, within: float) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, *within* seconds, and keep what it says."""
        return subprocess.run(
            _line(arguments),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            env=self._environment(),
            cwd=folder,
        )

    def _environment(self) -> Mapping[str, str]:
        """Return this environment without settings of the adapter."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("OICP_ADAPTER_")}
        return plain if self.release is None else {**plain, "PYTHONPATH": str(self.release)}


def _line(arguments: Sequence[str]) -> Sequence[str]:
    return [sys.executable, "-m", "oicp_adapter", *arguments]
