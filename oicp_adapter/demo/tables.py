"""
Writes and reads the shared tables with plain SQL, as the programs do that share the store with the adapter.

Nothing here knows the adapter's own tables, so that what is read here is a second opinion.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from oicp_adapter.demo.fleet import Happening, StatusChanged, WindowEnded, WindowSet
from oicp_adapter.demo.places import Charger
from oicp_adapter.domain.errors import StoreUnavailableError, foreign_text
from oicp_adapter.domain.identifiers import EvseId, OperatorId, evse_key
from oicp_adapter.domain.statuses import TemporaryStatus, normalise
from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.model import StatusRow

BUSY_TIMEOUT: Final = 10.0
"""Seconds that a write waits for another one."""

REMEMBERED: Final = timedelta(seconds=60)
"""A window that ended longer ago is no longer read."""

_WRITER: Final = "demo fleet"
_KINDS: Final[Mapping[str, TemporaryStatus]] = {normalise(kind): kind for kind in TemporaryStatus}


@dataclass(frozen=True, slots=True)
class Shared:
    """
    What the shared tables hold at one moment.

    Attributes:
        rows: All of `evse_status`.
        windows: Those that apply, will apply or ended not long ago, by canonical EvseID.
    """

    rows: Sequence[StatusRow]
    windows: Mapping[str, Sequence[Window]]


@dataclass(frozen=True, slots=True)
class WindowCount:
    """How many windows there are, and how many of them have started and ended."""

    set: int
    started: int
    ended: int


class SharedTables:
    """A connection of another program to the store."""

    def __init__(self, store: Path) -> None:
        with _mapped():
            self._connection = sqlite3.connect(store, timeout=BUSY_TIMEOUT, isolation_level=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def settle_in(self, chargers: Iterable[Charger]) -> None:
        """Write a new fleet, in one transaction."""
        with self._writing() as connection:
            for each in chargers:
                connection.execute(
                    "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)",
                    (each.evse_id, each.operator_id, each.status),
                )
                connection.execute(
                    "INSERT INTO evse_location (evse_id, location, charge_box, time_zone) VALUES (?, ?, ?, ?)",
                    (each.evse_id, each.location, each.charge_box, each.time_zone),
                )

    def write(self, happenings: Sequence[Happening], now: datetime) -> None:
        """Write what happened at *now* (aware, UTC), in one transaction; nothing when nothing happened."""
        if not happenings:
            return
        with self._writing() as connection:
            for each in happenings:
                _write(connection, each, _text(now))

    def read(self, now: datetime) -> Shared:
        """Read everything at one moment; *now* (aware, UTC) only tells which windows ended long ago."""
        with _mapped():
            self._connection.execute("BEGIN")
            try:
                statuses = self._connection.execute("SELECT evse_id, operator_id, status, changed_at FROM evse_status")
                rows = [
                    StatusRow(EvseId(str(evse)), OperatorId(str(operator)), str(status), _instant(changed_at))
                    for evse, operator, status, changed_at in statuses
                ]
                windows = self._windows(now - REMEMBERED)
            finally:
                self._connection.execute("COMMIT")
        return Shared(rows, windows)

    def count_windows(self, now: datetime) -> WindowCount:
        """Count the windows that were ever set, by where they stand at *now* (aware, UTC)."""
        with _mapped():
            counts = self._connection.execute(
                "SELECT count(*), coalesce(sum(valid_from <= :now), 0),"
                " coalesce(sum(coalesce(valid_to <= :now, 0) OR coalesce(ended_at <= :now, 0)), 0)"
                " FROM temporary_status",
                {"now": _text(now)},
            ).fetchone()
        return WindowCount(*counts)

    def _windows(self, horizon: datetime) -> Mapping[str, Sequence[Window]]:
        found: defaultdict[str, list[Window]] = defaultdict(list)
        selected = self._connection.execute(
            "SELECT id, evse_id, status, valid_from, valid_to, ended_at FROM temporary_status"
            " WHERE (valid_to IS NULL OR valid_to > :horizon) AND (ended_at IS NULL OR ended_at > :horizon)",
            {"horizon": _text(horizon)},
        )
        for number, evse_id, status, valid_from, valid_to, ended_at in selected:
            kind, start = _KINDS.get(normalise(str(status))), _instant(valid_from)
            if kind is not None and start is not None:
                found[evse_key(str(evse_id))].append(
                    Window(number, kind, start, _instant(valid_to), _instant(ended_at))
                )
        return found

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _mapped():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _write(connection: sqlite3.Connection, happening: Happening, now: str) -> None:
    match happening:
        case StatusChanged():
            connection.execute(
                "UPDATE evse_status SET status = ?, changed_at = ? WHERE evse_id = ?",
                (happening.status, now, happening.evse_id),
            )
        case WindowSet():
            valid_to = _text(happening.valid_to) if happening.valid_to is not None else None
            connection.execute(
                "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to, reason, reference, created_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    happening.evse_id, happening.kind, _text(happening.valid_from), valid_to, happening.reason,
                    happening.reference, _WRITER,
                ),
            )  # fmt: skip
        case WindowEnded():
            connection.execute(
                "UPDATE temporary_status SET ended_at = ?, ended_by = ?, updated_at = ? WHERE reference = ?",
                (now, _WRITER, now, happening.reference),
            )


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise StoreUnavailableError(
            f"the demo's fleet cannot use the store: {foreign_text(exc)}", cure="run `oicp-adapter demo` again"
        ) from exc


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _instant(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError:
        return None
