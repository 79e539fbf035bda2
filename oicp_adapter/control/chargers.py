"""
Lists EVSEs with where they stand and how far the hub is from what the store says, in pages.

A page of a filter that few EVSEs pass ends after so many were looked at, and says where to go on.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, islice
from typing import Final

from sqlalchemy import Connection

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.listing import LONGEST_PAGE, LOOKED_AT, Page, cursor_of, read_cursor
from oicp_adapter.control.permission import require_covered, require_scope
from oicp_adapter.control.window_model import WindowView
from oicp_adapter.control.windows import unknown_evses
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.domain.statuses import Status, TemporaryStatus
from oicp_adapter.store.engine import Store
from oicp_adapter.store.evses import EvseOverview, EvseState, evse_overviews, leaving_evses, standing_evses
from oicp_adapter.store.places import PlaceCount, PlaceFilter, count_places, find_places, locations_of
from oicp_adapter.store.windows import WindowState

LONGEST_ID: Final = 3000
"""Characters of an EvseID in a cursor; an index of PostgreSQL holds no longer one."""

_CHUNK: Final = 500
"""EVSEs that are looked at together."""


@dataclass(frozen=True, slots=True)
class HubStanding:
    """
    How far the hub is from what the store says.

    Attributes:
        at: When the hub first acknowledged what it shows; None: it has acknowledged nothing, or shows something else.
        lag: For how long the hub has been behind, or how long it was until it acknowledged; None: not known.
        words: In a few words, as "acknowledged", "pending", "refused: why".
    """

    state: EvseState
    at: datetime | None
    lag: timedelta | None
    words: str


@dataclass(frozen=True, slots=True)
class ChargerView:
    """
    An EVSE, where it stands, and how far the hub is.

    Attributes:
        time_zone: Of the place, an IANA name as somebody wrote it.
    """

    overview: EvseOverview
    location: str | None
    charge_box: str | None
    time_zone: str | None
    hub: HubStanding


@dataclass(frozen=True, slots=True)
class ChargerFilter:
    """
    Which EVSEs are wanted; what is None or empty does not matter.

    Attributes:
        evse_ids: In any spelling.
        search: A part of the EvseID in any spelling, of the location or of the charge box, in any case.
        operator_id: Of its row, in any spelling.
        temporary: The temporary status that applies now.
    """

    evse_ids: frozenset[str] = frozenset()
    search: str | None = None
    operator_id: str | None = None
    location: str | None = None
    charge_box: str | None = None
    effective: Status | None = None
    temporary: TemporaryStatus | None = None
    state: EvseState | None = None

    @property
    def by_place(self) -> PlaceFilter | None:
        """The part that is asked of the tables of places; None: there is none."""
        wanted = PlaceFilter(self.location, self.charge_box, self.search)
        return wanted if wanted != PlaceFilter() else None


@dataclass(frozen=True, slots=True)
class ChargeBoxCount:
    """A charge box, None for EVSEs of none, and how many EVSEs it has."""

    charge_box: str | None
    evses: int


@dataclass(frozen=True, slots=True)
class LocationCount:
    """A location, None for EVSEs of none, with its charge boxes and how many EVSEs they have."""

    location: str | None
    charge_boxes: Sequence[ChargeBoxCount]
    evses: int


def list_chargers(
    desk: Desk, actor: Actor, wanted: ChargerFilter, *, after: str | None = None, limit: int = 1000
) -> Page[ChargerView]:
    """
    Return a page of the EVSEs that somebody may see: by their EvseIDs, and last those that are being withdrawn.

    Args:
        after: The cursor that the page before gave; None: the first page.

    Raises:
        RequestRefusedError: NOT_PERMITTED without the scope, INVALID for a cursor that was not made here.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    limit = min(limit, LONGEST_PAGE)
    last = (
        read_cursor(after, partial(_as_place, desk.store)) if after is not None else _Place(leaving=False, evse_id=None)
    )
    items: list[ChargerView] = []
    for looked_at, (here, found) in enumerate(_candidates(desk, wanted, last, min(limit + 1, _CHUNK)), start=1):
        if found is not None and _passes(found, wanted) and actor.grant.covers(here.evse_id or "", found.location):
            if len(items) == limit:
                return Page(items, cursor_of([last.leaving, last.evse_id]))
            items.append(found)
        last = here
        if looked_at >= LOOKED_AT:
            return Page(items, cursor_of([last.leaving, last.evse_id]))
    return Page(items, None)


def get_charger(desk: Desk, actor: Actor, evse_id: str) -> ChargerView:
    """
    Return one EVSE, in any spelling.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE, or NOT_PERMITTED for one beyond the grant.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    found = _views(desk, [evse_id])
    if not found:
        raise unknown_evses([evse_id])
    require_covered(actor, [(found[0].overview.evse_id, found[0].location)])
    return found[0]


def locations(desk: Desk, actor: Actor) -> Sequence[LocationCount]:
    """
    Count the EVSEs that somebody may see by location and charge box, in the order of their names.

    What stands nowhere comes last.

    Raises:
        RequestRefusedError: NOT_PERMITTED without the scope.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    with desk.store.reading() as connection:
        counted = count_places(connection) if actor.grant.covers_all else _count_covered(connection, actor)
    ordered = sorted(
        counted,
        key=lambda each: (each.location is None, each.location or "", each.charge_box is None, each.charge_box or ""),
    )
    found = []
    for location, group in groupby(ordered, key=lambda each: each.location):
        boxes = [ChargeBoxCount(each.charge_box, each.evses) for each in group]
        found.append(LocationCount(location, boxes, sum(box.evses for box in boxes)))
    return found


def _count_covered(connection: Connection, actor: Actor) -> Sequence[PlaceCount]:
    """Count what a grant covers, EVSE by EVSE: patterns are Python's to match."""
    counted: Counter[tuple[str | None, str | None]] = Counter()
    last: str | None = None
    while places := find_places(connection, PlaceFilter(), limit=_CHUNK, after=last):
        counted.update(
            (each.location, each.charge_box) for each in places if actor.grant.covers(each.evse_id, each.location)
        )
        last = places[-1].evse_id
    return [PlaceCount(location, box, evses) for (location, box), evses in counted.items()]


def standing_of(seen: EvseOverview) -> HubStanding:
    """Tell how far the hub is for one EVSE."""
    entry = seen.entry
    at = entry.acknowledged_since if entry is not None and seen.state is EvseState.IN_SYNC else None
    if seen.rejected is not None:
        return HubStanding(seen.state, None, None, f"never sent: {foreign_text(seen.rejected.detail)}")
    match seen.state:
        case EvseState.IN_SYNC:
            return HubStanding(seen.state, at, None, "acknowledged")
        case EvseState.PENDING:
            return HubStanding(seen.state, None, _age(seen), "pending")
        case EvseState.IN_DOUBT:
            return HubStanding(seen.state, None, _age(seen), "a request with it is unanswered, it is sent again")
        case EvseState.QUARANTINED:
            refusal = entry.refusal_detail or entry.refusal if entry is not None else None
            return HubStanding(seen.state, None, _age(seen), f"refused: {foreign_text(refusal or 'no words')}")
        case EvseState.HELD:
            return HubStanding(seen.state, None, _age(seen), "its withdrawal waits for a person")


def window_standing(desk: Desk, views: Sequence[WindowView]) -> Sequence[HubStanding | None]:
    """
    Tell how far the hub is with windows that apply now; None for the others, and for those of no EVSE.

    The lag is how long it took from when it began to apply, or was last changed, to the acknowledgement.

    Raises:
        StoreError: The store could not be read.
    """
    active = [each for each in views if each.state is WindowState.ACTIVE]
    seen_of = _views(desk, [each.record.evse_id for each in active])
    found = {evse_key(each.overview.evse_id): each.overview for each in seen_of}
    return [
        _of_window(view, seen)
        if view.state is WindowState.ACTIVE and (seen := found.get(evse_key(view.record.evse_id))) is not None
        else None
        for view in views
    ]


def _of_window(view: WindowView, seen: EvseOverview) -> HubStanding:
    standing = standing_of(seen)
    record = view.record
    changed = [at for at in (record.window.valid_from, record.updated_at) if at is not None]
    if standing.at is None or seen.resolution is None:
        return standing
    since = max(changed)
    # What the hub showed before anybody asked took no time at all, and says nothing about the way there.
    lag = standing.at - since if standing.at >= since else None
    return HubStanding(standing.state, standing.at, lag, standing.words)


def _age(seen: EvseOverview) -> timedelta | None:
    since = seen.entry.pending_since if seen.entry is not None else None
    return seen.now - since if since is not None else None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ends: among those that are being withdrawn, or before; None: at the beginning."""

    leaving: bool
    evse_id: str | None


def _candidates(
    desk: Desk, wanted: ChargerFilter, after: _Place, chunk: int
) -> Iterator[tuple[_Place, ChargerView | None]]:
    """Yield what may pass the filter, with its place; None for what vanished between two reads."""
    lanes = list(desk.lanes.values())
    ids = sorted(wanted.evse_ids) or None
    if not after.leaving:
        if ids is None and wanted.by_place is not None:
            yield from _at_places(desk, wanted.by_place, after.evse_id, chunk)
        else:
            seen = standing_evses(desk.store, lanes, desk.mapping, ids, after=after.evse_id, page=chunk)
            yield from _placed(desk, seen, chunk, leaving=False)
    last = after.evse_id if after.leaving else None
    yield from _placed(desk, leaving_evses(desk.store, lanes, ids, after=last), chunk, leaving=True)


def _at_places(
    desk: Desk, wanted: PlaceFilter, last: str | None, chunk: int
) -> Iterator[tuple[_Place, ChargerView | None]]:
    while True:
        with desk.store.reading() as connection:
            places = find_places(connection, wanted, limit=chunk, after=last)
        if not places:  # fewer than asked for are no end: two spellings of one EVSE are one place
            return
        views = {view.overview.evse_id: view for view in _views(desk, [place.evse_id for place in places])}
        for place in places:
            yield _Place(leaving=False, evse_id=place.evse_id), views.get(place.evse_id)
        last = places[-1].evse_id


def _placed(
    desk: Desk, seen: Iterator[EvseOverview], chunk: int, *, leaving: bool
) -> Iterator[tuple[_Place, ChargerView]]:
    while some := list(islice(seen, chunk)):
        for view in _located(desk, some):
            yield _Place(leaving, view.overview.evse_id), view


def _views(desk: Desk, evse_ids: Sequence[str]) -> Sequence[ChargerView]:
    if not evse_ids:
        return []
    lanes = list(desk.lanes.values())
    return _located(desk, list(evse_overviews(desk.store, lanes, desk.mapping, evse_ids)))


def _located(desk: Desk, seen: Sequence[EvseOverview]) -> Sequence[ChargerView]:
    if not seen:
        return []
    with desk.store.reading(by_key=True) as connection:
        located = locations_of(connection, {evse_key(each.evse_id) for each in seen})
    views = []
    for each in seen:
        place = located.get(evse_key(each.evse_id))
        where = (place.location, place.charge_box, place.time_zone) if place is not None else (None, None, None)
        views.append(ChargerView(each, *where, standing_of(each)))
    return views


def _passes(found: ChargerView, wanted: ChargerFilter) -> bool:
    seen = found.overview
    resolution = seen.resolution
    window = resolution.window if resolution is not None else None
    return all(
        (
            wanted.operator_id is None or operator_key(seen.operator_id or "") == operator_key(wanted.operator_id),
            wanted.location is None or found.location == wanted.location,
            wanted.charge_box is None or found.charge_box == wanted.charge_box,
            not wanted.search or _mentions(found, wanted.search),
            wanted.effective is None or (resolution is not None and resolution.effective is wanted.effective),
            wanted.temporary is None or (window is not None and window.kind is wanted.temporary),
            wanted.state is None or seen.state is wanted.state,
        )
    )


def _mentions(found: ChargerView, part: str) -> bool:
    """Tell whether a part is in an EvseID or the names of its place, as `find_places` does."""
    key = evse_key(part)
    if key and key in evse_key(found.overview.evse_id):
        return True
    return any(part.lower() in (text or "").lower() for text in (found.location, found.charge_box))


def _as_place(store: Store, place: object) -> _Place | None:
    match place:
        case [bool(leaving), str(evse_id)] if len(evse_id) <= LONGEST_ID and _can_hold(store, evse_id):
            return _Place(leaving, evse_id)
    return None


def _can_hold(store: Store, text: str) -> bool:
    """Tell whether a store can be asked for a text: no encoding has half a surrogate pair, PostgreSQL has no NUL."""
    if "\0" in text and store.dialect == "postgresql":
        return False
    return not any("\ud800" <= character <= "\udfff" for character in text)
