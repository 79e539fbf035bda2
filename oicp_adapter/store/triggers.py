"""
Holds the triggers that leave a hint in the writer's own transaction: "look at this EVSE".

1. Hints are only ever appended: an upsert would make writers wait for each other and deadlock, a NOTIFY would make them
   queue at commit.
2. In PostgreSQL no failure in here fails the writer (a hint that is missing is found by the sweep), and no lock holds
   it; a cancelled query stays cancelled. One execution a statement, not a row: a bulk update costs one subtransaction.
3. In SQLite a trigger cannot catch that its table is missing: whoever drops `oicp_hint` must drop the triggers too.
4. `INSERT OR REPLACE` fires no delete trigger in SQLite, so the row about to be replaced is looked at before.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from oicp_adapter.store.expressions import KEY_SQL

_PG_STATUS: Final = """
CREATE OR REPLACE FUNCTION {schema}.oicp_hint_status() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET lock_timeout = '{patience}'
AS $hint$
BEGIN
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO {schema}.oicp_hint (evse_key, operator_key)
            SELECT DISTINCT {evse}, {operator} FROM fresh AS d;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO {schema}.oicp_hint (evse_key, operator_key)
            SELECT DISTINCT {evse}, {operator} FROM stale AS d;
        ELSE
            INSERT INTO {schema}.oicp_hint (evse_key, operator_key)
            SELECT DISTINCT {evse}, {operator} FROM (
                (SELECT evse_id, operator_id, status FROM fresh EXCEPT ALL
                 SELECT evse_id, operator_id, status FROM stale)
                UNION ALL
                (SELECT evse_id, operator_id, status FROM stale EXCEPT ALL
                 SELECT evse_id, operator_id, status FROM fresh)
            ) AS d;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END;
    RETURN NULL;
END
$hint$
"""
"""An update hints every (EVSE, operator) that is on one side only: another status, operator or spelling."""

_PG_WINDOW: Final = """
CREATE OR REPLACE FUNCTION {schema}.oicp_hint_window() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp SET lock_timeout = '{patience}'
SET enable_seqscan = off AS $hint$
BEGIN
    BEGIN
        IF current_setting('transaction_isolation') = 'serializable' THEN
            {for_nobody}
        ELSE
            {for_the_owner}
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END;
    RETURN NULL;
END
$hint$
"""
"""
Sequential scans are off in it: its plan may have been made, and kept, when `evse_status` was empty.

A serializable writer's hint is for nobody, and the lane that reads it sends it on: to look the operator up would make
the writer's transaction depend on everybody who writes `evse_status`, and fail for it at its commit.
"""

_PATIENCE: Final = "200ms"
"""How long a writer waits for a lock on the hints; then there is no hint, and the sweep finds the change."""

_PG_WINDOW_HINTS: Final = """
        IF TG_OP = 'INSERT' THEN
            INSERT INTO {schema}.oicp_hint (evse_key, operator_key)
            SELECT DISTINCT {evse}, {operator} FROM fresh AS d {owner};
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO {schema}.oicp_hint (evse_key, operator_key)
            SELECT DISTINCT {evse}, {operator} FROM stale AS d {owner};
        ELSE
            INSERT INTO {schema}.oicp_hint (evse_key, operator_key)
            SELECT DISTINCT {evse}, {operator} FROM (
                (SELECT evse_id, status, valid_from, valid_to, ended_at FROM fresh EXCEPT ALL
                 SELECT evse_id, status, valid_from, valid_to, ended_at FROM stale)
                UNION ALL
                (SELECT evse_id, status, valid_from, valid_to, ended_at FROM stale EXCEPT ALL
                 SELECT evse_id, status, valid_from, valid_to, ended_at FROM fresh)
            ) AS d {owner};
        END IF;
"""
_PG_TRIGGER: Final = """
CREATE TRIGGER {name} AFTER {event} ON {schema}.{table} REFERENCING {sides}
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}()
"""
_PG_SIDES: Final = {
    "INSERT": "NEW TABLE AS fresh",
    "UPDATE": "NEW TABLE AS fresh OLD TABLE AS stale",
    "DELETE": "OLD TABLE AS stale",
}

_SQLITE_STATUS: Final = (
    """CREATE TRIGGER oicp_hint_status_insert AFTER INSERT ON evse_status BEGIN
        INSERT INTO oicp_hint (evse_key, operator_key) VALUES ({new_evse}, {new_operator}); END""",
    """CREATE TRIGGER oicp_hint_status_delete AFTER DELETE ON evse_status BEGIN
        INSERT INTO oicp_hint (evse_key, operator_key) VALUES ({old_evse}, {old_operator}); END""",
    """CREATE TRIGGER oicp_hint_status_update AFTER UPDATE OF evse_id, operator_id, status ON evse_status
        WHEN OLD.evse_id IS NOT NEW.evse_id OR OLD.operator_id IS NOT NEW.operator_id OR OLD.status IS NOT NEW.status
        BEGIN INSERT INTO oicp_hint (evse_key, operator_key) VALUES ({new_evse}, {new_operator}); END""",
    """CREATE TRIGGER oicp_hint_status_move AFTER UPDATE OF evse_id, operator_id ON evse_status
        WHEN {old_evse} IS NOT {new_evse} OR {old_operator} IS NOT {new_operator}
        BEGIN INSERT INTO oicp_hint (evse_key, operator_key) VALUES ({old_evse}, {old_operator}); END""",
    """CREATE TRIGGER oicp_hint_status_replace BEFORE INSERT ON evse_status BEGIN
        INSERT INTO oicp_hint (evse_key, operator_key)
        SELECT {row_evse}, {row_operator} FROM evse_status AS s
        WHERE s.evse_id = NEW.evse_id AND {row_operator} IS NOT {new_operator}; END""",
    """CREATE TRIGGER oicp_hint_status_overrun BEFORE UPDATE OF evse_id ON evse_status
        WHEN OLD.evse_id IS NOT NEW.evse_id BEGIN
        INSERT INTO oicp_hint (evse_key, operator_key)
        SELECT {row_evse}, {row_operator} FROM evse_status AS s
        WHERE s.evse_id = NEW.evse_id AND {row_operator} IS NOT {new_operator}; END""",
)
_SQLITE_WINDOW: Final = (
    "CREATE TRIGGER oicp_hint_window_insert AFTER INSERT ON temporary_status BEGIN {new_hints} END",
    "CREATE TRIGGER oicp_hint_window_delete AFTER DELETE ON temporary_status BEGIN {old_hints} END",
    """CREATE TRIGGER oicp_hint_window_update
        AFTER UPDATE OF evse_id, status, valid_from, valid_to, ended_at ON temporary_status
        WHEN OLD.evse_id IS NOT NEW.evse_id OR OLD.status IS NOT NEW.status OR OLD.valid_from IS NOT NEW.valid_from
            OR OLD.valid_to IS NOT NEW.valid_to OR OLD.ended_at IS NOT NEW.ended_at BEGIN {new_hints} END""",
    """CREATE TRIGGER oicp_hint_window_move AFTER UPDATE OF evse_id ON temporary_status
        WHEN {old_evse} IS NOT {new_evse} BEGIN {old_hints} END""",
    """CREATE TRIGGER oicp_hint_window_replace BEFORE INSERT ON temporary_status
        WHEN EXISTS (SELECT 1 FROM temporary_status AS w WHERE w.id = NEW.id) BEGIN
        INSERT INTO oicp_hint (evse_key, operator_key)
        SELECT DISTINCT {window_evse}, {row_operator} FROM temporary_status AS w
        LEFT JOIN evse_status AS s ON {row_evse} = {window_evse} WHERE w.id = NEW.id; END""",
)
_SQLITE_HINTS: Final = """
INSERT INTO oicp_hint (evse_key, operator_key)
SELECT DISTINCT {evse}, {operator} FROM (SELECT 1) LEFT JOIN evse_status AS s ON {row} = {evse};
"""


def trigger_statements(dialect: str, schema: str) -> Iterator[str]:
    """
    Yield the statements that create the triggers on both shared tables.

    Args:
        schema: Of the tables, quoted where it must be; without meaning for SQLite.
    """
    return _postgresql(schema) if dialect == "postgresql" else _sqlite()


def trigger_names(dialect: str) -> Sequence[str]:
    """Return the names of all triggers."""
    if dialect == "postgresql":
        return [f"oicp_hint_{subject}_{event.lower()}" for subject in ("status", "window") for event in _PG_SIDES]
    return [statement.split()[2] for statement in (*_SQLITE_STATUS, *_SQLITE_WINDOW)]


def function_statements(schema: str) -> Iterator[str]:
    """Yield the statements that create, or replace, the functions of PostgreSQL's triggers."""
    key = KEY_SQL["postgresql"].format
    evse, operator = key("d.evse_id"), key("d.operator_id")
    hints = partial(_PG_WINDOW_HINTS.format, schema=schema, evse=evse)
    owner = f"LEFT JOIN {schema}.evse_status AS s ON {key('s.evse_id')} = {evse}"
    yield _PG_STATUS.format(schema=schema, patience=_PATIENCE, evse=evse, operator=operator)
    yield _PG_WINDOW.format(
        schema=schema,
        patience=_PATIENCE,
        for_nobody=hints(operator="NULL::text", owner=""),
        for_the_owner=hints(operator=key("s.operator_id"), owner=owner),
    )


def drop_statements(dialect: str) -> Iterator[str]:
    """Yield the statements that must go before `trigger_statements` where triggers of these names may be."""
    if dialect == "sqlite":
        yield from (f"DROP TRIGGER IF EXISTS {name}" for name in trigger_names(dialect))


def _postgresql(schema: str) -> Iterator[str]:
    yield from function_statements(schema)
    for table, subject in (("evse_status", "status"), ("temporary_status", "window")):
        function = f"oicp_hint_{subject}"
        for event, sides in _PG_SIDES.items():
            name = f"{function}_{event.lower()}"
            yield f"DROP TRIGGER IF EXISTS {name} ON {schema}.{table}"
            yield _PG_TRIGGER.format(name=name, event=event, schema=schema, table=table, sides=sides, function=function)
        yield f"REVOKE ALL ON FUNCTION {schema}.{function}() FROM PUBLIC"


def _sqlite() -> Iterator[str]:
    key = KEY_SQL["sqlite"].format
    row = key("s.evse_id")
    words = {
        "new_evse": key("NEW.evse_id"),
        "old_evse": key("OLD.evse_id"),
        "new_operator": key("NEW.operator_id"),
        "old_operator": key("OLD.operator_id"),
        "row_evse": row,
        "row_operator": key("s.operator_id"),
        "window_evse": key("w.evse_id"),
        "new_hints": _SQLITE_HINTS.format(evse=key("NEW.evse_id"), operator=key("s.operator_id"), row=row),
        "old_hints": _SQLITE_HINTS.format(evse=key("OLD.evse_id"), operator=key("s.operator_id"), row=row),
    }
    for statement in (*_SQLITE_STATUS, *_SQLITE_WINDOW):
        yield statement.format(**words)
