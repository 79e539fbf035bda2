"""
Gives the worker of a lane its store: one connection, looks that cost next to nothing, and transactions.

A connection that failed once is dropped; the next call makes a new one.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection

from oicp_adapter.domain.errors import StoreError, StoreFault, StoreUnavailableError
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store import hints, position
from oicp_adapter.store.courtesy import Courtesy
from oicp_adapter.store.engine import Store
from oicp_adapter.store.failures import WAIT
from oicp_adapter.store.identity import find_identity
from oicp_adapter.store.lane_transaction import LaneTransaction
from oicp_adapter.store.overview import lane_unmapped_words
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.sweep import PAGE, PAGE_OF_RELATIONS, SweepPage, sweep_lane
from oicp_adapter.store.transactions import raw, read_one, transaction
from oicp_adapter.store.types import read_instant
from oicp_adapter.sync.identity import StoreIdentity
from oicp_adapter.sync.model import Position

_LOOK_SQLITE: Final = "SELECT {hinted}, (SELECT min(due_at) FROM oicp_ledger WHERE lane = ?)"
_HINTED_SQLITE: Final = (
    "EXISTS (SELECT 1 FROM oicp_hint WHERE operator_key IN ({marks}))"
    " OR EXISTS (SELECT 1 FROM oicp_hint WHERE operator_key IS NULL)"
)
_LOOK_POSTGRESQL: Final = (
    "SELECT {hinted}, (SELECT min(due_at) FROM oicp_ledger WHERE lane = %(lane)s), clock_timestamp(),"
    " EXISTS (SELECT 1 FROM oicp_lane WHERE lane = %(lane)s AND (holder IS NULL OR expires_at <= clock_timestamp()))"
)
_HINTED_POSTGRESQL: Final = (
    "EXISTS (SELECT 1 FROM oicp_hint WHERE operator_key = ANY (%(keys)s))"
    " OR EXISTS (SELECT 1 FROM oicp_hint WHERE operator_key IS NULL)"
)


@dataclass(frozen=True, slots=True)
class Look:
    """
    What a cheap look saw.

    Attributes:
        hinted: There is a hint for the lane, or one for nobody.
        due_at: The next instant at which an EVSE must be looked at; None: there is none.
        now: By the database's clock.
        free: Nobody leads the lane; False for SQLite, where nobody else could.
    """

    hinted: bool
    due_at: datetime | None
    now: datetime
    free: bool = False


class LaneStore:
    """
    The store as one lane sees it, over one connection of its own; for one thread at a time.

    Attributes:
        recognised: Whether the store behind the connection was compared with the one that the lane knows; a new
            connection never was.
        hintless: Why the hints cannot be used, so that only the sweep finds changes; None: they can.
    """

    def __init__(self, store: Store, scope: LaneScope, mapping: StatusMapping, *, hub_url: str | None = None) -> None:
        """
        Connect with the first call.

        Args:
            hub_url: Of the hub that the ledger speaks of; None: any store is taken for the lane's own.
        """
        self.store = store
        self.scope = scope
        self.mapping = mapping
        self.recognised = hub_url is None
        self.hintless: str | None = None
        self._courtesy = Courtesy()
        self._hub_url = hub_url
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version: int | None = None
        self._due_at: datetime | None = None

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        connection, self._connection = self._connection, None
        self._version = None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[LaneTransaction]:
        """
        Open a transaction that holds the lane's lock; it commits unless the block raises.

        Raises:
            StoreUnavailableError: Nothing was written, or nobody knows: read again, never assume.
            StoreSchemaError: The tables are not as they should be.
        """
        with self.writing_after(position.opening(self.scope.lane)) as (connection, opening):
            books = LaneTransaction(
                connection,
                self.store,
                self.scope,
                self.mapping,
                opening=opening,
                hintless=self.hintless is not None,
            )
            yield books
            books.finish()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction on the lane's connection that writes without holding the lane's lock."""
        with self.writing_after() as (connection, _):
            yield connection

    @contextmanager
    def writing_after(self, opening: Sequence[str] = ()) -> Iterator[tuple[Connection, Sequence[Sequence[Any]]]]:
        """Do the same, and hand out what *opening* gave besides; see `transactions.transaction`."""
        courtesy = self._courtesy.writing() if self.store.dialect == "sqlite" else nullcontext()
        try:
            with (
                self._guarded() as connection,
                courtesy,
                transaction(connection, writes=True, by_key=True, opening=opening) as rows,
            ):
                yield connection, rows
        finally:
            self._version = None  # SQLite's data_version says nothing about one's own commits

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction on the lane's connection that only reads, and blocks no writer."""
        with self._guarded() as connection, transaction(connection, writes=False, by_key=True):
            yield connection

    def position(self) -> tuple[Position, datetime]:
        """Return where the lane stands, and the time by the database's clock; locks nothing."""
        with self.reading() as connection:
            return position.read_position(connection, self.scope.lane), self.store.now(connection)

    def unrecognised(self) -> StoreIdentity | None:
        """
        Return what the store is; None when it was compared already, or need not be.

        Raises:
            StoreError: The store could not be read.
        """
        if self.recognised or self._hub_url is None:
            return None
        with self._guarded() as connection:
            return find_identity(connection, self.store, hub_url=self._hub_url)

    def unmapped_words(self) -> Mapping[str, int]:
        """Return the words of the lane's chargers that the table does not know, with their number."""
        with self.reading() as connection:
            return lane_unmapped_words(connection, self.scope.operator_keys)

    def analyse_ledger(self) -> None:
        """Let PostgreSQL know now how large the ledger has become, or it plans for an empty one for some minutes."""
        if self.store.dialect == "postgresql":
            # Whoever may not, or must wait for another who does the same, has worse plans for a while.
            with suppress(StoreError), self.reading() as connection:
                raw(connection).execute("ANALYZE oicp_ledger")

    def sweep(self, *, asserted_before: datetime | None = None, page: int | None = None) -> Iterator[SweepPage]:
        """
        Compare the whole lane with its ledger, a page each step; see `sweep.sweep_lane`.

        Args:
            asserted_before: What was asserted before this instant, or never, becomes due too; None: nothing does.
            page: Rows compared in one step; None: as many as the relations that are read allow.

        Raises:
            StoreError: A page failed; what earlier pages found stands. Start a new sweep.
        """
        usual = PAGE_OF_RELATIONS if self.store.relations.named() else PAGE
        return sweep_lane(self, asserted_before=asserted_before, page=page or usual)

    def look(self) -> Look:
        """
        Tell whether anything is to be done; asks SQLite for data only when somebody committed or something is due.

        Raises:
            StoreError: The store could not be read.
        """
        with self._guarded() as connection:
            return (
                self._look_sqlite(connection) if self.store.dialect == "sqlite" else self._look_postgresql(connection)
            )

    def _look_sqlite(self, connection: Connection) -> Look:
        now = self.store.now()
        driver = raw(connection)
        if self._file != self._file_now():
            raise StoreUnavailableError("the store's file was replaced by another", cure=WAIT, fault=StoreFault.FILE)
        (version,) = driver.execute("PRAGMA data_version").fetchone()
        if version == self._version and (self._due_at is None or self._due_at > now):
            return Look(hinted=False, due_at=self._due_at, now=now)
        keys = sorted(self.scope.operator_keys)
        if self.hintless is not None:
            keys = []
        found = _HINTED_SQLITE.format(marks=", ".join("?" * len(keys))) if keys else "0"
        hinted, due = driver.execute(_LOOK_SQLITE.format(hinted=found), (*keys, self.scope.lane)).fetchone()
        due_at = read_instant(due)
        self._version, self._due_at = (None if hinted else version), due_at
        return Look(bool(hinted), due_at, now)

    def _look_postgresql(self, connection: Connection) -> Look:
        values = {"keys": list(self.scope.operator_keys), "lane": self.scope.lane}
        found = _HINTED_POSTGRESQL if self.hintless is None else "false"
        hinted, due_at, now, free = read_one(connection, _LOOK_POSTGRESQL.format(hinted=found), values)
        return Look(hinted, due_at.astimezone(UTC) if due_at else None, now.astimezone(UTC), free)

    @contextmanager
    def _guarded(self) -> Iterator[Connection]:
        """Hand out the lane's connection, map what it raises, and drop it when it failed."""
        try:
            with self.store.errors():
                connection = self._connection or self._connect()
                yield connection
        except StoreError:
            self.close()
            raise

    def _connect(self) -> Connection:
        self._connection = self.store.own_connection()
        self._file = self._file_now()
        self._version = None
        self.recognised = self._hub_url is None
        self.hintless = hints.unusable(raw(self._connection))
        return self._connection

    def _file_now(self) -> tuple[int, int] | None:
        """Return what tells SQLite's file from another of the same name."""
        if self.store.path is None:
            return None
        try:
            state = os.stat(self.store.path)  # noqa: PTH116 - asked at every look, and a Path costs more than the call
        except OSError:  # it is gone, or the way to it; whoever opens it anew says which
            return None
        return state.st_dev, state.st_ino
