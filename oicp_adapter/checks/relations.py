"""
Looks at the tables or views that the settings name instead of the shared tables: can they be used, and how fast?

1. What keeps one from being used is an error; what makes it slow, or a row of it unreadable, is a warning.
2. Whether an index serves is asked of the database's own planner, so that it does not matter whether it stands on the
   relation or on what is below a view.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import KEY_SQL
from oicp_adapter.store.relations import SETTINGS, relation_problems, shown_relation, source_of
from oicp_adapter.store.schema import evse_status, temporary_status
from oicp_adapter.store.types import UtcTimestamp

SUBJECT: Final = "store"

LARGE: Final[Mapping[Table, int]] = {evse_status: 2000, temporary_status: 100}
"""Rows from which an index matters: all of a page's statuses are looked up at once, temporary ones for each of them."""

_GUIDE: Final = "docs/own-store.md has the index"

# What `changed_at` and its like must look like in SQLite, where a timestamp is text and its order that of time.
_SQLITE_ODD: Final = (
    "({0} IS NOT NULL AND (typeof({0}) <> 'text'"
    " OR {0} NOT GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]*'"
    " OR (length({0}) > 19 AND (substr({0}, 20, 1) <> '.' OR substr({0}, 21) GLOB '*[^0-9]*'))))"
)


def relation_errors(store: Store) -> Iterator[Finding]:
    """
    Yield an error for everything that keeps a named relation from being used.

    Raises:
        StoreError: The store cannot be read.
    """
    with store.reading() as connection:
        problems = list(relation_problems(connection))
    yield from (Finding.from_error(Check.RELATIONS, SUBJECT, problem) for problem in problems)


def relation_findings(store: Store) -> Iterator[Finding]:
    """
    Say what is read instead of the shared tables, and what makes it slow or its rows unreadable.

    Raises:
        StoreError: The store cannot be read.
    """
    for table, relation in store.relations.named().items():
        shown = shown_relation(relation)
        with store.reading(by_key=True) as connection:
            is_large = _is_large(connection, table)
            indexed = _is_indexed(connection, table)
            odd = _odd_instants(connection, table) if store.dialect == "sqlite" else 0
        yield Finding(Check.RELATIONS, Level.OK, SUBJECT, f"{shown} is read instead of {table.name}")
        if is_large and not indexed:
            yield Finding(
                Check.INDEXES,
                Level.WARNING,
                SUBJECT,
                f"no index finds an EVSE in {shown} ({SETTINGS[table]}), so each look reads all of its rows",
                f"make one on the key of evse_id: {_GUIDE}",
            )
        if odd:
            yield Finding(
                Check.TIMESTAMPS,
                Level.WARNING,
                SUBJECT,
                f"{odd} rows of {shown} ({SETTINGS[table]}) have a timestamp unlike 2026-03-29 01:00:00, UTC",
                "let the view write them so, or statuses and windows are taken for older or newer than they are",
            )


def _is_large(connection: Connection, table: Table) -> bool:
    few = f"SELECT 1 FROM {source_of(connection, table)} AS r LIMIT {LARGE[table]}"  # noqa: S608 - our own words, quoted names
    return bool(connection.exec_driver_sql(f"SELECT count(*) FROM ({few}) AS few").scalar_one() >= LARGE[table])  # noqa: S608 - as above


def _is_indexed(connection: Connection, table: Table) -> bool:
    """Tell whether the planner finds an EVSE by its key without reading every row."""
    key = KEY_SQL[connection.dialect.name].format("r.evse_id")
    statement = f"SELECT 1 FROM {source_of(connection, table)} AS r WHERE {key} = 'X'"  # noqa: S608 - as above
    if connection.dialect.name == "sqlite":
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        return any("<expr>=?" in row.detail for row in plan)
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}").scalar_one()
    nodes = json.loads(plan) if isinstance(plan, str) else plan
    return any("translate" in node.get("Index Cond", "") for node in _nodes(nodes[0]["Plan"]))


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _odd_instants(connection: Connection, table: Table) -> int:
    odd = " OR ".join(_SQLITE_ODD.format(each.name) for each in table.c if isinstance(each.type, UtcTimestamp))
    statement = f"SELECT count(*) FROM {source_of(connection, table)} AS r WHERE {odd}"  # noqa: S608 - as above
    return int(connection.exec_driver_sql(statement).scalar_one())
