"""
Starts processes, the adapter's commands and the peer, reads what they cost, and ends them.

1. A child is ended whatever happens: asked first, killed when it does not heed. Every wait is bounded.
2. What a child says goes to a file, and its end is shown when it did not do what it should.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from benchmarks.figures import MeasurementError

START_WITHIN: Final = 30.0
STOP_WITHIN: Final = 15.0
_SHOWN: Final = 2000
"""Characters of a child's log that are shown when it failed."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_QUIET_LOOK_EVERY: Final = 0.5
_QUIET_LOOKS: Final = 4
_QUIET_SHARE: Final = 0.06
"""Of a core; a daemon that only looks uses a third of it at most, one that sweeps most of a core."""


class Child:
    """
    One process; a context manager.

    Attributes:
        announced: The line of JSON that it printed when it was ready.
        started_at: Seconds since 1970, just before the process was made.
        ready_after: Seconds from then to that line.
    """

    def __init__(
        self, arguments: Sequence[str], *, log: Path, directory: Path, program: Sequence[str] = ("-m", "oicp_adapter")
    ) -> None:
        self._log = log
        self._errors: IO[bytes] = log.open("wb")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OICP_ADAPTER_")}
        self.started_at = time.time()
        self._process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=directory,
            env=environment,
        )
        try:
            self.announced = self._announcement()
        except BaseException:
            self.stop()
            raise
        self.ready_after = time.time() - self.started_at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; does nothing if it has ended."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_WITHIN)
        if process.stdout is not None:
            process.stdout.close()
        self._errors.close()

    def log_text(self) -> str:
        """Return what it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def log_end(self) -> str:
        """Return the end of what it has said so far."""
        return self.log_text()[-_SHOWN:]

    def require_alive(self) -> None:
        """
        Make sure that it still runs.

        Raises:
            MeasurementError: It ended by itself.
        """
        if self._process.poll() is not None:
            raise MeasurementError(f"exit code {self._process.returncode}:\n{self.log_end()}")

    def peak_memory(self) -> float:
        """Return the largest resident set so far, in megabytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6

    def processor_time(self) -> float:
        """Return the seconds of processor time that it used so far, in all its threads."""
        return processor_time(self._process.pid)

    def wait_until_quiet(self, *, within: float) -> None:
        """
        Wait until it has nothing left to do: what it does after its start would stand in what is measured next.

        Raises:
            MeasurementError: It did not become quiet in time.
        """
        end = time.monotonic() + within
        quiet, before = 0, self.processor_time()
        while quiet < _QUIET_LOOKS:
            self.require_alive()
            if time.monotonic() > end:
                raise MeasurementError(f"a child did not become quiet in {within:.0f} s:\n{self.log_end()}")
            time.sleep(_QUIET_LOOK_EVERY)
            used = self.processor_time()
            quiet = quiet + 1 if used - before <= _QUIET_SHARE * _QUIET_LOOK_EVERY else 0
            before = used

    def _announcement(self) -> Any:
        pipe = self._process.stdout
        end = time.monotonic() + START_WITHIN
        line = b""
        while pipe is not None and not line.endswith(b"\n"):
            readable, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            part = os.read(pipe.fileno(), 65536) if readable else b""
            if not part:
                raise MeasurementError(f"a child did not start:\n{self.log_end()}")
            line += part
        return json.loads(line)


def processor_time(pid: int, *, with_ended_children: bool = False) -> float:
    """Return the seconds of processor time that a process used so far; 0.0 when it has gone meanwhile."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return 0.0
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return sum(map(int, fields[11 : 15 if with_ended_children else 13])) / _TICKS
