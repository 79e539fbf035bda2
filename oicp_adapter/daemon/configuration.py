"""
Notices that the settings are to be read again, and has new ones taken up; what does not hold leaves the old in use.

1. Files count as changed when they stand still after a change: one that is being written is left to its writer.
2. Reading and examining is done beside the daemon's loop, which must not wait for a store that never answers.
3. Whatever is wrong with new settings is a metric and a log line, never an end, and is tried again: what they need may
   come later than they do.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.domain.errors import AdapterError, error_text
from oicp_adapter.settings import Settings

RETRY_EVERY: Final = timedelta(seconds=30)
"""Settings that did not hold are tried again this often."""

PROMPT: Final = 0.5
"""Seconds for which the loop waits for a reading; later, its result is taken up by a later look."""

LANES_IGNORE: Final = frozenset({"control", "log", "monitoring"})
"""Sections that no lane depends on."""

Stamp = tuple[int, int, int] | None


class Configuration:
    """
    The settings of a running daemon.

    Attributes:
        current: Those in use.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read: Callable[[], Settings],
        examine: Callable[[Settings], None],
        files: Callable[[Settings], Sequence[Path]],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Take settings that were just read.

        Args:
            read: Reads them anew.
            examine: Raises AdapterError when lanes with such settings would not work; asked only when these changed.
            files: Returns the files that settings come from.
            clock: Seconds from any start.
        """
        self.current = settings
        self._read = read
        self._examine = examine
        self._files = files
        self._metrics = metrics
        self._clock = clock
        # Unlike any: what changed between the reading of *settings* and the first look is seen by that.
        self._seen: Sequence[Stamp] | None = None
        self._taken: Sequence[Stamp] | None = None
        self._asked = False
        self._reading: Future[Settings] | None = None
        self._told = False
        self._retry_at: float | None = None
        self._log = structlog.get_logger()
        self._show(successful=True)

    def renew(self, take_up: Callable[[Settings], None], *, asked: bool) -> None:
        """
        Read the settings again when somebody asks for it, their files have changed, or the last ones did not hold.

        Args:
            take_up: Called with settings that differ; raises when they cannot be used, and has changed nothing then.
        """
        self._asked = self._asked or asked
        # No file is looked at during a reading, which may have read it already: its change is seen after it.
        if self._reading is None and (self._files_changed() or self._asked or self._is_due()):
            self._told, self._asked = self._asked, False
            self._reading = Future()
            threading.Thread(target=self._find, args=[self._reading], name="settings", daemon=True).start()
            wait([self._reading], PROMPT)
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            self._conclude(reading, take_up)

    def _find(self, reading: Future[Settings]) -> None:
        """Read, in a thread of its own; the loop decides what comes of the result."""
        try:
            reading.set_result(self._examined())
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            reading.set_exception(error)

    def _examined(self) -> Settings:
        fresh = self._read()
        if lanes_differ(fresh, self.current):
            self._examine(fresh)
        return fresh

    def _conclude(self, reading: Future[Settings], take_up: Callable[[Settings], None]) -> None:
        try:
            fresh = reading.result()
            changed = differing(self.current, fresh)
            if changed:
                take_up(fresh)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with new settings, the old ones stay in use
            self._retry_at = self._clock() + RETRY_EVERY.total_seconds()
            self._show(successful=False)
            trace = None if isinstance(error, AdapterError) else error
            # The cause is the reason, so that another cause is told although the first one was told just now.
            asked = {"asked": True} if self._told else {}
            self._log.error("config.not_reloaded", reason=error_text(error), exc_info=trace, **asked)
            return
        mended, self._retry_at = self._retry_at is not None, None
        self.current = fresh
        self._show(successful=True)
        over = {"over": "config.not_reloaded"} if mended else {}
        if changed:
            self._log.info("config.reloaded", changed=changed, **over)
        elif self._told or mended:
            self._log.info("config.unchanged", **over)

    def _files_changed(self) -> bool:
        """Tell whether files differ from those that were read last, and have not changed since the look before."""
        stamps = [_stamp(path) for path in self._files(self.current)]
        still, self._seen = stamps == self._seen, stamps
        if not still or stamps == self._taken:
            return False
        self._taken = stamps
        return True

    def _is_due(self) -> bool:
        return self._retry_at is not None and self._clock() >= self._retry_at

    def _show(self, *, successful: bool) -> None:
        self._metrics.config_reloaded.set(successful)
        if successful:
            self._metrics.config_reloaded_at.set(datetime.now(UTC).timestamp())


def lanes_differ(one: Settings, other: Settings) -> bool:
    """Tell whether lanes would work otherwise with the other settings."""
    return any(key.partition(".")[0] not in LANES_IGNORE for key in differing(one, other))


def differing(one: Settings, other: Settings) -> Sequence[str]:
    """Return the keys whose values differ, as `push.max_records`; operators and mapping by the section's name."""
    found = []
    for section in Settings.model_fields:
        before, after = getattr(one, section), getattr(other, section)
        keys: Sequence[Any] = list(getattr(type(before), "model_fields", ()))
        found += [f"{section}.{key}" for key in keys if getattr(before, key) != getattr(after, key)]
        if not keys and before != after:
            found.append(section)
    return found


def _stamp(path: Path) -> Stamp:
    """Return what changes whenever a file is replaced or written; None: there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a second of an idle daemon costs less so
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
