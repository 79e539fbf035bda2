"""
Remembers outside of the store how far each lane had come, so that a store that went back is noticed.

1. It is told after the store's commit has returned, never before: it may lag behind the store, not run ahead of it.
2. It is no second truth: a witness that is lost, or cannot be written, costs the notice and nothing else.
"""

import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

from oicp_adapter.domain.errors import foreign_text


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    The last that was seen committed of a lane.

    Attributes:
        attempt: Number of its last request; 0: none.
        silent_until: Until when the lane keeps silent if that request's outcome is never recorded; None: it was.
    """

    attempt: int = 0
    silent_until: datetime | None = None


class Witness(Protocol):
    """What a lane asks of its witness."""

    @property
    def seen(self) -> Sighting:
        """The last that it was told."""

    def note(self, sighting: Sighting) -> None:
        """Remember what has been committed."""


class MemoryWitness:
    """Remembers as long as its lane works: enough where a server outlives its clients."""

    def __init__(self) -> None:
        self.seen = Sighting()

    def note(self, sighting: Sighting) -> None:
        """Remember what has been committed."""
        self.seen = sighting


class WitnessFile:
    """
    A small file beside a SQLite store, which outlives the process and is not part of a backup of the store.

    It is not synced: after a loss of power it may be older than the store, which it may be at any time.
    """

    def __init__(self, store: Path) -> None:
        """Read what an earlier daemon left; a file that cannot be read is as good as none."""
        self._path = store.with_name(f"{store.name}.witness")
        self._lock = threading.Lock()
        self._lanes = self._read()

    def of(self, lane: str) -> "LaneWitness":
        """Return the witness of one lane."""
        return LaneWitness(self, lane)

    def seen(self, lane: str) -> Sighting:
        """Return the last that was noted of a lane."""
        return self._lanes.get(lane, Sighting())

    def note(self, lane: str, sighting: Sighting) -> None:
        """Write what has been committed; safe for use by several threads."""
        with self._lock:
            self._lanes[lane] = sighting
            document = {name: [each.attempt, _text(each.silent_until)] for name, each in self._lanes.items()}
            fresh = self._path.with_name(f"{self._path.name}.new")
            try:
                fresh.write_text(json.dumps(document))
                os.replace(fresh, self._path)  # noqa: PTH105 - Path.replace costs twice as much, on each push
            except OSError as error:
                structlog.get_logger().warning("witness.not_written", error=foreign_text(error))

    def _read(self) -> dict[str, Sighting]:
        try:
            document = json.loads(self._path.read_bytes())
            return {str(lane): _sighting(seen) for lane, seen in document.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            structlog.get_logger().warning("witness.not_read", error=foreign_text(error))
            return {}


class LaneWitness:
    """One lane's part of the file."""

    def __init__(self, file: WitnessFile, lane: str) -> None:
        self._file = file
        self._lane = lane

    @property
    def seen(self) -> Sighting:
        """The last that it was told."""
        return self._file.seen(self._lane)

    def note(self, sighting: Sighting) -> None:
        """Remember what has been committed."""
        if sighting != self.seen:
            self._file.note(self._lane, sighting)


def _sighting(seen: Any) -> Sighting:
    attempt, silent_until = seen
    return Sighting(int(attempt), datetime.fromisoformat(silent_until).astimezone(UTC) if silent_until else None)


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None
