"""
Makes the table of hints and its triggers: the one part of the store that can be made anew at any time.

Nothing is lost with a hint, since the sweep finds every change: `db upgrade` restores what somebody dropped or broke.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

from oicp_adapter.store.migrations.columns import default_now, generated_id
from oicp_adapter.store.schema import hint
from oicp_adapter.store.triggers import drop_statements, trigger_names, trigger_statements
from oicp_adapter.store.types import KeyText, UtcTimestamp

_TRIGGERS: Final = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    " AND tgrelid IN (to_regclass('evse_status'), to_regclass('temporary_status'))",
}


def make_hint() -> None:
    """Make the table."""
    op.create_table(
        "oicp_hint",
        generated_id(),
        sa.Column("evse_key", KeyText(), nullable=False),
        sa.Column("operator_key", KeyText()),
        sa.Column("created_at", UtcTimestamp(), nullable=False, server_default=default_now(clock=True)),
        sqlite_autoincrement=True,
        # Rows come and go all day while the table stays small: a share of its size says nothing about its waste.
        postgresql_with={"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "1000"},
    )
    op.create_index("oicp_hint_operator", "oicp_hint", ["operator_key", "id"])


def make_triggers() -> None:
    """Make the triggers, and in PostgreSQL their functions, in place of any of the same names."""
    bind = op.get_bind()
    schema = "main"
    if bind.dialect.name == "postgresql":
        schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for statement in (*drop_statements(bind.dialect.name), *trigger_statements(bind.dialect.name, schema)):
        bind.exec_driver_sql(statement)


def hints_are_whole(connection: sa.Connection) -> bool:
    """Tell whether the table has its columns, and the shared tables, where they are tables, have their triggers."""
    return _has_columns(connection) and (not _are_tables(connection) or _has_triggers(connection))


def restore_hints() -> None:
    """Make anew what is not whole; a trigger that somebody disabled is there and stays as it is."""
    bind = op.get_bind()
    if not _has_columns(bind):
        op.execute("DROP TABLE IF EXISTS oicp_hint")
        op.execute("DROP INDEX IF EXISTS oicp_hint_operator")  # of a table that was only given another name
        make_hint()
    if _are_tables(bind) and not _has_triggers(bind):
        make_triggers()


def _has_columns(connection: sa.Connection) -> bool:
    inspector = sa.inspect(connection)
    if "oicp_hint" not in inspector.get_table_names():
        return False
    return {column["name"] for column in inspector.get_columns("oicp_hint")} >= set(hint.c.keys())


def _are_tables(connection: sa.Connection) -> bool:
    return {"evse_status", "temporary_status"} <= set(sa.inspect(connection).get_table_names())


def _has_triggers(connection: sa.Connection) -> bool:
    dialect = connection.dialect.name
    return set(connection.execute(sa.text(_TRIGGERS[dialect])).scalars()) >= set(trigger_names(dialect))
