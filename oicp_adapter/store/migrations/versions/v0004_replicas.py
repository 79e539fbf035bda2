"""
Lets a process that leads fewer lanes than another ask for one, and a store say which programs can work with it.

So processes can be replaced one by one: the older ones go on with tables that have only grown.
"""

import sqlalchemy as sa
from alembic import op

from oicp_adapter.store.types import UtcTimestamp

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two columns, and the table that a revision which takes something away must update."""
    op.add_column("oicp_lane", sa.Column("wanted_by", sa.Text()))
    op.add_column("oicp_lane", sa.Column("wanted_at", UtcTimestamp()))
    support = op.create_table("oicp_schema_support", sa.Column("oldest", sa.Text(), primary_key=True))
    op.bulk_insert(support, [{"oldest": revision}])
