"""
Holds the SQL of what the domain computes in Python: keys, words and windows, once for each store.

1. `EvseKey`, `OperatorKey` and `Word` equal `evse_key`, `operator_key` and `normalise` for every text that a store can
   hold; a contract test says so. SQLite cuts at NUL, which no well-formed identifier has.
2. The text of `EvseKey` and `OperatorKey` is the text of the indexes in the migration: change neither alone.
3. What PostgreSQL can hold and Python cannot (infinity, years before 1 and after 9999) is clamped while it is read.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    and_,
    bindparam,
    literal_column,
    or_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from oicp_adapter.domain.identifiers import KEY_LENGTH
from oicp_adapter.domain.statuses import REMOVED, Status, TemporaryStatus, normalise
from oicp_adapter.store.types import IdList, KeyText, TextList, UtcTimestamp

T = TypeVar("T")

KEY_SQL: Final = {
    "sqlite": f"CAST(substr(upper(replace(replace({{0}}, '*', ''), '+', '')), 1, {KEY_LENGTH}) AS TEXT)",
    "postgresql": f"left(upper(translate({{0}}, '*+', '') COLLATE \"C\"), {KEY_LENGTH})",
}
"""The key of an identifier, by dialect; `{0}` is the column. Without the cast SQLite finds no column by its index."""

_WORD_SQL: Final = {
    "sqlite": "lower(replace(replace(replace({0}, '_', ''), '-', ''), ' ', ''))",
    "postgresql": "lower(translate({0}, '_- ', '') COLLATE \"C\")",
}
OPERATOR_FUNCTION: Final = "oicp_evse_operator"
"""Our own function, on each of the adapter's connections to SQLite; see `EvseOperator`."""

_ISO_EVSE: Final = r"^[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30}$"
_ISO_EVSE_OF_ANY_LENGTH: Final = r"^[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]+$"
_ISO_EVSE_LENGTH: Final = 36
"""Up to here none is too long, whatever its separators; PostgreSQL needs four times as long to count in a pattern."""
_DIN_EVSE: Final = r"^\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}$"
_ISO_OPERATOR_LENGTH: Final = 5
_DIN_OPERATOR: Final = r"^\+?[0-9]{1,3}\*[0-9]{3}"
_EARLIEST: Final = "TIMESTAMPTZ '0001-01-02 00:00:00+00'"
_LATEST: Final = "TIMESTAMPTZ '9999-12-30 00:00:00+00'"
_SIX_DIGITS: Final = "({0} || substr('.000000', length({0}) - 18))"


class EvseKey(FunctionElement[str]):
    """`domain.identifiers.evse_key` of a column."""

    type = KeyText()
    inherit_cache = True


class OperatorKey(FunctionElement[str]):
    """`domain.identifiers.operator_key` of a column."""

    type = KeyText()
    inherit_cache = True


class EvseOperator(FunctionElement[str]):
    """`domain.identifiers.operator_of` of a column: the operator that an EvseID names, NULL for a malformed one."""

    type = KeyText()
    inherit_cache = True


class Word(FunctionElement[str]):
    """`domain.statuses.normalise` of a column."""

    type = Text()
    inherit_cache = True


class Kind(FunctionElement[str]):
    """A kind of window in lower case."""

    type = Text()
    inherit_cache = True


class WindowStart(FunctionElement[datetime]):
    """A `valid_from` as Python can hold it, comparable with its like."""

    type = UtcTimestamp()
    inherit_cache = True


class WindowLimit(FunctionElement[datetime]):
    """A `valid_to`, `ended_at` or `changed_at` as Python can hold it; NULL when it is never reached."""

    type = UtcTimestamp()
    inherit_cache = True


class Earlier(FunctionElement[datetime]):
    """The earlier of two instants; NULLs do not count."""

    type = UtcTimestamp()
    inherit_cache = True


class Later(FunctionElement[datetime]):
    """The later of two instants; NULLs do not count."""

    type = UtcTimestamp()
    inherit_cache = True


class _Condition(FunctionElement[bool]):
    """A condition in parentheses; left as it is where SQLAlchemy would append `= 1`, which no index survives."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002 - its interface
        return self


class Differs(_Condition):
    """Tell whether two values differ, NULL being a value like another."""

    inherit_cache = True


class _Among(_Condition):
    inherit_cache = True


class _Unindexed(FunctionElement[Any]):
    inherit_cache = True


def among(column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Tell whether a text column is one of the values; one bind parameter, however many there are."""
    return _Among(column, bindparam(None, sorted(values), type_=TextList(), unique=True))


def unindexed(column: ColumnElement[T]) -> ColumnElement[T]:
    """
    Return a column for a condition that must not choose the index, since another condition has the one to use.

    No store knows how many rows a key has on a table that was just filled; offered both, it may walk all rows of an
    operator for each EVSE.
    """
    wrapped = _Unindexed(column)
    wrapped.type = column.type
    return wrapped


def among_bound(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Tell whether a text column is one of the values that a parameter brings, a sorted list of text."""
    return _Among(column, bindparam(name, type_=TextList()))


def among_ids(column: ColumnElement[Any], ids: Collection[int]) -> ColumnElement[bool]:
    """Tell whether a row's id is one of the given; one bind parameter, however many there are."""
    return _Among(column, bindparam(None, sorted(ids), type_=IdList(), unique=True))


def among_ids_bound(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Tell whether a row's id is one of those that a parameter brings, a sorted list."""
    return _Among(column, bindparam(name, type_=IdList()))


def is_removed(status: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether a status word withdraws the EVSE, as `domain.statuses.is_removed` does."""
    return Word(status) == constant(REMOVED)


def is_known_word(status: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether a charger's status word is one of the table, as `domain.statuses.parse_status` does."""
    return Word(status).in_([constant(normalise(known)) for known in Status])


def is_known_kind(status: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether a window is of one of the four kinds; no constraint of ours keeps others out of somebody's view."""
    return Kind(status).in_([constant(kind.lower()) for kind in TemporaryStatus])


def constant(word: str) -> ColumnElement[str]:
    """Return a word of a closed vocabulary as part of the statement's text."""
    assert word.isascii() and word.replace("_", "").isalnum()  # noqa: PT018, S101 - only enum values come here
    return literal_column(f"'{word}'", Text())


def not_over(
    valid_to: ColumnElement[Any], ended_at: ColumnElement[Any], now: datetime | ColumnElement[datetime]
) -> ColumnElement[bool]:
    """Tell whether a window applies at *now* or may apply later."""
    return and_(or_(valid_to.is_(None), valid_to > now), or_(ended_at.is_(None), ended_at > now))


def _args(element: FunctionElement[Any], compiler: SQLCompiler, **kw: Any) -> list[str]:
    return [compiler.process(clause, **kw) for clause in element.clauses]


@compiles(EvseKey)
@compiles(OperatorKey)
def _key_sql(element: FunctionElement[str], compiler: SQLCompiler, **kw: Any) -> str:
    return KEY_SQL[compiler.dialect.name].format(*_args(element, compiler, **kw))


@compiles(EvseOperator)
def _evse_operator_sql(element: EvseOperator, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = _args(element, compiler, **kw)
    if compiler.dialect.name == "sqlite":
        return f"{OPERATOR_FUNCTION}(CAST({column} AS BLOB))"  # as text, what is no UTF-8 would be an error
    iso = f"left({KEY_SQL['postgresql'].format(column)}, {_ISO_OPERATOR_LENGTH})"
    din = f"translate(substring({column} from '{_DIN_OPERATOR}'), '*+', '')"
    may_be, short = f"{column} ~ '{_ISO_EVSE_OF_ANY_LENGTH}'", f"length({column}) <= {_ISO_EVSE_LENGTH}"
    is_iso = f"{may_be} AND ({short} OR {column} ~ '{_ISO_EVSE}')"
    return f"CASE WHEN {is_iso} THEN {iso} WHEN {column} ~ '{_DIN_EVSE}' THEN {din} END"


@compiles(Word)
def _word_sql(element: Word, compiler: SQLCompiler, **kw: Any) -> str:
    return _WORD_SQL[compiler.dialect.name].format(*_args(element, compiler, **kw))


@compiles(Kind)
def _kind_sql(element: Kind, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = _args(element, compiler, **kw)
    return f"lower({column})" if compiler.dialect.name == "sqlite" else f'lower({column} COLLATE "C")'


@compiles(WindowStart)
def _start_sql(element: WindowStart, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = _args(element, compiler, **kw)
    if compiler.dialect.name == "sqlite":
        return _SIX_DIGITS.format(column)
    return f"LEAST(GREATEST({column}, {_EARLIEST}), {_LATEST})"


@compiles(WindowLimit)
def _limit_sql(element: WindowLimit, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = _args(element, compiler, **kw)
    if compiler.dialect.name == "sqlite":
        return _SIX_DIGITS.format(column)
    return f"CASE WHEN {column} < {_LATEST} THEN GREATEST({column}, {_EARLIEST}) END"


@compiles(Earlier)
def _earlier_sql(element: Earlier, compiler: SQLCompiler, **kw: Any) -> str:
    one, other = _args(element, compiler, **kw)
    if compiler.dialect.name == "sqlite":
        return f"coalesce(min({one}, {other}), {one}, {other})"
    return f"LEAST({one}, {other})"


@compiles(Later)
def _later_sql(element: Later, compiler: SQLCompiler, **kw: Any) -> str:
    one, other = _args(element, compiler, **kw)
    if compiler.dialect.name == "sqlite":
        return f"coalesce(max({one}, {other}), {one}, {other})"
    return f"GREATEST({one}, {other})"


@compiles(Differs)
def _differs_sql(element: Differs, compiler: SQLCompiler, **kw: Any) -> str:
    one, other = _args(element, compiler, **kw)
    return f"({one} IS NOT {other})" if compiler.dialect.name == "sqlite" else f"({one} IS DISTINCT FROM {other})"


@compiles(_Unindexed)
def _unindexed_sql(element: _Unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = _args(element, compiler, **kw)
    return f"+{column}" if compiler.dialect.name == "sqlite" else f"COALESCE({column}, {column})"


@compiles(_Among)
def _among_sql(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = _args(element, compiler, **kw)
    if compiler.dialect.name == "sqlite":
        return f"({column} IN (SELECT value FROM json_each({values})))"  # noqa: S608 - compiled parts, no values
    return f"({column} = ANY ({values}))"
