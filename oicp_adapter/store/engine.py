"""
Opens the shared store: connections and the clock that decides; what runs on them is in `transactions`.

1. Nothing is set for a session in PostgreSQL, and nothing relies on one: no advisory locks, no temporary tables. Only a
   lane's own connection that leads to the server itself, with no pooler between, has settings and prepared statements.
2. A lane's connection is its own, outside of every pool: a page that is opened a hundred times cannot starve a push.
3. SQLite's adapter connections are `synchronous=FULL`: an intent whose commit returned survives a power loss.
4. No connection creates SQLite's file; `migrate.upgrade` does, see `sqlite_file`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import psycopg
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    exc,
    make_url,
    text,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from oicp_adapter.domain.errors import ConfigurationError, StoreFault, StoreUnavailableError, foreign_text
from oicp_adapter.domain.identifiers import operator_of
from oicp_adapter.store.expressions import OPERATOR_FUNCTION
from oicp_adapter.store.failures import mapped_errors
from oicp_adapter.store.relations import Relations, name_relations
from oicp_adapter.store.sqlite_file import connect
from oicp_adapter.store.transactions import begin_postgresql, begin_sqlite, session_settings, transaction
from oicp_adapter.store.types import read_text

PREPARED_AFTER: Final = 2
"""A lane's statement is prepared once it was run so often: to plan it anew takes the server longer than to run it."""

_POSTGRESQL_CONNECT: Final = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds: keep-alives do not cover data that is not acknowledged
    "prepare_threshold": None,
    "application_name": "oicp-adapter",
}

Dialect = Literal["sqlite", "postgresql"]
Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the host's time, aware, UTC."""
    return datetime.now(UTC)


class Store:
    """
    The shared store; safe for use by several threads, connections are not.

    Attributes:
        dialect: Which of the two stores it is.
        address: Its URL without the password.
        path: Of SQLite's file, as the URL has it; None: it is a server's.
        server: Host and port of the database server; a host that is empty or begins with `/` is this machine.
        relations: What is read instead of the shared tables.
    """

    def __init__(self, url: URL, *, clock: Clock, relations: Relations) -> None:
        """Connect to nothing yet; use `open_store`."""
        self.dialect: Dialect = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
        self.address = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
        self.path = _file(url) if self.dialect == "sqlite" else None
        self.server = str(url.host or url.query.get("host") or ""), url.port
        self._password = url.password
        self._name = f"the store {foreign_text(self.path)}" if self.path is not None else "the store"
        self._clock = clock
        self.relations = relations
        # A plan that is kept for named relations, which may have no index, would compare each key with each row.
        self._own = _engine(url, self.dialect, pooled=False, keeps_plans=not relations.named())
        self._pooled = self._own if self.dialect == "sqlite" else _engine(url, self.dialect, pooled=True)
        for engine in {self._own, self._pooled}:
            name_relations(engine, relations)

    def __repr__(self) -> str:
        return f"Store({self.address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of the pool; those of lanes are closed by their lanes."""
        self._pooled.dispose()
        self._own.dispose()

    def errors(self) -> Any:
        """Return the context manager that maps library exceptions; for statements outside of a transaction of ours."""
        return mapped_errors(secret=self._password, store=self._name)

    @contextmanager
    def reading(self, *, by_key: bool = False) -> Iterator[Connection]:
        """
        Open a transaction that only reads; it blocks no writer.

        Args:
            by_key: It reads a page of rows by their keys, see `transaction`.

        Raises:
            StoreError: The store could not be read.
        """
        with (
            self.errors(),
            self._pooled.connect() as connection,
            transaction(connection, writes=False, by_key=by_key),
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """
        Open a transaction that writes; it commits unless the block raises.

        Raises:
            StoreError: Nothing was written, or, when the answer to the commit was lost, nobody knows: read again.
        """
        with self.errors(), self._pooled.connect() as connection, transaction(connection, writes=True):
            yield connection

    def own_connection(self) -> Connection:
        """
        Return a connection outside of the pool; the caller closes it.

        Raises:
            StoreError: No connection could be made.
        """
        with self.errors():
            return self._own.connect()

    def now(self, connection: Connection | None = None) -> datetime:
        """Return the time that decides: the database server's, for SQLite the clock given to `open_store`."""
        if self.dialect == "sqlite":
            return self._clock()
        if connection is not None:
            return _server_time(connection)
        with self.reading() as own:
            return _server_time(own)


def open_store(
    url: str, *, password: str | None = None, clock: Clock | None = None, relations: Relations | None = None
) -> Store:
    """
    Open the shared store; connects with the first statement.

    Args:
        url: `sqlite:////absolute/path.db` or `postgresql://user@host/database`.
        password: Takes the place of the one in the URL.
        clock: What SQLite takes for the time; None: the host's. PostgreSQL's own clock decides otherwise.
        relations: What is read instead of the shared tables; None: nothing.

    Raises:
        ConfigurationError: The URL is none, or names another kind of database.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError):
        # The URL is not quoted: it may hold a password. Nor is the cause, for it quotes the URL.
        raise ConfigurationError(
            "store.url is no URL", cure="use sqlite:////path or postgresql://user@host/db"
        ) from None
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"store.url names a {backend} database", cure="use sqlite:// or postgresql://")
    parsed = parsed.set(drivername="sqlite+pysqlite" if backend == "sqlite" else "postgresql+psycopg")
    if password is not None:
        parsed = parsed.set(password=password)
    if backend == "sqlite" and _file(parsed) is None:
        raise ConfigurationError("store.url names no file", cure="use sqlite:////absolute/path.db")
    if backend == "sqlite" and parsed.query:
        raise ConfigurationError("store.url has options after its file's name", cure="leave out what begins with ?")
    return Store(parsed, clock=clock or system_clock, relations=relations or Relations())


def _engine(url: URL, dialect: Dialect, *, pooled: bool, keeps_plans: bool = False) -> Engine:
    if dialect == "sqlite":
        path = Path(str(url.database)).absolute()
        engine = create_engine(url, poolclass=NullPool, creator=partial(connect, path), hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", begin_sqlite)
        return engine
    if pooled:
        engine = create_engine(
            url, pool_size=2, max_overflow=6, pool_timeout=5, connect_args=_POSTGRESQL_CONNECT, hide_parameters=True
        )
    else:
        engine = create_engine(url, poolclass=NullPool, connect_args=_POSTGRESQL_CONNECT, hide_parameters=True)
    event.listen(engine, "connect", _prepare_postgresql)
    if keeps_plans:
        event.listen(engine, "connect", _settle_session)
    event.listen(engine, "begin", begin_postgresql)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    driver = cast("sqlite3.Connection", connection)
    driver.text_factory = read_text
    driver.create_function(OPERATOR_FUNCTION, 1, _operator_of, deterministic=True)
    driver.execute("PRAGMA synchronous = FULL").close()
    driver.execute("PRAGMA foreign_keys = OFF").close()


def _operator_of(evse_id: object) -> str | None:
    return operator_of(evse_id.decode(errors="replace")) if isinstance(evse_id, bytes) else None


def _prepare_postgresql(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    driver = cast("psycopg.Connection[Any]", connection)
    driver.autocommit = True  # BEGIN is ours, see `transactions`
    row = driver.execute("SELECT pg_is_in_recovery()").fetchone()
    if row is not None and row[0]:
        driver.close()
        raise StoreUnavailableError(
            "the store is a standby, which lags behind and takes no writes",
            cure="let store.url lead to the primary",
            fault=StoreFault.READ_ONLY,
        )


def _settle_session(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """
    Let statements be prepared, unless a pooler stands before the server: its next transaction may meet another.

    A prepared statement keeps its plan, so a table must not be read whole for having been small when it was made.
    """
    driver = cast("psycopg.Connection[Any]", connection)
    row = driver.execute("SELECT pg_backend_pid()").fetchone()
    if row is not None and row[0] == driver.info.backend_pid:  # a pooler gives its clients numbers of its own
        driver.prepare_threshold = PREPARED_AFTER
        driver.execute(session_settings())


def _server_time(connection: Connection) -> datetime:
    instant: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return instant.astimezone(UTC)


def _file(url: URL) -> str | None:
    return url.database if url.database and url.database != ":memory:" else None
