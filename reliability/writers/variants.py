"""
Makes stores as they are without the adapter: the shared tables with nothing of the adapter's on them.

Whatever is named `oicp_…` is the adapter's; taking it away from a migrated store leaves the tables with all of their
own constraints, so that what is compared differs in nothing else.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from reliability.writers.work import filling

_ADAPTERS_OWN = """
SELECT format('DROP FUNCTION %s CASCADE', oid::regprocedure) FROM pg_proc WHERE proname LIKE 'oicp\\_%'
UNION ALL
SELECT format('DROP TABLE %s CASCADE', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'oicp\\_%'
UNION ALL
SELECT format('DROP INDEX IF EXISTS %s', oid::regclass) FROM pg_class WHERE relkind = 'i' AND relname LIKE 'oicp\\_%'
"""


def strip_postgresql(url: str) -> None:
    """Take everything that is the adapter's out of a migrated database."""
    with closing(psycopg.connect(url)) as driver:
        for (statement,) in driver.execute(_ADAPTERS_OWN.encode()).fetchall():
            driver.execute(statement.encode())
        driver.commit()


def strip_sqlite(file: Path) -> None:
    """Take everything that is the adapter's out of a migrated file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as driver:
        found = driver.execute(
            "SELECT type, name FROM sqlite_master WHERE name LIKE 'oicp\\_%' ESCAPE '\\' ORDER BY type DESC"
        ).fetchall()
        for kind, name in found:  # triggers first, then the tables with their indexes, then what indexes are left
            driver.execute(f"DROP {kind} IF EXISTS {name}")


def fill(url: str, fleet: int) -> None:
    """Write a fleet, as one writer in one transaction."""
    execute: Callable[..., Any]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)) as driver:
            execute = driver.execute
            for step in filling(fleet):
                execute(step.sql, step.values)
            driver.commit()
        return
    with closing(psycopg.connect(url)) as connection:
        for step in filling(fleet):
            connection.execute(step.sql.replace("?", "%s").encode(), step.values)
        connection.execute("SELECT setval(pg_get_serial_sequence('temporary_status', 'id'), 1000000)")
        connection.commit()
