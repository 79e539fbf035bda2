"""
Creates and migrates the store's tables, and tells which version they have.

1. A migration runs in one transaction in both stores: it is done, or nothing of it is.
2. Two processes may run it at once; the second finds nothing left to do.
3. It is the only one who creates SQLite's file.
"""

import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, exc, select, text
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from oicp_adapter.domain.errors import StoreSchemaError, StoreUnavailableError
from oicp_adapter.store.engine import Store
from oicp_adapter.store.failures import UPGRADE, WAIT
from oicp_adapter.store.migrations.hints import hints_are_whole, restore_hints
from oicp_adapter.store.relations import relation_problems
from oicp_adapter.store.schema import VERSION_TABLE, hint, metadata, schema_support
from oicp_adapter.store.sqlite_file import create
from oicp_adapter.store.transactions import LOCK_TIMEOUT, raw

_MIGRATION_LOCK: Final = 7_152_043_001
"""Key of the advisory lock, held for the transaction only, that lets one migration run at a time."""

_LONGEST_TRANSACTION: Final = 60.0
"""Seconds for which a migration looks for an instant at which nobody uses the tables."""

_OTHERS_WAIT: Final = 200
"""Milliseconds for which others may be held up each time; less than a server's `deadlock_timeout`."""

_SHARED_TABLES: Final = ("evse_status", "temporary_status")
_OWN_TABLES: Final = tuple(name for name in schema_support.metadata.tables if name.startswith("oicp_"))
_PRESENT: Final = (
    "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
    " AND oid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name) ORDER BY 1"
)

_FOUND_POSTGRESQL: Final = "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NOT NULL"
_FOUND_SQLITE: Final = "SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')"

_PUT_BACK: Final = (
    "give it its name back, or restore it from a backup: `oicp-adapter db upgrade` makes no table of a version that the"
    " store has already; to begin anew, let store.url name an empty database"
)

_WAL_ATTEMPTS: Final = 100
_WAL_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class SchemaState:
    """
    Which version the store's tables have.

    Attributes:
        current: The revision of the store; None: never migrated.
        wanted: The revision that this program needs.
        oldest: Of a store of a later version, the revision that the oldest program wants which can still work with it;
            None: the store is of no later version.
    """

    current: str | None
    wanted: str
    oldest: str | None = None

    @property
    def is_current(self) -> bool:
        """Whether this program can work with the store as it is."""
        return self.current == self.wanted or (self.oldest is not None and self.oldest <= self.wanted)


def upgrade(store: Store) -> SchemaState:
    """
    Create or migrate the tables in the connection's default schema; does nothing where nothing is to be done.

    At the present version it makes the hints and their triggers anew where somebody dropped or broke them.

    SQLite's file is created in a folder that exists.

    Raises:
        StoreSchemaError: The store is of a later version, or lacks a table of the version that it has, or this user may
            not create tables or the file.
        StoreUnavailableError: The store could not be reached, or another migration runs too long.
    """
    if store.path is not None:
        with store.errors():
            create(Path(store.path).absolute())
        _switch_to_wal(store)
    retrying = Retrying(
        retry=retry_if_exception_type(_TableInUseError),
        wait=wait_random(0.1, 1),
        stop=stop_after_delay(_LONGEST_TRANSACTION),
        reraise=True,
    )
    return retrying(_upgrade, store)


class _TableInUseError(StoreUnavailableError):
    """Somebody's transaction holds a table, and everybody who needs it next would wait behind us."""

    def __init__(self) -> None:
        super().__init__(
            "for a minute some transaction was open on a table that is to be changed",
            cure="end what stays open (pg_stat_activity names it), then run `oicp-adapter db upgrade` again",
        )


def _upgrade(store: Store) -> SchemaState:
    with store.writing() as connection:
        if store.dialect == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text(f"SET LOCAL lock_timeout = {6 * LOCK_TIMEOUT}"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        state = _state(connection)
        _require_tables(store, connection, state, restored=(hint.name,))
        if state.is_current and (state.oldest is not None or hints_are_whole(connection)):
            return state
        if store.dialect == "postgresql":
            _lock_tables(connection, _SHARED_TABLES, "SHARE ROW EXCLUSIVE")
            _lock_tables(connection, _OWN_TABLES, "ACCESS EXCLUSIVE")
        if state.is_current:
            with Operations.context(MigrationContext.configure(connection)):
                restore_hints()
            return state
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreSchemaError(
                f"the store has a version that this program does not know: {error}", cure="install the newer program"
            ) from error
        return _state(connection)


def require_current(store: Store) -> SchemaState:
    """
    Return which version the tables have, if this program can work with them; changes nothing.

    Raises:
        StoreSchemaError: It cannot: there are none, one is missing, or they are of another version; the cure says which
            program is old.
        StoreUnavailableError: The store could not be reached.
    """
    state = check(store)
    if state.is_current:
        return state
    if state.current is None:
        raise StoreSchemaError(f"the store {store.address} has no tables of the adapter", cure=UPGRADE)
    raise StoreSchemaError(
        f"the store {store.address} has version {state.current}, this program needs {state.wanted}",
        cure="install a newer program" if state.current > state.wanted else UPGRADE,
    )


def check(store: Store) -> SchemaState:
    """
    Tell which version the tables have; changes nothing.

    Raises:
        StoreError: The store could not be read, a relation of the settings cannot be used, or a table is missing of the
            version that the store has.
    """
    with store.reading() as connection:
        for problem in relation_problems(connection):
            raise problem
        state = _state(connection)
        _require_tables(store, connection, state)
        return state


def migrations() -> ScriptDirectory:
    """Return the migrations of this program; each says in its docstring what it does."""
    return ScriptDirectory.from_config(_config())


def _lock_tables(connection: Connection, names: Collection[str], mode: str) -> None:
    """
    Take the locks that a migration may need, or give up soon: to queue for them would hold up everybody else.

    All of them before anything is changed: a daemon at work that has one table and wants another would else meet us in
    a circle. A writer waits for the migration itself, a second for each million rows that get an index.
    """
    tables = connection.execute(text(_PRESENT), {"names": list(names)}).scalars().all()
    if not tables:
        return
    connection.execute(text(f"SET LOCAL lock_timeout = {_OTHERS_WAIT}"))
    try:
        connection.execute(text(f"LOCK TABLE {', '.join(tables)} IN {mode} MODE"))
    except exc.OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise _TableInUseError from error
        raise
    connection.execute(text(f"SET LOCAL lock_timeout = {6 * LOCK_TIMEOUT}"))


def _state(connection: Connection) -> SchemaState:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    known = [script.revision for script in migrations().walk_revisions()]
    if not known:
        raise StoreSchemaError("this program has lost its migrations", cure="install it anew")
    current = context.get_current_revision()
    if current is None or current in known:
        return SchemaState(current, known[0])
    return SchemaState(current, known[0], connection.execute(select(schema_support.c.oldest)).scalar())


def _require_tables(
    store: Store, connection: Connection, state: SchemaState, *, restored: Collection[str] = ()
) -> None:
    """
    Do nothing where each table of a version that this program can work with is there, or is a relation of the settings.

    Args:
        restored: Those that the caller makes anew.

    Raises:
        StoreSchemaError: Some are not.
    """
    if not state.is_current:
        return
    replaced = {table.name for table in store.relations.named()}
    wanted = [table.name for table in metadata.sorted_tables if table.name not in replaced]
    if store.dialect == "postgresql":
        rows = connection.execute(text(_FOUND_POSTGRESQL), {"names": wanted})
    else:
        rows = connection.execute(text(_FOUND_SQLITE))
    found = {*rows.scalars(), *restored}
    if missing := [name for name in wanted if name not in found]:
        raise StoreSchemaError(
            f"the store {store.address} has version {state.current}, but lacks {', '.join(missing)}",
            cure=UPGRADE if missing == [hint.name] else _PUT_BACK,
        )


def _config() -> Config:
    config = Config()
    location = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _switch_to_wal(store: Store) -> None:
    """Let readers and one writer work at the same time; the file remembers it."""
    connection = store.own_connection()
    try:
        with store.errors():
            for _ in range(_WAL_ATTEMPTS):
                if _is_wal(raw(connection)):
                    return
                time.sleep(_WAL_PAUSE)
    finally:
        connection.close()
    raise StoreUnavailableError("the store's file is locked, so its journal mode cannot be changed", cure=WAIT)


def _is_wal(driver: sqlite3.Connection) -> bool:
    try:
        (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    return str(mode).lower() in ("wal", "memory")
