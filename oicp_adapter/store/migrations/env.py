"""Runs migrations on the connection, and in the transaction, that `store.migrate` hands over."""

from alembic import context

from oicp_adapter.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
