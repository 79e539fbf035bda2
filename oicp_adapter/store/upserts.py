"""Builds inserts that know ON CONFLICT, which SQLAlchemy has for each dialect apart."""

from sqlalchemy import Dialect, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(dialect: Dialect, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insert that knows ON CONFLICT, in the store's own dialect."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def upsert(dialect: Dialect, table: Table, keys: tuple[str, ...]) -> Executable:
    """Return the statement that inserts a row, or replaces all that is not key."""
    insert = insert_into(dialect, table)
    replaced = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=list(keys), set_=replaced)
