"""One `oicp-adapter run` as a process: started, signalled, asked for its log and health, and reaped."""

import json
import os
import select
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from prometheus_client.parser import text_string_to_metric_families

PATIENCE: Final = 90.0
"""Seconds that a loaded machine may need for what takes a moment; nothing is judged by them."""

DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def eventually(
    look: Callable[[], Any], *, within: float = PATIENCE, every: float = 0.02, told: Callable[[], str] = str
) -> Any:
    """
    Return the first true answer; fail when none came in time.

    Args:
        told: What there is to be said then.
    """
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, f"{look} gave {found!r} for {within} s {told()}"
        time.sleep(every)
    return found


class Starter(Protocol):
    """The parent of processes: a `Nursery`, or an `Interpreter`."""

    def start(self, arguments: Sequence[str], *, folder: Path, output: Path, errors: Path) -> int:
        """Run the command with these arguments; return its pid."""

    def reap(self, pid: int) -> int:
        """Return the exit code of a process that has ended, negative: the signal that ended it."""


class Process:
    """
    A running daemon.

    Attributes:
        pid: Of the process.
        code: Its exit code once it was reaped; negative: the signal that ended it.
    """

    def __init__(self, starter: Starter, arguments: Sequence[str], *, folder: Path, number: int) -> None:
        self._starter = starter
        self._output = folder / f"daemon-{number}.out"
        self._errors = folder / f"daemon-{number}.log"
        self.pid = starter.start(arguments, folder=folder, output=self._output, errors=self._errors)
        self._handle = os.pidfd_open(self.pid)
        self.code: int | None = None

    @property
    def url(self) -> str | None:
        """Of the monitoring endpoints; None: it has not announced them yet."""
        text = self.output()
        return json.loads(text)["monitoring"] if text.endswith("\n") else None

    def started(self) -> "Process":
        """Wait for the first read of the store."""
        eventually(lambda: self.get("/readyz")[0] == 200 if self.url else self._fail_if_ended())
        return self

    def get(self, path: str) -> tuple[int, str]:
        try:
            with DIRECT.open(f"{self.url}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return one sample by its name without prefix; `operator` is DE*ABC unless named."""
        wanted = {"operator": "DE*ABC", **labels}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == f"oicp_adapter_{name}" and sample.labels == wanted:
                    return sample.value
        raise AssertionError(f"no series {name} {wanted}")

    def stands_by(self) -> bool:
        """Tell whether its lane is led by another process, as far as it knows."""
        return 'state="standby"} 1.0' in self.get("/metrics")[1]

    def output(self) -> str:
        """Return what it has written to stdout."""
        return self._output.read_text() if self._output.exists() else ""

    def text(self) -> str:
        """Return what it has written to stderr: its log."""
        return self._errors.read_text() if self._errors.exists() else ""

    def log(self, event: str | None = None, **facts: Any) -> Sequence[Mapping[str, Any]]:
        """Return the events of the log that have this name and these fields."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if (event is None or line["event"] == event) and facts.items() <= line.items()]

    def send(self, number: signal.Signals) -> None:
        """Send a signal; without effect on a process that has ended."""
        if self.code is None:
            signal.pidfd_send_signal(self._handle, number)

    def pause(self) -> None:
        """Stop it as a scheduler might, and return when every thread of it stands still."""
        self.send(signal.SIGSTOP)
        eventually(lambda: self._state() == "T", every=0.001)

    def kill(self) -> None:
        """End it without a word."""
        self.send(signal.SIGKILL)
        assert self.ended() in (-signal.SIGKILL, 0)

    def stop(self) -> int:
        """Ask for an end; return the exit code."""
        self.send(signal.SIGTERM)
        return self.ended()

    def ended(self, within: float = PATIENCE) -> int:
        """Wait for the end; return the exit code."""
        if self.code is None:
            assert select.select([self._handle], [], [], within)[0], f"it has not ended within {within} s"
            self.code = self._starter.reap(self.pid)
            os.close(self._handle)
        return self.code

    def clean_up(self) -> None:
        if self.code is None:
            self.send(signal.SIGKILL)
            self.ended()

    def _fail_if_ended(self) -> None:
        assert not select.select([self._handle], [], [], 0)[0], f"it ended with {self.ended()}: {self.text()}"

    def _state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
