"""
Builds in SQL what `domain.resolution.resolve` decides in Python, for statements that compare a whole fleet.

1. It is generated from the domain's own tables, so that a new word or an override cannot be forgotten here.
2. Both must give the same answer for every EVSE; a contract test draws words, windows and overrides at random.
3. Of equal windows it does not matter here which one wins: what is published is the same.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Subquery,
    Text,
    and_,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
)

from oicp_adapter.domain.resolution import PRECEDENCE, prevails
from oicp_adapter.domain.statuses import OicpStatus, Status, StatusMapping, normalise
from oicp_adapter.store.expressions import (
    Earlier,
    EvseKey,
    Kind,
    WindowLimit,
    WindowStart,
    Word,
    among,
    constant,
    is_known_kind,
    is_removed,
    not_over,
    unindexed,
)
from oicp_adapter.store.schema import evse_status, temporary_status
from oicp_adapter.store.types import UtcTimestamp

Instant = datetime | ColumnElement[datetime]
"""A point in time, or the parameter that brings it."""


def effective_rows(mapping: StatusMapping, now: Instant, *where: ColumnElement[bool]) -> Select[Any]:
    """
    Return the statement that resolves rows of `evse_status` at *now*.

    Args:
        where: Which rows.

    Returns:
        Columns `evse_id`, `key`, `operator_id`, `oicp` (what is to be published) and `valid_until` (the next instant at
        which that can change; NULL: no window is ahead).
    """
    key = EvseKey(evse_status.c.evse_id)
    inner = (
        _chargers(mapping, _winning_rank(key, now), next_boundary(key, now))
        .where(*where)
        .offset(0)  # a fence: else both planners compute each subquery again wherever its value is used
        .subquery("resolved")
    )
    return _resolved(inner, mapping)


def effective_fleet(mapping: StatusMapping, now: Instant, *where: ColumnElement[bool]) -> Select[Any]:
    """
    Return the statement that does the same for a whole fleet: it reads the windows once, instead of for each row.

    Args:
        where: Which rows.
    """
    window = temporary_status.c
    key = EvseKey(window.evse_id)
    ahead = (
        select(
            key.label("key"),
            func.min(_rank(now)).label("rank"),
            func.min(_boundary(now), type_=UtcTimestamp()).label("valid_until"),
        )
        .where(is_known_kind(window.status), not_over(unindexed(window.valid_to), window.ended_at, now))
        .group_by(key)
        .subquery("ahead")
    )
    chargers = _chargers(mapping, ahead.c.rank, ahead.c.valid_until)
    inner = chargers.select_from(evse_status.outerjoin(ahead, ahead.c.key == EvseKey(evse_status.c.evse_id)))
    return _resolved(inner.where(*where).subquery("resolved"), mapping)


def _chargers(mapping: StatusMapping, rank: ColumnElement[Any], valid_until: ColumnElement[Any]) -> Select[Any]:
    status = evse_status.c
    return select(
        status.evse_id,
        status.operator_id,
        EvseKey(status.evse_id).label("key"),
        charger_status(status.status, mapping).label("charger"),
        rank.label("rank"),
        valid_until.label("valid_until"),
    )


def _resolved(inner: Subquery, mapping: StatusMapping) -> Select[Any]:
    return select(
        inner.c.evse_id,
        inner.c.key,
        inner.c.operator_id,
        _published(inner.c.charger, inner.c.rank, mapping).label("oicp"),
        inner.c.valid_until,
    )


def live(operators: ColumnElement[Any], scope: frozenset[str]) -> ColumnElement[bool]:
    """
    Return the condition that a row of `evse_status` stands for an EVSE of these operators that is not withdrawn.

    Args:
        operators: The key of the row's operator.
    """
    return and_(among(unindexed(operators), scope), ~is_removed(evse_status.c.status))


def charger_status(status: ColumnElement[Any], mapping: StatusMapping) -> ColumnElement[str]:
    """Return the OICP status of a charger's own word; of a word that the table does not know, that of Unknown."""
    words = {constant(normalise(known)): constant(mapping.oicp(known)) for known in Status}
    # The word is computed once: what is compared stands behind CASE.
    return case(words, value=Word(status), else_=constant(mapping.oicp(Status.UNKNOWN)))


def next_boundary(key: ColumnElement[str], now: Instant) -> ScalarSelect[Any]:
    """Return the first instant after *now* at which a window of an EVSE starts or ends; NULL when none does."""
    window = temporary_status.c
    ahead = not_over(unindexed(window.valid_to), window.ended_at, now)
    earliest = func.min(_boundary(now), type_=UtcTimestamp())
    return select(earliest).where(EvseKey(window.evse_id) == key, is_known_kind(window.status), ahead).scalar_subquery()


def _winning_rank(key: ColumnElement[str], now: Instant) -> ScalarSelect[Any]:
    window = temporary_status.c
    ahead = not_over(unindexed(window.valid_to), window.ended_at, now)
    return select(func.min(_rank(now))).where(EvseKey(window.evse_id) == key, ahead).scalar_subquery()


def _boundary(now: Instant) -> ColumnElement[Any]:
    """Return when a window next starts or ends; NULL: never again."""
    window = temporary_status.c
    start = WindowStart(window.valid_from)
    end = Earlier(WindowLimit(window.valid_to), WindowLimit(window.ended_at))
    over = and_(end.is_not(None), or_(end <= start, end <= now))
    return case((over, null()), (start > now, start), else_=end)


def _rank(now: Instant) -> ColumnElement[Any]:
    """Return the rank of a window that is not over, if it applies now; NULL: it does not, or nobody knows its kind."""
    window = temporary_status.c
    kind, began = Kind(window.status), window.valid_from <= now
    whens: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = [
        (and_(kind == constant(name.lower()), began), literal_column(str(at))) for name, at in PRECEDENCE.items()
    ]
    return case(*whens)


def _published(charger: ColumnElement[str], rank: ColumnElement[int], mapping: StatusMapping) -> ColumnElement[str]:
    """Let the winning window replace the charger's status, or yield to it when the charger is the less usable."""
    whens: list[tuple[ColumnElement[bool], ColumnElement[str]]] = []
    for kind, at in PRECEDENCE.items():
        wins = rank == literal_column(str(at))
        yielding = [status for status in OicpStatus if prevails(kind, status, mapping)]
        if len(yielding) < len(OicpStatus):
            wins = and_(wins, charger.in_([constant(status) for status in yielding]))
        whens.append((wins, constant(mapping.oicp(Status(kind.value)))))
    return case(*whens, else_=charger).label("published").cast(Text())
