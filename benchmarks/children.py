"""
Starts the adapter's commands as processes of their own, reads what they cost, and ends them.

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


class Child:
    """
    One command of the adapter; a context manager.

    Attributes:
        announced: The line of JSON that it printed when it was ready.
        started_at: Seconds since 1970, just before the process was made.
        ready_after: Seconds from then to that line.
    """

    def __init__(self, arguments: Sequence[str], *, log: Path, directory: Path) -> None:
        self._log = log
        self._errors: IO[bytes] = log.open("wb")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OICP_ADAPTER_")}
        self.started_at = time.time()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "oicp_adapter", *arguments],
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
        """Return the largest resident set so far, in mebibytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def processor_time(self) -> float:
        """Return the seconds of processor time that it used so far, in all its threads."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
        user, system = fields[11:13]
        return (int(user) + int(system)) / _TICKS

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
