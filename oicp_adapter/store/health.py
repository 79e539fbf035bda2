"""
Looks at the store as a whole: its version, its journal, its rights and its triggers; judging is the caller's.

Source of the affected versions: sqlite.org, "The WAL reset bug".
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from oicp_adapter.store.engine import Store
from oicp_adapter.store.migrate import SchemaState, check
from oicp_adapter.store.schema import metadata
from oicp_adapter.store.triggers import trigger_names

_WAL_BUG_FROM: Final = (3, 7, 0)
_WAL_BUG_FIXED: Final = (3, 51, 3)
_WAL_BUG_BACKPORTS: Final = ((3, 44, 6), (3, 50, 7))
"""
The first version without the bug in each series that was mended; a series is its first two numbers.

Source: https://www.sqlite.org/wal.html#walresetbug
"""

_LACKS_RIGHTS: Final = """
SELECT t.name FROM unnest(:tables ::text[]) AS t(name)
WHERE to_regclass(t.name) IS NOT NULL
  AND NOT (has_table_privilege(t.name, 'SELECT') AND (t.name NOT LIKE 'oicp%' OR (has_table_privilege(t.name, 'INSERT')
    AND has_table_privilege(t.name, 'UPDATE') AND has_table_privilege(t.name, 'DELETE'))))
ORDER BY t.name
"""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """
    What the store is, and what state it is in.

    Attributes:
        version: Of SQLite's library, or of the PostgreSQL server.
        journal_mode: SQLite's, in lower case; None for PostgreSQL.
        wal_bug: This SQLite can damage the file when two processes write it in WAL mode.
        schema: Which version the tables have.
        no_rights: Tables on which this user lacks a right that the adapter needs.
        no_triggers: Triggers that are missing or disabled: changes are found by the sweep only.
    """

    version: str
    journal_mode: str | None
    wal_bug: bool
    schema: SchemaState
    no_rights: Sequence[str]
    no_triggers: Sequence[str]


def store_facts(store: Store) -> StoreFacts:
    """
    Look at the store; changes nothing.

    Raises:
        StoreUnavailableError: It could not be reached, or is a standby.
        StoreSchemaError: The login was refused.
    """
    schema = check(store)
    with store.reading() as connection:
        found = _triggers_at_work(connection)
        missing = [name for name in trigger_names(store.dialect) if name not in found]
        if store.dialect == "sqlite":
            mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()).lower()
            affected = mode == "wal" and has_wal_bug(sqlite3.sqlite_version_info)
            return StoreFacts(sqlite3.sqlite_version, mode, affected, schema, (), missing)
        lacking = connection.execute(text(_LACKS_RIGHTS), {"tables": sorted(metadata.tables)}).scalars().all()
        version = connection.execute(text("SHOW server_version")).scalar_one()
        return StoreFacts(version, None, wal_bug=False, schema=schema, no_rights=lacking, no_triggers=missing)


def has_wal_bug(version: tuple[int, ...]) -> bool:
    """Tell whether a version of SQLite can damage a file in WAL mode that two connections write and checkpoint."""
    if any(version[:2] == repaired[:2] and version >= repaired for repaired in _WAL_BUG_BACKPORTS):
        return False
    return _WAL_BUG_FROM <= version < _WAL_BUG_FIXED


def _triggers_at_work(connection: Connection) -> set[str]:
    if connection.dialect.name == "sqlite":
        statement = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        statement = (
            "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND NOT tgisinternal"
            " AND tgrelid IN (to_regclass('evse_status'), to_regclass('temporary_status'))"
        )
    return set(connection.execute(text(statement)).scalars())
