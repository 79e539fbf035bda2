"""
Adds what the control service keeps: tokens, sessions, what it knows of windows, and an audit that is only appended.

Where EVSEs stand is looked up by their keys, and EVSEs by where they stand.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

from oicp_adapter.store.expressions import KEY_SQL
from oicp_adapter.store.migrations.columns import generated_id
from oicp_adapter.store.types import KeyText, UtcTimestamp

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SQLITE_APPEND_ONLY: Final = """CREATE TRIGGER oicp_audit_no_{event} BEFORE {event} ON oicp_audit
BEGIN SELECT RAISE(ABORT, 'oicp_audit is only appended'); END"""
_SQLITE_NO_REPLACE: Final = """CREATE TRIGGER oicp_audit_no_replace BEFORE INSERT ON oicp_audit
WHEN EXISTS (SELECT 1 FROM oicp_audit WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'oicp_audit is only appended'); END"""
"""A row that is replaced fires no trigger of its deletion."""

_PG_FUNCTION: Final = """CREATE FUNCTION oicp_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$refuse$ BEGIN RAISE EXCEPTION 'oicp_audit is only appended'; END $refuse$"""
_PG_APPEND_ONLY: Final = """CREATE TRIGGER oicp_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON oicp_audit
FOR EACH STATEMENT EXECUTE FUNCTION oicp_audit_refuse()"""


def upgrade() -> None:
    """Add the tables, and since when the hub has shown what it shows."""
    op.add_column("oicp_ledger", sa.Column("acknowledged_since", UtcTimestamp()))
    _make_access()
    op.create_table(
        "oicp_window",
        sa.Column("window_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("token_id", KeyText()),
        sa.Column("time_zone", sa.Text()),
    )
    op.create_table(
        "oicp_reference",
        sa.Column("token_id", KeyText(), primary_key=True),
        sa.Column("kind", KeyText(), primary_key=True),
        sa.Column("reference", KeyText(), primary_key=True),
        sa.Column("evse_id", sa.Text(), nullable=False),
        sa.Column("window_id", sa.BigInteger()),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
    )
    op.create_table(
        "oicp_idempotency",
        sa.Column("token_id", KeyText(), primary_key=True),
        sa.Column("key", KeyText(), primary_key=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
    )
    op.create_index("oicp_idempotency_age", "oicp_idempotency", ["created_at"])
    _make_audit()
    bind = op.get_bind()
    if "evse_location" in sa.inspect(bind).get_table_names():
        key = KEY_SQL[bind.dialect.name].format("evse_id")
        bind.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS oicp_evse_location_key ON evse_location (({key}))")
        op.create_index("oicp_evse_location_place", "evse_location", ["location", "charge_box"], if_not_exists=True)


def _make_access() -> None:
    op.create_table(
        "oicp_token",
        sa.Column("id", KeyText(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("evse_patterns", sa.Text(), nullable=False),
        sa.Column("locations", sa.Text(), nullable=False),
        sa.Column("longest_seconds", sa.BigInteger()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcTimestamp()),
        sa.Column("revoked_at", UtcTimestamp()),
        sa.Column("revoked_by", sa.Text()),
        sa.Column("last_used_at", UtcTimestamp()),
    )
    op.create_table(
        "oicp_session",
        sa.Column("secret_sha256", KeyText(), primary_key=True),
        sa.Column("token_id", KeyText(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("expires_at", UtcTimestamp(), nullable=False),
    )
    op.create_index("oicp_session_expiry", "oicp_session", ["expires_at"])


def _make_audit() -> None:
    op.create_table(
        "oicp_audit",
        generated_id(),
        sa.Column("at", UtcTimestamp(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("token_id", KeyText()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("window_id", sa.BigInteger()),
        sa.Column("subject", sa.Text()),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("oicp_audit_window", "oicp_audit", ["window_id", "id"])
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(_SQLITE_APPEND_ONLY.format(event=event))
        op.execute(_SQLITE_NO_REPLACE)
    else:
        op.execute(_PG_FUNCTION)
        op.execute(_PG_APPEND_ONLY)
