"""Holds the columns and constraints that the two stores spell differently; for migrations only."""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from alembic import op

SQLITE_NOW: Final = "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"
"""The present instant as a SQLite column holds it."""

# The first 19 characters must survive SQLite's calculating with them (hence '+0 days'), which turns 2026-02-31 into
# 2026-03-03 and hour 25 into NULL; then at most six digits of a second. Where a NUL hides something the lengths differ.
_SQLITE_INSTANT: Final = (
    "{0} IS NULL OR (typeof({0}) = 'text' AND {0} >= '0001-01-01' AND length({0}) = length(CAST({0} AS BLOB))"
    " AND substr({0}, 1, 19) IS strftime('%Y-%m-%d %H:%M:%S', substr({0}, 1, 19), '+0 days')"
    " AND (length({0}) = 19 OR (length({0}) BETWEEN 21 AND 26 AND substr({0}, 20, 1) = '.'"
    " AND substr({0}, 21) NOT GLOB '*[^0-9]*')))"
)
_SIX_DIGITS: Final = "{0} || substr('.000000', length({0}) - 18)"


def generated_id() -> sa.Column[int]:
    """Return a primary key that the store generates and never uses twice."""
    if _on_sqlite():
        return sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True)
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True)


def default_now(*, clock: bool = False) -> sa.TextClause:
    """
    Return the default of a timestamp.

    Args:
        clock: The time of the statement rather than that of its transaction's begin, where the store tells them apart.
    """
    if _on_sqlite():
        return sa.text(SQLITE_NOW.replace(":", r"\:"))
    return sa.text("clock_timestamp()" if clock else "now()")


def checks_of_instants(table: str, *columns: str) -> Iterator[sa.CheckConstraint]:
    """Yield the constraints that let text be an instant; PostgreSQL has a type for it."""
    if _on_sqlite():
        for column in columns:
            condition = _SQLITE_INSTANT.format(column).replace(":", r"\:")
            yield sa.CheckConstraint(sa.text(condition), name=f"{table}_{column}_is_an_instant")


def later_than(later: str, earlier: str) -> sa.CheckConstraint:
    """Return the constraint that a window ends after it starts."""
    spelt = _SIX_DIGITS.format if _on_sqlite() else str
    one, other = (spelt(later), spelt(earlier)) if _on_sqlite() else (later, earlier)
    return sa.CheckConstraint(f"{one} > {other}", name="temporary_status_ends_after_it_starts")


def one_of_the_four() -> sa.CheckConstraint:
    """Return the constraint on the kinds of temporary status, in any ASCII case."""
    word = "lower(status)" if _on_sqlite() else 'lower(status COLLATE "C")'
    kinds = "('maintenance', 'commissioning', 'blocked', 'reserved')"
    return sa.CheckConstraint(f"{word} IN {kinds}", name="temporary_status_is_one_of_four")


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
