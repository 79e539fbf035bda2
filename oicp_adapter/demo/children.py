"""
Starts the commands of this package as processes of their own, and ends them whatever happens.

1. A child has a session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order.
2. It gets no setting from the environment: the file that the demo wrote is all it knows.
3. It is ended by its own process id: SIGTERM, and SIGKILL after a bound.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.settings_sources import PREFIX

KILLED_WITHIN: Final = 5.0
"""Seconds in which a process that was killed is gone."""

_ANNOUNCEMENT_LIMIT: Final = 64 * 1024
_LOOK_EVERY: Final = 0.1
_TAIL_LINES: Final = 8
_TAIL_BYTES: Final = 8 * 1024


class SceneFailedError(Exception):
    """Something that the demo put on the stage did not start, or ended by itself; the text says what and why."""


class StoppedError(Exception):
    """The demo was asked to stop while it was starting."""


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a child ended.

    Attributes:
        code: Its exit code; negative: the signal that ended it.
        seconds: From the request to its end.
        forced: It did not end in time and was killed.
    """

    code: int
    seconds: float
    forced: bool

    @property
    def clean(self) -> bool:
        """Whether it ended by itself, in time and with 0."""
        return self.code == 0 and not self.forced


class Child:
    """
    One command of this package in a process of its own.

    Attributes:
        name: For people, and the stem of its log.
        pid: Its process id.
    """

    def __init__(self, name: str, arguments: Sequence[str], *, directory: Path, ends_within: float) -> None:
        """
        Start it.

        Args:
            arguments: Of `oicp-adapter`.
            directory: Holds its log, `<name>.log`.
            ends_within: Seconds that it may take to end after SIGTERM.
        """
        self.name = name
        self._log = directory / f"{name}.log"
        self._ends_within = ends_within
        self._ending: Ending | None = None
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and this package
                [sys.executable, "-m", "oicp_adapter", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(os.environ),
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def announcement(self, *, within: float, stop: threading.Event) -> Mapping[str, Any]:
        """
        Return the line of JSON that it prints when it is ready.

        Raises:
            SceneFailedError: It ended, did not print it within so many seconds, or printed something else.
            StoppedError: *stop* was set before.
        """
        line = self._first_line(time.monotonic() + within, stop)
        try:
            announced = json.loads(line)
        except ValueError as exc:
            raise SceneFailedError(f"the {self.name} announced no JSON but {foreign_text(line)}") from exc
        if not isinstance(announced, dict):
            raise SceneFailedError(f"the {self.name} announced {foreign_text(line)}")
        return announced

    def require_alive(self) -> None:
        """
        Do nothing while it runs.

        Raises:
            SceneFailedError: It ended by itself; with the end of its log.
        """
        code = self._process.poll()
        if code is not None:
            raise SceneFailedError(f"the {self.name} ended by itself with {code}; {self.tail()}")

    def end(self) -> Ending:
        """End it, if it has not ended; a second call only tells how it ended."""
        if self._ending is None:
            started = time.monotonic()
            forced = False
            self._process.terminate()
            try:
                code = self._process.wait(self._ends_within)
            except subprocess.TimeoutExpired:
                forced = True
                self._process.kill()
                code = self._process.wait(KILLED_WITHIN)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._ending = Ending(code, time.monotonic() - started, forced)
        return self._ending

    def tail(self) -> str:
        """Return the end of its log, for an error."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        shown = "".join(f"\n  {foreign_text(line, 500)}" for line in lines)
        return f"its log ends with{shown}" if lines else "it logged nothing"

    def _first_line(self, deadline: float, stop: threading.Event) -> str:
        pipe = self._process.stdout
        read = b""
        while pipe is not None and b"\n" not in read and len(read) < _ANNOUNCEMENT_LIMIT:
            if stop.is_set():
                raise StoppedError
            if time.monotonic() > deadline:
                raise SceneFailedError(f"the {self.name} did not get ready in time; {self.tail()}")
            if select.select([pipe], [], [], _LOOK_EVERY)[0]:
                part = os.read(pipe.fileno(), _ANNOUNCEMENT_LIMIT)
                if not part:
                    code = self._process.wait(self._ends_within)
                    raise SceneFailedError(f"the {self.name} did not start, it ended with {code}; {self.tail()}")
                read += part
        return read.decode(errors="replace").split("\n", 1)[0]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without our own settings, which would override the demo's file."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
