"""
Runs transactions: what is said at their begin and at their end, and in how many messages.

1. Every transaction starts with our own BEGIN: in SQLite IMMEDIATE when it will write, since a deferred one that turns
   into a writer fails at once whatever the busy timeout; in PostgreSQL with its time-outs set for it alone, so that a
   pooler in transaction mode leaks nothing to others.
2. A transaction in which a statement failed is never called committed; PostgreSQL answers its COMMIT without an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import ClauseElement, Compiled, Connection, Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.store.failures import WAIT

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

Statement = tuple[Executable, Mapping[str, Any]]
"""A statement, one that is kept for reuse, with its values."""

DriverStatement = tuple[str, Mapping[str, Any]]
"""The same as the store's driver takes it."""


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

    Where the session is nobody else's, `session_settings` has set what a transaction sets elsewhere.
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


def begin_sqlite(connection: Connection) -> None:
    """Say BEGIN; called by SQLAlchemy where a transaction begins."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def begin_postgresql(connection: Connection) -> None:
    """Say BEGIN, set what holds for this transaction, and run what `transaction` was told to open with."""
    options = connection.get_execution_options()
    kind = _POSTGRESQL_WRITES if options.get(_WRITES, False) else _POSTGRESQL_READS
    plans = f"; {_planner(by_key=True)}" if options.get(_BY_KEY, False) else ""
    begin, opening = f"{_POSTGRESQL_BEGIN}{kind}{plans}", options.get(_OPENING, ())
    if not opening:
        connection.exec_driver_sql(begin)  # SQLAlchemy must see it fail: a connection that is lost leaves its pool then
        return
    answers = raw(connection).execute("; ".join([begin, *opening]))
    connection.info[_OPENING] = [each.fetchone() or () for each in answers.results() if each.pgresult.nfields]


def session_settings() -> str:
    """Return what sets for a session of PostgreSQL all that a transaction which reads by key sets for itself."""
    return f"{_POSTGRESQL_SETTINGS}{_POSTGRESQL_READS}; {_planner(by_key=True)}".replace("SET LOCAL", "SET")


def _planner(*, by_key: bool) -> str:
    return "; ".join(f"SET LOCAL {name} = {'off' if by_key else 'on'}" for name in _PLANNED_BY_KEY)
