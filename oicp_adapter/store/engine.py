"""
Opens the shared store: connections, transactions and the clock that decides.

1. Every transaction starts with our own BEGIN: in SQLite IMMEDIATE when it will write, since a deferred one that turns
   into a writer fails at once whatever the busy timeout; in PostgreSQL with its time-outs set for it alone, so that a
   pooler in transaction mode leaks nothing to others.
2. Nothing is set for a session in PostgreSQL, and nothing relies on one: no advisory locks, no temporary tables. Only a
   lane's own connection that leads to the server itself, with no pooler between, has settings and prepared statements.
3. A lane's connection is its own, outside of every pool: a page that is opened a hundred times cannot starve a push.
4. SQLite's adapter connections are `synchronous=FULL`: an intent whose commit returned survives a power loss.
5. No connection creates SQLite's file; `migrate.upgrade` does, see `sqlite_file`.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    URL,
    ClauseElement,
    Compiled,
    Connection,
    Engine,
    Executable,
    NullPool,
    create_engine,
    event,
    exc,
    make_url,
    text,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from oicp_adapter.domain.errors import ConfigurationError, StoreUnavailableError, foreign_text
from oicp_adapter.domain.identifiers import operator_of
from oicp_adapter.store.expressions import OPERATOR_FUNCTION
from oicp_adapter.store.failures import WAIT, mapped_errors
from oicp_adapter.store.relations import Relations, name_relations
from oicp_adapter.store.sqlite_file import connect
from oicp_adapter.store.types import read_text

STATEMENT_TIMEOUT: Final = 30_000
"""Milliseconds after which PostgreSQL gives a statement up; a sweep's page takes a hundredth of it."""

WHOLE_TABLE_TIMEOUT: Final = 3 * STATEMENT_TIMEOUT
"""The same for the few statements over a whole fleet, which grow with it; less than a process may stand still."""

WHOLE_TABLE_MEMORY: Final = "64MB"
"""What a sort or a hash of such a statement may take in the server before it uses the disk."""

LOCK_TIMEOUT: Final = 10_000
"""Milliseconds after which PostgreSQL gives up waiting for a lock on rows of our own."""

SHARED_LOCK_TIMEOUT: Final = 500
"""
The same while a shared table is read: less than a server's `deadlock_timeout`, which is a second unless somebody
changed it, so that in a circle of a writer who locks whole tables and the adapter it is the adapter that gives up.
"""

IDLE_TIMEOUT: Final = 5_000
"""Milliseconds after which PostgreSQL ends a writing transaction whose process stands still, with the lane's lock."""

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
_WRITES: Final = "oicp_writes"
_BY_KEY: Final = "oicp_by_key"
_OPENING: Final = "oicp_opening"
_PLANNED_BY_KEY: Final = (
    "enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin",
)  # fmt: skip
_POSTGRESQL_SETTINGS: Final = (
    f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT}; SET LOCAL TIME ZONE 'UTC'; SET LOCAL jit = off"
)
_POSTGRESQL_BEGIN: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED; {_POSTGRESQL_SETTINGS}"
_POSTGRESQL_READS: Final = f"; SET LOCAL lock_timeout = {SHARED_LOCK_TIMEOUT}"
_POSTGRESQL_WRITES: Final = (
    f"; SET LOCAL lock_timeout = {LOCK_TIMEOUT}; SET LOCAL idle_in_transaction_session_timeout = {IDLE_TIMEOUT}"
)

Dialect = Literal["sqlite", "postgresql"]
Clock = Callable[[], datetime]
Statement = tuple[Executable, Mapping[str, Any]]
"""A statement, one that is kept for reuse, with its values."""

DriverStatement = tuple[str, Mapping[str, Any]]
"""The same as the store's driver takes it."""


def system_clock() -> datetime:
    """Return the host's time, aware, UTC."""
    return datetime.now(UTC)


class Store:
    """
    The shared store; safe for use by several threads, connections are not.

    Attributes:
        dialect: Which of the two stores it is.
        address: Its URL without the password.
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


@contextmanager
def transaction(
    connection: Connection, *, writes: bool, by_key: bool = False, opening: Sequence[str] = ()
) -> Iterator[Sequence[Sequence[Any]]]:
    """
    Run a block in one transaction; refuse to call a transaction committed that an error has already ended.

    Args:
        opening: Statements that PostgreSQL gets in the same message as BEGIN, of which each gives one row at most;
            they hold no words of others. SQLite does not run them.
        by_key: Its statements find some rows by their keys. PostgreSQL must then not read whole tables, which it does
            where it knows nothing of an expression's values: on a table that was filled and not yet analysed.

    Yields:
        The row that each of *opening* gave; empty: it gave none.
    """
    connection.execution_options(**{_WRITES: writes, _BY_KEY: by_key, _OPENING: opening})
    with connection.begin():
        yield connection.info.pop(_OPENING, ())
        _refuse_aborted(connection)


@contextmanager
def whole_table(connection: Connection) -> Iterator[None]:
    """
    Run statements of a transaction by key that join whole tables, which PostgreSQL must not plan row by row.

    Freshly filled tables have no statistics; it then takes them for empty and compares each row with each.
    """
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        patient = f"SET LOCAL statement_timeout = {WHOLE_TABLE_TIMEOUT}; SET LOCAL work_mem = '{WHOLE_TABLE_MEMORY}'"
        connection.exec_driver_sql(f"{_planner(by_key=False)}; SET LOCAL enable_nestloop = off; {patient}")
    yield
    if postgresql:
        usual = f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT}; SET LOCAL work_mem = DEFAULT"
        connection.exec_driver_sql(f"{_planner(by_key=True)}; SET LOCAL enable_nestloop = on; {usual}")


def commit_with(connection: Connection, statements: Sequence[Statement | DriverStatement]) -> None:
    """
    Run statements whose results nobody wants as the last of a transaction, and commit in PostgreSQL.

    PostgreSQL gets them and the COMMIT in one message, for to wait for each answer costs more than what they do.
    SQLite's transaction is committed where its block ends.

    Raises:
        StoreUnavailableError: A statement of before failed, so that nothing can be committed.
    """
    _refuse_aborted(connection)
    if connection.dialect.name == "sqlite":
        for statement, values in statements:
            if isinstance(statement, str):
                raw(connection).execute(statement, values)
            else:
                connection.execute(statement, values)
        return
    driver = raw(connection)
    cursor = psycopg.ClientCursor(driver)  # puts the values into the text, since a message of several has no parameters
    driver.execute("; ".join([*(cursor.mogrify(*_as_text(*each)) for each in statements), "COMMIT"]))


def read_one(connection: Connection, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
    """
    Read one row in PostgreSQL, outside of any transaction; the statement finds its rows by key.

    Where the session is nobody else's, `_settle_session` has set what a transaction sets elsewhere.
    """
    driver = raw(connection)
    if driver.prepare_threshold is not None:
        row = driver.execute(statement, values).fetchone()
    else:
        asked = psycopg.ClientCursor(driver).mogrify(statement, values)
        answers = driver.execute(f"{_POSTGRESQL_BEGIN}{_POSTGRESQL_READS}; {_planner(by_key=True)}; {asked}; COMMIT")
        (row,) = [each.fetchone() for each in answers.results() if each.pgresult.nfields]
    return cast("Sequence[Any]", row)


def _as_text(statement: Executable | str, values: Mapping[str, Any]) -> DriverStatement:
    if isinstance(statement, str):
        return statement, values
    compiled = _compiled(statement)
    return compiled.string, compiled.construct_params(values) or {}


@lru_cache(maxsize=64)
def _compiled(statement: Executable) -> Compiled:
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it
    return cast("ClauseElement", statement).compile(dialect=dialect)


def raw(connection: Connection) -> Any:
    """Return the driver's connection, for what must cost next to nothing."""
    return connection.connection.dbapi_connection


def _refuse_aborted(connection: Connection) -> None:
    driver = raw(connection)
    if isinstance(driver, psycopg.Connection) and driver.info.transaction_status == TransactionStatus.INERROR:
        raise StoreUnavailableError("a statement failed, so the transaction cannot be committed", cure=WAIT)


def _engine(url: URL, dialect: Dialect, *, pooled: bool, keeps_plans: bool = False) -> Engine:
    if dialect == "sqlite":
        path = Path(str(url.database)).absolute()
        engine = create_engine(url, poolclass=NullPool, creator=partial(connect, path), hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
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
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    driver = cast("sqlite3.Connection", connection)
    driver.text_factory = read_text
    driver.create_function(OPERATOR_FUNCTION, 1, _operator_of, deterministic=True)
    driver.execute("PRAGMA synchronous = FULL").close()
    driver.execute("PRAGMA foreign_keys = OFF").close()


def _operator_of(evse_id: object) -> str | None:
    return operator_of(evse_id.decode(errors="replace")) if isinstance(evse_id, bytes) else None


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    driver = cast("psycopg.Connection[Any]", connection)
    driver.autocommit = True  # BEGIN is ours, see the module's first rule
    row = driver.execute("SELECT pg_is_in_recovery()").fetchone()
    if row is not None and row[0]:
        driver.close()
        raise StoreUnavailableError(
            "the store is a standby, which lags behind and takes no writes", cure="let store.url lead to the primary"
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
        settings = f"{_POSTGRESQL_SETTINGS}{_POSTGRESQL_READS}; {_planner(by_key=True)}"
        driver.execute(settings.replace("SET LOCAL", "SET"))


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    kind = _POSTGRESQL_WRITES if options.get(_WRITES, False) else _POSTGRESQL_READS
    plans = f"; {_planner(by_key=True)}" if options.get(_BY_KEY, False) else ""
    begin, opening = f"{_POSTGRESQL_BEGIN}{kind}{plans}", options.get(_OPENING, ())
    if not opening:
        connection.exec_driver_sql(begin)  # SQLAlchemy must see it fail: a connection that is lost leaves its pool then
        return
    answers = raw(connection).execute("; ".join([begin, *opening]))
    connection.info[_OPENING] = [each.fetchone() or () for each in answers.results() if each.pgresult.nfields]


def _planner(*, by_key: bool) -> str:
    return "; ".join(f"SET LOCAL {name} = {'off' if by_key else 'on'}" for name in _PLANNED_BY_KEY)


def _server_time(connection: Connection) -> datetime:
    instant: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return instant.astimezone(UTC)


def _file(url: URL) -> str | None:
    return url.database if url.database and url.database != ":memory:" else None
