"""Lets each lane remember which store and which hub its ledger speaks of, and since when its books are not trusted."""

import sqlalchemy as sa
from alembic import op

from oicp_adapter.store.types import KeyText, UtcTimestamp

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the column."""
    op.add_column("oicp_lane", sa.Column("distrusted_at", UtcTimestamp()))
    op.create_table(
        "oicp_identity",
        sa.Column("lane", KeyText(), primary_key=True),
        sa.Column("hub", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("database", sa.Text()),
        sa.Column("system", sa.Text()),
        sa.Column("timeline", sa.BigInteger()),
        sa.Column("recorded_at", UtcTimestamp(), nullable=False),
        sa.Column("adopted_by", sa.Text()),
    )
