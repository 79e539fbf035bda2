"""
Makes the shared tables, the adapter's own, and the triggers between them.

A shared table that exists already is left as it is. One that is a view gets no index and no trigger: the sweep alone
finds its changes.
"""

import sqlalchemy as sa
from alembic import op

from oicp_adapter.store.expressions import KEY_SQL
from oicp_adapter.store.migrations.columns import (
    checks_of_instants,
    default_now,
    generated_id,
    later_than,
    one_of_the_four,
)
from oicp_adapter.store.migrations.hints import make_hint, make_triggers
from oicp_adapter.store.types import KeyText, UtcTimestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UNSETTLED = (
    "doubted_at IS NOT NULL OR debt_at IS NOT NULL OR held_since IS NOT NULL OR retry_at IS NOT NULL"
    " OR refusal IS NOT NULL"
)


def upgrade() -> None:
    """Make everything that is not there."""
    inspector = sa.inspect(op.get_bind())
    tables, views = set(inspector.get_table_names()), set(inspector.get_view_names())
    if "evse_status" not in tables | views:
        _make_evse_status()
    if "temporary_status" not in tables | views:
        _make_temporary_status()
    if "evse_location" not in tables | views:
        op.create_table(
            "evse_location",
            sa.Column("evse_id", KeyText(), primary_key=True),
            sa.Column("location", sa.Text()),
            sa.Column("charge_box", sa.Text()),
            sa.Column("time_zone", sa.Text()),
        )
    make_hint()
    _make_ledger()
    _make_rejection()
    _make_lane()
    if not {"evse_status", "temporary_status"} & views:
        _make_indexes()
        make_triggers()


def _make_evse_status() -> None:
    op.create_table(
        "evse_status",
        sa.Column("evse_id", KeyText(), primary_key=True),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcTimestamp(), server_default=default_now()),
        *checks_of_instants("evse_status", "changed_at"),
    )


def _make_temporary_status() -> None:
    op.create_table(
        "temporary_status",
        generated_id(),
        sa.Column("evse_id", KeyText(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("valid_from", UtcTimestamp(), nullable=False, server_default=default_now()),
        sa.Column("valid_to", UtcTimestamp()),
        sa.Column("reason", sa.Text()),
        sa.Column("reference", sa.Text()),
        sa.Column("created_by", sa.Text()),
        sa.Column("created_at", UtcTimestamp(), server_default=default_now()),
        sa.Column("updated_at", UtcTimestamp(), server_default=default_now()),
        sa.Column("ended_at", UtcTimestamp()),
        sa.Column("ended_by", sa.Text()),
        one_of_the_four(),
        *checks_of_instants("temporary_status", "valid_from", "valid_to", "created_at", "updated_at", "ended_at"),
        later_than("valid_to", "valid_from"),
        sqlite_autoincrement=True,
    )


def _make_ledger() -> None:
    op.create_table(
        "oicp_ledger",
        sa.Column("lane", KeyText(), primary_key=True),
        sa.Column("canonical", KeyText(), primary_key=True),
        sa.Column("evse_id", KeyText(), nullable=False),
        sa.Column("acknowledged", sa.Text()),
        sa.Column("acknowledged_at", UtcTimestamp()),
        sa.Column("asserted_at", UtcTimestamp()),
        sa.Column("presence", sa.Text(), nullable=False),
        sa.Column("doubted_at", UtcTimestamp()),
        sa.Column("debt_at", UtcTimestamp()),
        sa.Column("pending_since", UtcTimestamp()),
        sa.Column("pending_edge", sa.Text()),
        sa.Column("withdrawn_at", UtcTimestamp()),
        sa.Column("held_since", UtcTimestamp()),
        sa.Column("approved_at", UtcTimestamp()),
        sa.Column("approved_by", sa.Text()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", UtcTimestamp()),
        sa.Column("retry_at", UtcTimestamp()),
        sa.Column("refusal", sa.Text()),
        sa.Column("refusal_detail", sa.Text()),
        sa.Column("refused_status", sa.Text()),
        sa.Column("batch_cap", sa.Integer()),
        sa.Column("flipped", sa.Boolean(), nullable=False),
        sa.Column("failed_singly", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("due_at", UtcTimestamp()),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("oicp_ledger_due", "oicp_ledger", ["lane", "due_at"])
    for name, columns, condition in (
        ("oicp_ledger_suspect", ["lane", "due_at"], "failures > 0"),
        ("oicp_ledger_pending", ["lane", "pending_since"], "pending_since IS NOT NULL"),
        ("oicp_ledger_withdrawn", ["lane", "withdrawn_at"], "withdrawn_at IS NOT NULL"),
        ("oicp_ledger_unsettled", ["lane", "canonical"], _UNSETTLED),
    ):
        where = sa.text(condition)
        op.create_index(name, "oicp_ledger", columns, sqlite_where=where, postgresql_where=where)


def _make_rejection() -> None:
    op.create_table(
        "oicp_rejection",
        sa.Column("evse_id", KeyText(), primary_key=True),
        sa.Column("lane", KeyText(), nullable=False),
        sa.Column("canonical", KeyText(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("since", UtcTimestamp(), nullable=False),
    )
    op.create_index("oicp_rejection_canonical", "oicp_rejection", ["lane", "canonical"])


def _make_lane() -> None:
    op.create_table(
        "oicp_lane",
        sa.Column("lane", KeyText(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("expires_at", UtcTimestamp()),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("silent_until", UtcTimestamp()),
        sa.Column("wait_until", UtcTimestamp()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("hold_reason", sa.Text()),
        sa.Column("hold_detail", sa.Text()),
        sa.Column("last_success_at", UtcTimestamp()),
        sa.Column("refused_streak", sa.Integer(), nullable=False),
        sa.Column("flip_first", sa.Boolean(), nullable=False),
        sa.Column("after_suspect", sa.Boolean(), nullable=False),
        sa.Column("debt_at", UtcTimestamp()),
        sa.Column("doubted_before", UtcTimestamp()),
        sa.Column("paced_at", UtcTimestamp()),
        sa.Column("full_load_at", UtcTimestamp()),
        sa.Column("full_load_tried_at", UtcTimestamp()),
        sa.Column("full_load_requested_at", UtcTimestamp()),
        sa.Column("full_load_requested_by", sa.Text()),
    )
    op.create_table(
        "oicp_intent",
        sa.Column("lane", KeyText(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("records", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTimestamp(), nullable=False),
        sa.Column("silent_until", UtcTimestamp(), nullable=False),
        sa.Column("suspect", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "oicp_full_load",
        sa.Column("lane", KeyText(), primary_key=True),
        sa.Column("canonical", KeyText(), primary_key=True),
        sa.Column("evse_id", KeyText(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("valid_until", UtcTimestamp()),
        sqlite_with_rowid=False,
    )


def _make_indexes() -> None:
    bind = op.get_bind()
    key = KEY_SQL[bind.dialect.name].format
    for name, on in (
        ("oicp_evse_status_key", f"evse_status (({key('evse_id')}))"),
        ("oicp_evse_status_operator", f"evse_status (({key('operator_id')}), evse_id)"),
        ("oicp_temporary_status_key", f"temporary_status (({key('evse_id')}))"),
        ("oicp_temporary_status_end", "temporary_status (valid_to, ended_at)"),
    ):
        bind.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {on}")
