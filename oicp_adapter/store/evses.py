"""
Tells of each EVSE what the charger says, what is published and what the hub confirmed, and how far the two are apart.

1. Streamed in the order of the EvseIDs, a page in memory at a time, each page from a transaction of its own. Of what is
   to be withdrawn the EvseIDs are held besides, since the ledger has another order.
2. The answers are the domain's own: `judge_rows` and `resolve`, as the lanes use them.
3. EVSEs that are about to be withdrawn have no technical status; those that were withdrawn are not shown, nor are rows
   that say Removed of what the hub does not hold: `removed_rows` has them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from heapq import merge
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, select

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId, evse_key, operator_key
from oicp_adapter.domain.resolution import Resolution, resolve
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping, is_removed
from oicp_adapter.domain.unserved import unserved
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import EvseKey, WindowLimit, among
from oicp_adapter.store.keyset import key_as_read, place, place_type, place_value
from oicp_adapter.store.ledger import read_entries
from oicp_adapter.store.observing import Found, read_found
from oicp_adapter.store.position import read_position
from oicp_adapter.store.schema import evse_status, ledger
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.withdrawals import may_be_at_the_hub, standing
from oicp_adapter.sync.assess import judge_rows
from oicp_adapter.sync.model import Entry, Position, Presence, Rejected, Rejection, StatusRow

PAGE: Final = 2000
"""EVSEs in one read."""


class EvseState(StrEnum):
    """How far the hub is from the store, for one EVSE."""

    IN_SYNC = "in_sync"
    """The hub has acknowledged what is to be seen."""

    PENDING = "pending"
    """The hub has not acknowledged it yet."""

    IN_DOUBT = "in_doubt"
    """A request with it is unanswered."""

    QUARANTINED = "quarantined"
    """The hub refused it again and again, or fell silent over it; or its row never leaves the house."""

    HELD = "held"
    """Its withdrawal waits for a person."""


@dataclass(frozen=True, slots=True)
class EvseOverview:
    """
    Everything about one row of `evse_status`, or about an EVSE that is to be withdrawn.

    Attributes:
        evse_id: As spelled in the store; for a withdrawal as the hub knows it.
        operator_id: Of its row; None: it has no row any more.
        lane: Whose it is; None: no lane serves its operator.
        technical: The charger's own word; None: it is to be withdrawn.
        changed_at: When that was written.
        windows: Its windows that apply or will.
        resolution: What outsiders should see; None: it is to be withdrawn.
        rejected: Why it never leaves the house; None: it does.
        entry: What the ledger holds of it; None: nothing.
        position: Where its lane stands; a fresh one where no lane serves its operator.
        state: How far the hub is from the store.
        now: When this was true, by the database's clock.
    """

    evse_id: EvseId
    operator_id: OperatorId | None
    lane: str | None
    technical: str | None
    changed_at: datetime | None
    windows: Sequence[Window]
    resolution: Resolution | None
    rejected: Rejected | None
    entry: Entry | None
    position: Position
    state: EvseState
    now: datetime

    @property
    def acknowledged(self) -> OicpStatus | None:
        """What the hub confirmed last; None: nothing."""
        return self.entry.acknowledged if self.entry is not None else None


@dataclass(frozen=True, slots=True)
class RemovedRow:
    """
    A row of `evse_status` that says Removed.

    Attributes:
        evse_id: As spelled in the store.
        changed_at: When that was written; None: not known.
        withdrawn_at: When the hub confirmed its deletion; None: no deletion of it is known.
    """

    evse_id: EvseId
    changed_at: datetime | None
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which EVSEs are wanted; see `evse_overviews`."""

    keys: Collection[str] | None
    after: str | None
    page: int


@dataclass(slots=True)
class _Page:
    """What was read for one page, and the lanes it is judged by."""

    now: datetime
    rows: Sequence[StatusRow]
    found: Mapping[str, Found]
    entries: Mapping[str, Mapping[CanonicalEvseId, Entry]]
    positions: Mapping[str, Position]
    judged: dict[tuple[str, str], Mapping[str, Rejected]] = field(default_factory=dict)


def evse_overviews(
    store: Store,
    lanes: Sequence[LaneScope],
    mapping: StatusMapping,
    evse_ids: Collection[str] | None = None,
) -> Iterator[EvseOverview]:
    """
    Stream what is known of EVSEs, in the order of their EvseIDs.

    Args:
        lanes: All lanes of the settings.
        evse_ids: Whose; in any spelling, and whatever the store does not know is left out. None: all.

    Raises:
        StoreError: The store could not be read.
    """
    rows = standing_evses(store, lanes, mapping, evse_ids, page=PAGE)
    yield from merge(rows, leaving_evses(store, lanes, evse_ids), key=attrgetter("evse_id"))


def standing_evses(
    store: Store,
    lanes: Sequence[LaneScope],
    mapping: StatusMapping,
    evse_ids: Collection[str] | None = None,
    *,
    after: str | None = None,
    page: int,
) -> Iterator[EvseOverview]:
    """
    Do what `evse_overviews` does for rows of `evse_status` alone; costs as much as is taken of it.

    Args:
        after: Only EvseIDs that come after this one; None: from the first.
        page: EVSEs in one read.

    Raises:
        StoreError: The store could not be read.
    """
    yield from _rows(store, lanes, mapping, _Wanted(_keys(evse_ids), after, page))


def leaving_evses(
    store: Store, lanes: Sequence[LaneScope], evse_ids: Collection[str] | None = None, *, after: str | None = None
) -> Iterator[EvseOverview]:
    """
    Do what `evse_overviews` does for EVSEs that are to be withdrawn alone; looks at the whole ledger, page by page.

    Raises:
        StoreError: The store could not be read.
    """
    wanted = _Wanted(_keys(evse_ids), after, PAGE)
    yield from merge(*(_withdrawals(store, lane, wanted) for lane in lanes), key=attrgetter("evse_id"))


def _keys(evse_ids: Collection[str] | None) -> Collection[str] | None:
    return None if evse_ids is None else {evse_key(text) for text in evse_ids}


def removed_rows(store: Store, lanes: Sequence[LaneScope], evse_ids: Collection[str]) -> Sequence[RemovedRow]:
    """
    Return the rows of these EVSEs that say Removed, in the order of their EvseIDs.

    Args:
        lanes: All lanes of the settings.
        evse_ids: In any spelling.

    Raises:
        StoreError: The store could not be read.
    """
    keys = {evse_key(text) for text in evse_ids}
    status = evse_status.c
    statement = select(status.evse_id, status.status, WindowLimit(status.changed_at).label("at")).where(
        among(EvseKey(status.evse_id), keys)
    )
    with store.reading(by_key=True) as connection:
        rows = [row for row in connection.execute(statement.order_by(status.evse_id)) if is_removed(row.status)]
        entries = [entry for lane in lanes for entry in read_entries(connection, lane.lane, keys).values()]
    withdrawn = {entry.canonical: entry.withdrawn_at for entry in entries if entry.withdrawn_at is not None}
    return [RemovedRow(EvseId(row.evse_id), row.at, withdrawn.get(evse_key(row.evse_id))) for row in rows]


def _rows(store: Store, lanes: Sequence[LaneScope], mapping: StatusMapping, wanted: _Wanted) -> Iterator[EvseOverview]:
    by_operator = {operator: lane for lane in lanes for operator in lane.operator_keys}
    last: object = wanted.after
    while True:
        with store.reading(by_key=True) as connection:
            page, last, full = _read_page(connection, store, lanes, wanted, last)
        for row in page.rows:
            if not is_removed(row.status):
                yield _overview(row, page, by_operator.get(operator_key(row.operator_id)), mapping)
        if not full:
            return


def _read_page(
    connection: Connection, store: Store, lanes: Sequence[LaneScope], wanted: _Wanted, last: object
) -> tuple[_Page, object, bool]:
    now = store.now(connection)
    status = evse_status.c
    at, key = WindowLimit(status.changed_at).label("at"), key_as_read().label("place")
    statement = select(status.evse_id, status.operator_id, status.status, at, key)
    if (kind := place_type(last)) is not None:
        statement = statement.where(status.evse_id > place("last", kind))
    if wanted.keys is not None:
        statement = statement.where(among(EvseKey(status.evse_id), wanted.keys))
    read = connection.execute(statement.order_by(status.evse_id).limit(wanted.page), {"last": place_value(last)}).all()
    rows = [StatusRow(EvseId(row.evse_id), OperatorId(row.operator_id), row.status, row.at) for row in read]
    keys = {evse_key(row.evse_id) for row in rows}
    page = _Page(
        now=now,
        rows=rows,
        found=read_found(connection, keys, now),
        entries={lane.lane: read_entries(connection, lane.lane, keys) for lane in lanes},
        positions={lane.lane: read_position(connection, lane.lane) for lane in lanes},
    )
    return page, read[-1].place if read else last, len(read) == wanted.page


def _overview(row: StatusRow, page: _Page, lane: LaneScope | None, mapping: StatusMapping) -> EvseOverview:
    key = evse_key(row.evse_id)
    found = page.found.get(key, Found())
    resolution = resolve(row.status, found.windows, page.now, mapping)
    rejected = _why_not(row, page, lane)
    entry = None
    if lane is not None and rejected is None:
        entry = page.entries[lane.lane].get(key)
    position = page.positions[lane.lane] if lane is not None else Position()
    return EvseOverview(
        evse_id=row.evse_id,
        operator_id=row.operator_id,
        lane=lane.lane if lane is not None else None,
        technical=row.status,
        changed_at=row.changed_at,
        windows=found.windows,
        resolution=resolution,
        rejected=rejected,
        entry=entry,
        position=position,
        state=EvseState.QUARANTINED if rejected is not None else _state(entry, resolution.oicp, position),
        now=page.now,
    )


def _why_not(row: StatusRow, page: _Page, lane: LaneScope | None) -> Rejected | None:
    key = evse_key(row.evse_id)
    if lane is None:
        why = str(unserved(row.operator_id))
        return Rejected(row.evse_id, key, row.operator_id, Rejection.OPERATOR_NOT_SERVED, why)
    judged = page.judged.get((lane.lane, key))
    if judged is None:
        found = page.found.get(key)
        siblings = found.rows if found is not None else [row]
        ours = [each for each in siblings if operator_key(each.operator_id) in lane.operator_keys]
        _, rejected = judge_rows(ours, lane.operator_keys)
        judged = page.judged[lane.lane, key] = {each.evse_id: each for each in rejected}
    return judged.get(row.evse_id)


def _withdrawals(store: Store, lane: LaneScope, wanted: _Wanted) -> Iterator[EvseOverview]:
    """Stream what the hub may hold although no row stands for it any more."""
    leaving = [canonical for _, canonical in sorted(_leaving(store, lane, wanted))]
    for start in range(0, len(leaving), wanted.page):
        with store.reading(by_key=True) as connection:
            now = store.now(connection)
            position = read_position(connection, lane.lane)
            found = read_entries(connection, lane.lane, leaving[start : start + wanted.page])
        for entry in sorted(found.values(), key=attrgetter("evse_id")):
            yield EvseOverview(
                evse_id=entry.evse_id,
                operator_id=None,
                lane=lane.lane,
                technical=None,
                changed_at=None,
                windows=(),
                resolution=None,
                rejected=None,
                entry=entry,
                position=position,
                state=_state(entry, None, position),
                now=now,
            )


def _leaving(store: Store, lane: LaneScope, wanted: _Wanted) -> Iterator[tuple[str, CanonicalEvseId]]:
    """
    Yield EvseID and key of what the hub may hold and no row stands for, in the order of the keys.

    The ledger is read by its primary key: in the order of the EvseIDs each page would have to sort all of it.
    """
    held = select(ledger.c.evse_id, ledger.c.canonical).where(
        ledger.c.lane == lane.lane, may_be_at_the_hub(), ledger.c.withdrawn_at.is_(None)
    )
    if wanted.keys is not None:
        held = held.where(among(ledger.c.canonical, wanted.keys))
    if wanted.after is not None:
        held = held.where(ledger.c.evse_id > wanted.after)
    last = ""
    while True:
        statement = held.where(ledger.c.canonical > last).order_by(ledger.c.canonical).limit(wanted.page)
        with store.reading(by_key=True) as connection:
            page = connection.execute(statement).all()
            canonicals = {row.canonical for row in page}
            gone = canonicals - standing(connection, canonicals, lane.operator_keys)
        yield from ((row.evse_id, row.canonical) for row in page if row.canonical in gone)
        if len(page) < wanted.page:
            return
        last = page[-1].canonical


def _state(entry: Entry | None, published: Any, position: Position) -> EvseState:
    """Judge one EVSE; *published* is None when it is to be withdrawn."""
    if entry is None:
        return EvseState.PENDING
    if entry.held_since is not None and entry.approved_at is None:
        return EvseState.HELD
    if entry.retry_at is not None:
        return EvseState.QUARANTINED
    before = position.doubted_before
    lost = before is not None and entry.asserted_at is not None and entry.asserted_at < before
    if entry.doubted_at is not None or lost:
        return EvseState.IN_DOUBT
    if entry.acknowledged is not published or entry.presence is Presence.ABSENT:
        return EvseState.PENDING
    return EvseState.IN_SYNC
