"""
Gives lists in pages: what a page is, and how the place where it ends travels.

A cursor is opaque to whoever gets it, and refused when it was not made here.
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.permission import require_scope
from oicp_adapter.control.window_model import WindowView, view_of
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.store.places import locations_of
from oicp_adapter.store.temporary import KEYS_END, TemporaryRecord
from oicp_adapter.store.windows import (
    WindowFilter as WindowFilter,  # noqa: PLC0414 - its users find it here
)
from oicp_adapter.store.windows import WindowOrder as WindowOrder  # noqa: PLC0414 - likewise
from oicp_adapter.store.windows import WindowPlace, WindowState, count_states, find_page, place_of

T = TypeVar("T")

LONGEST_PAGE: Final = 5000
"""Items of one page; a longer one would be held in memory at once."""

LOOKED_AT: Final = 20_000
"""Rows that one page looks at; a filter that lets few of them pass gets its page after so many."""

_LONGEST_VALUE: Final = 100
"""Characters of the value in a cursor; keys have 64 at most."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """
    A part of a list.

    Attributes:
        next: The cursor of the next part; None: there is none. A part may be shorter than was asked for, and have one.
    """

    items: Sequence[T]
    next: str | None


def list_windows(
    desk: Desk,
    actor: Actor,
    wanted: WindowFilter,
    *,
    order: WindowOrder = WindowOrder.ID,
    descending: bool = False,
    after: str | None = None,
    limit: int = 1000,
) -> Page[WindowView]:
    """
    Return a page of temporary statuses of the EVSEs that somebody may see.

    Args:
        after: The cursor that the page before gave; None: the first page.

    Raises:
        RequestRefusedError: NOT_PERMITTED without the scope, INVALID for a cursor that was not made here.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    limit = min(limit, LONGEST_PAGE)
    place = _window_place(after)
    items: list[WindowView] = []
    looked_at = 0
    while True:
        with desk.store.reading() as connection:
            now = desk.store.now(connection)
            rows = find_page(
                connection, wanted, order=order, descending=descending, after=place, limit=limit + 1, now=now
            )
        further = len(rows) > limit
        for record in _visible(desk, actor, rows[:limit]):
            items.append(view_of(record, now))
            if len(items) == limit:
                break
        last = items[-1].record if len(items) == limit else (rows[:limit][-1] if rows else None)
        looked_at += len(rows)
        if last is None or (not further and last is rows[:limit][-1]):
            return Page(items, None)
        place = place_of(last, order)
        if len(items) == limit or looked_at >= LOOKED_AT:
            return Page(items, cursor_of([place.value, place.id]))


def count_windows(desk: Desk, actor: Actor, wanted: WindowFilter) -> Mapping[WindowState, int]:
    """
    Count the temporary statuses that somebody may see by their state; every state is there.

    Raises:
        RequestRefusedError: NOT_PERMITTED without the scope.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    if actor.grant.covers_all:
        with desk.store.reading() as connection:
            return count_states(connection, wanted, desk.store.now(connection))
    counted: Counter[WindowState] = Counter()
    after: str | None = None
    while True:
        page = list_windows(desk, actor, wanted, after=after, limit=LONGEST_PAGE)
        counted.update(view.state for view in page.items)
        after = page.next
        if after is None:
            return {state: counted[state] for state in WindowState}


def cursor_of(place: object) -> str:
    """Return a place as it travels."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_cursor(text: str, check: Callable[[object], T | None]) -> T:
    """
    Return the place that a cursor names.

    Args:
        check: Returns what a place of the wanted kind means, None for every other.

    Raises:
        RequestRefusedError: INVALID; it was not made by `cursor_of`, or for another list.
    """
    try:
        place = check(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (binascii.Error, ValueError, RecursionError):
        place = None
    if place is None:
        raise RequestRefusedError(
            Refusal.INVALID, "the cursor is none of this list", cure="begin without one", field="after"
        )
    return place


def _window_place(after: str | None) -> WindowPlace | None:
    return read_cursor(after, _as_window_place) if after is not None else None


def _as_window_place(place: object) -> WindowPlace | None:
    match place:
        case [str(value), int(key)] if 0 <= key < KEYS_END and len(value) <= _LONGEST_VALUE and value.isprintable():
            return WindowPlace(value, key)
    return None


def _visible(desk: Desk, actor: Actor, rows: Sequence[TemporaryRecord]) -> Sequence[TemporaryRecord]:
    if actor.grant.covers_all:
        return rows
    with desk.store.reading(by_key=True) as connection:
        located = locations_of(connection, {evse_key(each.evse_id) for each in rows})
    return [
        each
        for each in rows
        if actor.grant.covers(each.evse_id, at.location if (at := located.get(evse_key(each.evse_id))) else None)
    ]
