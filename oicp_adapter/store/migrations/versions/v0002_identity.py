"""
Lets each lane remember which store and which hub its ledger speaks of, and since when its books are not trusted.

PostgreSQL's triggers no longer wait for a lock on the hints, nor make serializable writers depend on each other.
"""

import sqlalchemy as sa
from alembic import op

from oicp_adapter.store.triggers import function_statements
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
    bind = op.get_bind()
    if bind.dialect.name == "postgresql" and bind.scalar(sa.text("SELECT to_regproc('oicp_hint_status')")) is not None:
        schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
        for statement in function_statements(schema):
            bind.exec_driver_sql(statement)
