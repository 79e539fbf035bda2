"""
Holds the column types in which both stores agree: UTC timestamps, tolerant text, lists of keys.

1. A timestamp leaves as aware UTC and a naive one is refused before it can be written.
2. SQLite's timestamps are text of varying length; ours are always written with six digits, so that `column <= now` and
   `column > now` hold for every permitted spelling of an instant. `<` and `>=` do not: never compare with them what
   others write.
3. Reading never raises, whatever a writer put into a column.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

from sqlalchemy import ARRAY, BigInteger, DateTime, Dialect, String, Text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import TypeDecorator, TypeEngine


class OddText(str):
    """Text of SQLite that is not UTF-8; shown with replacement characters, but its bytes are kept for comparing."""

    __slots__ = ("raw",)

    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        """Decode what can be decoded."""
        odd = super().__new__(cls, raw.decode(errors="replace"))
        odd.raw = raw
        return odd


def read_text(raw: bytes) -> str:
    """Return the text of a SQLite column, of invalid UTF-8 an `OddText`; the connection's `text_factory`."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return OddText(raw)


class UtcTimestamp(TypeDecorator[datetime]):
    """
    An instant: `timestamptz` in PostgreSQL, text `YYYY-MM-DD HH:MM:SS.ffffff` in SQLite; aware UTC in Python.

    What cannot be read as an instant reads as None.

    Raises:
        ValueError: A naive datetime is to be written or compared with.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        chosen: TypeEngine[Any] = Text() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(chosen)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive datetimes; write the others as UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: every instant needs its offset, use UTC")
        utc = value.astimezone(UTC)
        return timestamp_text(utc) if dialect.name == "sqlite" else utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002 - its interface
        """Return what reads a column; `process_result_value` costs several times as much, most of all for NULL."""
        return read_instant


class ForeignText(TypeDecorator[str]):
    """Text that others write: in SQLite it may be a blob or a number, and reads as text all the same."""

    impl = Text
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str | None]:  # noqa: ARG002 - its interface
        """Return what reads a column."""
        return _read_foreign


class ForeignKeyText(ForeignText):
    """An identifier that others write; ordered by code point in both stores."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Fix PostgreSQL's collation, which is the database's own otherwise."""
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())


class KeyText(TypeDecorator[str]):
    """Text that the adapter writes itself; ordered by code point in both stores."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Fix PostgreSQL's collation, which is the database's own otherwise."""
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())


class TextList(TypeDecorator[Sequence[str]]):
    """A list of texts as one bind parameter: an array in PostgreSQL, JSON in SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the parameter's type."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(Text()))

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        """Write the list."""
        return json.dumps(value) if dialect.name == "sqlite" else value


class IdList(TypeDecorator[Sequence[int]]):
    """A list of row ids as one bind parameter: an array in PostgreSQL, JSON in SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the parameter's type."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(BigInteger()))

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> Any:
        """Write the list."""
        return json.dumps(value) if dialect.name == "sqlite" else value


def array_type(column: TypeEngine[Any]) -> str:
    """Return PostgreSQL's name for an array of a column's type."""
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it
    element = column.dialect_impl(dialect).compile(dialect)
    return f"{element.partition(' COLLATE ')[0]}[]"


def timestamp_text(instant: datetime) -> str:
    """Return an aware instant as SQLite's columns hold it, always with six digits of a second."""
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.isoformat(sep=" ", timespec="microseconds")[:_WRITTEN]


def read_instant(value: Any) -> datetime | None:
    """Return what a driver read as an aware datetime in UTC, None for NULL and for what is no instant."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _read_foreign(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


_WRITTEN: Final = len("2026-03-29 01:00:00.000000")
