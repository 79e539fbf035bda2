"""
Finds temporary statuses by what people ask for, in pages that do not shift while rows come and go.

A page ends at a place: the value that it is ordered by, and the id. The next page begins beyond it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, not_, or_, select

from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.patterns import ESCAPE
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.expressions import (
    Earlier,
    EvseKey,
    Kind,
    WindowLimit,
    WindowStart,
    among,
    constant,
    is_known_kind,
    not_over,
)
from oicp_adapter.store.places import contains, part_of
from oicp_adapter.store.schema import evse_location, temporary_status
from oicp_adapter.store.temporary import TemporaryRecord, record_of, select_windows
from oicp_adapter.store.types import KeyText, UtcTimestamp, read_instant, timestamp_text


class WindowState(StrEnum):
    """Where a window stands at an instant."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    ENDED = "ended"


class WindowOrder(StrEnum):
    """By what windows are ordered; the id decides between equals."""

    ID = "id"
    START = "start"
    END = "end"
    EVSE = "evse"


@dataclass(frozen=True, slots=True)
class WindowFilter:
    """
    Which windows are wanted; what is None or empty does not matter.

    Attributes:
        evse_ids: In any spelling.
        reference: Exactly.
        search: A part of the EvseID in any spelling, of the reason, of the reference or of the author, in any case.
        location: Of the EVSE, exactly.
    """

    states: frozenset[WindowState] = frozenset()
    evse_ids: frozenset[str] = frozenset()
    kinds: frozenset[TemporaryStatus] = frozenset()
    reference: str | None = None
    search: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """
    Where a page ends.

    Attributes:
        value: Of the last row, as text; of an instant its UTC.
    """

    value: str
    id: int


_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands for the end of a window without end, where windows are ordered by it."""


def state_of(record: TemporaryRecord, now: datetime) -> WindowState:
    """Tell where a window stands."""
    window = record.window
    if window.end is not None and window.end <= now:
        return WindowState.ENDED
    return WindowState.ACTIVE if window.valid_from <= now else WindowState.UPCOMING


def find_page(
    connection: Connection,
    wanted: WindowFilter,
    *,
    order: WindowOrder,
    descending: bool,
    after: WindowPlace | None,
    limit: int,
    now: datetime,
) -> Sequence[TemporaryRecord]:
    """Return a page of windows that can be read; it is the last one if it is shorter than the limit."""
    value = _value(order)
    key = temporary_status.c.id
    statement = select_windows().where(*_conditions(wanted, now))
    if after is not None:
        last = _literal(order, after.value)
        beyond = value < last if descending else value > last
        further = key < after.id if descending else key > after.id
        statement = statement.where(or_(beyond, and_(value == last, further)))
    ordered = (value.desc(), key.desc()) if descending else (value, key)
    found: list[TemporaryRecord] = []
    looked_at = 0
    while (wants := limit - len(found)) > 0:
        rows = connection.execute(statement.order_by(*ordered).limit(wants).offset(looked_at or None)).all()
        found += (record for row in rows if (record := record_of(row)) is not None)
        looked_at += len(rows)
        if len(rows) < wants:
            break
    return found


def place_of(record: TemporaryRecord, order: WindowOrder) -> WindowPlace:
    """Return the place of a window in an order."""
    window = record.window
    values = {
        WindowOrder.ID: str(window.id),
        WindowOrder.START: timestamp_text(window.valid_from),
        WindowOrder.END: timestamp_text(window.end or _NEVER),
        WindowOrder.EVSE: evse_key(record.evse_id),
    }
    return WindowPlace(values[order], window.id)


def count_states(connection: Connection, wanted: WindowFilter, now: datetime) -> Mapping[WindowState, int]:
    """Count windows by their state; every state is there."""
    window = temporary_status.c
    state = case(
        (not_(_not_over(now)), literal(WindowState.ENDED.value)),
        (WindowStart(window.valid_from) <= now, literal(WindowState.ACTIVE.value)),
        else_=literal(WindowState.UPCOMING.value),
    ).label("state")
    shaped = select(state).where(*_conditions(wanted, now), is_known_kind(window.status)).subquery()
    counted = connection.execute(select(shaped.c.state, func.count()).group_by(shaped.c.state))
    found = {str(row[0]): int(row[1]) for row in counted}
    return {state: found.get(state.value, 0) for state in WindowState}


def _conditions(wanted: WindowFilter, now: datetime) -> Sequence[ColumnElement[bool]]:
    window = temporary_status.c
    found: list[ColumnElement[bool]] = []
    if wanted.states:
        found.append(or_(*(_is(state, now) for state in sorted(wanted.states))))
    if wanted.evse_ids:
        found.append(among(EvseKey(window.evse_id), {evse_key(text) for text in wanted.evse_ids}))
    if wanted.kinds:
        found.append(Kind(window.status).in_([constant(kind.value.lower()) for kind in sorted(wanted.kinds)]))
    if wanted.reference is not None:
        found.append(window.reference == wanted.reference)
    if wanted.search:
        found.append(_contains(wanted.search))
    if wanted.location is not None:
        there = select(EvseKey(evse_location.c.evse_id)).where(evse_location.c.location == wanted.location)
        found.append(EvseKey(window.evse_id).in_(there))
    return found


def _is(state: WindowState, now: datetime) -> ColumnElement[bool]:
    begun = WindowStart(temporary_status.c.valid_from) <= now
    match state:
        case WindowState.ENDED:
            return not_(_not_over(now))
        case WindowState.ACTIVE:
            return and_(_not_over(now), begun)
        case WindowState.UPCOMING:
            return and_(_not_over(now), not_(begun))


def _not_over(now: datetime) -> ColumnElement[bool]:
    window = temporary_status.c
    # As in `state_of`: what cannot be read as an instant never comes.
    return not_over(WindowLimit(window.valid_to), WindowLimit(window.ended_at), now)


def _contains(search: str) -> ColumnElement[bool]:
    window = temporary_status.c
    words = [contains(column, search) for column in (window.reason, window.reference, window.created_by)]
    key = evse_key(search)
    if key:
        words.append(EvseKey(window.evse_id).like(part_of(key), escape=ESCAPE))
    return or_(*words)


def _value(order: WindowOrder) -> ColumnElement[Any]:
    window = temporary_status.c
    match order:
        case WindowOrder.ID:
            return window.id
        case WindowOrder.START:
            return WindowStart(window.valid_from)
        case WindowOrder.END:
            end = Earlier(WindowLimit(window.valid_to), WindowLimit(window.ended_at))
            return func.coalesce(end, literal(_NEVER, UtcTimestamp()), type_=UtcTimestamp())
        case WindowOrder.EVSE:
            return EvseKey(window.evse_id)


def _literal(order: WindowOrder, value: str) -> Any:
    match order:
        case WindowOrder.ID:
            return int(value)
        case WindowOrder.EVSE:
            return literal(value, KeyText())
        case WindowOrder.START | WindowOrder.END:
            return literal(read_instant(value) or _NEVER, UtcTimestamp())
