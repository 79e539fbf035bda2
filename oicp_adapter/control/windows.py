"""
Sets, changes and ends temporary statuses, for the API, the operator page and the command line.

1. An ended window never changes. A start that has passed does not move. All else may, and the audit keeps what was
   before.
2. The database's clock decides what has passed.
3. The author is whoever asks, never what a request says.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, cast

from oicp_adapter.control.desk import Change, Desk, Done, change, change_once
from oicp_adapter.control.entries import CLOCKS_APART, require_ahead, require_order, require_texts, require_zone
from oicp_adapter.control.permission import require_covered, require_kind, require_length, require_own, require_scope
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.audit import AuditEntry, read_audit
from oicp_adapter.store.idempotency import Once
from oicp_adapter.store.places import Place, locations_of, places_of
from oicp_adapter.store.temporary import (
    NewWindow,
    TemporaryRecord,
    find_window,
    find_windows,
    insert_windows,
    update_window,
)
from oicp_adapter.store.windows import WindowState as WindowState  # noqa: PLC0414 - its users find it here
from oicp_adapter.store.windows import state_of


@dataclass(frozen=True, slots=True)
class WindowView:
    """
    A temporary status as it stood at an instant.

    Attributes:
        etag: Another one after each change.
        now: The instant, by the database's clock.
    """

    record: TemporaryRecord
    state: WindowState
    etag: str
    now: datetime


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """
    What is to be set.

    Attributes:
        valid_from: Aware; None: now.
        valid_to: Aware, the first instant at which it no longer applies; None: until ended.
        time_zone: In which the times were entered, an IANA name; None: they came with an offset alone.
    """

    evse_id: str
    kind: TemporaryStatus
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    time_zone: str | None = None
    reason: str | None = None
    reference: str | None = None


class WindowChanges(TypedDict, total=False):
    """What is to be changed; what is absent stays. `valid_to` None: until ended."""

    evse_id: str
    kind: TemporaryStatus
    valid_from: datetime
    valid_to: datetime | None
    time_zone: str | None
    reason: str | None
    reference: str | None


_COLUMNS: Final = {"kind": "status"}
"""Where a change has another name than its column."""


def set_window(desk: Desk, actor: Actor, request: WindowRequest, *, once: Once | None = None) -> Done[WindowView]:
    """
    Set a temporary status on one EVSE.

    Args:
        once: What the request is known by, if it may come twice.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE, INVALID, NOT_PERMITTED or KEY_REUSED.
        StoreError: The store could not be written.
    """
    place = known_places(desk, [request.evse_id])[0]
    require_settable(actor, [place], request)

    def do(changing: Change) -> WindowView:
        return insert(changing, actor, [request])[0]

    return change_once(desk, actor, once, do)


def get_window(desk: Desk, actor: Actor, key: int) -> WindowView:
    """
    Return one temporary status.

    Raises:
        RequestRefusedError: NOT_FOUND, or NOT_PERMITTED for an EVSE beyond the grant.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    with desk.store.reading() as connection:
        found = find_window(connection, key)
        now = desk.store.now(connection)
    if found is None:
        raise not_found(key)
    require_covered(actor, _located(desk, actor, [found.evse_id]))
    return view_of(found, now)


def history(desk: Desk, actor: Actor, key: int) -> Sequence[AuditEntry]:
    """
    Return what was done to one temporary status, the oldest first; empty where another program wrote it.

    Raises:
        RequestRefusedError: As for `get_window`.
        StoreError: The store could not be read.
    """
    get_window(desk, actor, key)
    with desk.store.reading() as connection:
        return read_audit(connection, key)


def change_window(
    desk: Desk, actor: Actor, key: int, changes: WindowChanges, *, if_match: str | None = None
) -> WindowView:
    """
    Change a temporary status; what is the same already stays, and is no change.

    Args:
        if_match: The etag that it must still have; None: any.

    Raises:
        RequestRefusedError: NOT_FOUND, WINDOW_OVER, START_PASSED, CHANGED_MEANWHILE, INVALID, UNKNOWN_EVSE or
            NOT_PERMITTED.
        StoreError: The store could not be written.
    """
    _require_possible(desk, actor, changes)
    return _change_each(desk, actor, [key], lambda _: changes, if_match=if_match)[0]


def end_windows(
    desk: Desk, actor: Actor, keys: Collection[int], *, if_match: str | None = None
) -> Sequence[WindowView]:
    """
    End temporary statuses now, all or none; one that is over stays as it is.

    Returns:
        The windows in the order of their ids.

    Raises:
        RequestRefusedError: NOT_FOUND, CHANGED_MEANWHILE or NOT_PERMITTED.
        StoreError: The store could not be written.
    """
    require_scope(actor, Scope.SET)
    located = _places_of_windows(desk, actor, keys)

    def do(changing: Change) -> Sequence[WindowView]:
        ended = []
        for key in sorted(keys):
            before, now = _lock(desk, changing, key)
            _require_change(actor, before, located)
            _require_match(before, now, if_match)
            ended.append(end_locked(changing, before, now))
        return ended

    return change(desk, actor, do)


def extend_windows(
    desk: Desk,
    actor: Actor,
    keys: Collection[int],
    *,
    by: timedelta | None = None,
    to: datetime | None = None,
    if_match: str | None = None,
) -> Sequence[WindowView]:
    """
    Move the end of temporary statuses, all or none.

    Args:
        by: To be added to each one's end.
        to: The end of all of them, where *by* is None; None: until ended.

    Raises:
        RequestRefusedError: INVALID where there is no end to add to, else as for `change_window`.
        StoreError: The store could not be written.
    """

    def changes(before: TemporaryRecord) -> WindowChanges:
        if by is None:
            return {"valid_to": to}
        end = before.window.valid_to
        if end is None:
            raise RequestRefusedError(
                Refusal.INVALID,
                f"temporary status {before.window.id} has no end to add to",
                cure="name the end instead of a duration",
                field="by",
            )
        return {"valid_to": _later(end, by)}

    return _change_each(desk, actor, keys, changes, if_match=if_match)


def view_of(record: TemporaryRecord, now: datetime) -> WindowView:
    """Return a temporary status as it stands at an instant."""
    facts = json.dumps([record.window.id, fields_of(record), str(record.updated_at)], sort_keys=True)
    etag = hashlib.sha256(facts.encode(errors="surrogatepass")).hexdigest()[:32]
    return WindowView(record, state_of(record, now), etag, now)


def fields_of(record: TemporaryRecord) -> Mapping[str, Any]:
    """Return what the audit keeps of a temporary status, in the names of the API, instants in UTC."""
    window = record.window
    return {
        "evseId": record.evse_id,
        "temporaryStatus": window.kind.upper(),
        "validFrom": window.valid_from.isoformat(),
        "validTo": window.valid_to.isoformat() if window.valid_to is not None else None,
        "endedAt": window.ended_at.isoformat() if window.ended_at is not None else None,
        "timeZone": record.time_zone,
        "reason": record.reason,
        "reference": record.reference,
    }


def not_found(key: int) -> RequestRefusedError:
    """Return the refusal for an id that no window has."""
    return RequestRefusedError(
        Refusal.NOT_FOUND, f"there is no temporary status {key}", cure="list them to see their numbers"
    )


def known_places(desk: Desk, evse_ids: Sequence[str]) -> Sequence[Place]:
    """
    Return the EVSEs with these identifiers, in any spelling, in the order in which they came.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE; all that the store has not are named.
        StoreError: The store could not be read.
    """
    with desk.store.reading(by_key=True) as connection:
        found = places_of(connection, {evse_key(each) for each in evse_ids})
    unknown = [each for each in evse_ids if evse_key(each) not in found]
    if unknown:
        raise unknown_evses(unknown)
    return [found[evse_key(each)] for each in evse_ids]


def unknown_evses(evse_ids: Sequence[str]) -> RequestRefusedError:
    """Return the refusal for EVSEs that the store has not."""
    named = 20
    shown = ", ".join(foreign_text(each, 60) for each in evse_ids[:named])
    more = f" and {len(evse_ids) - named} more" if len(evse_ids) > named else ""
    return RequestRefusedError(
        Refusal.UNKNOWN_EVSE,
        f"no EVSE {shown}{more} is in the store",
        cure="correct the EvseID, or wait until its charger has been imported",
        field="evseId",
        facts={"evseIds": [foreign_text(each, 60) for each in evse_ids[:named]], "count": len(evse_ids)},
    )


def require_settable(actor: Actor, places: Sequence[Place], request: WindowRequest) -> None:
    """
    Do nothing for a temporary status that somebody may set on these EVSEs; its times are judged when it is written.

    Raises:
        RequestRefusedError: NOT_PERMITTED or INVALID.
    """
    require_scope(actor, Scope.SET)
    require_kind(actor, request.kind)
    require_covered(actor, [(place.evse_id, place.location) for place in places])
    require_zone(request.time_zone)
    require_texts(reason=request.reason, reference=request.reference)


def insert(changing: Change, actor: Actor, requests: Sequence[WindowRequest]) -> Sequence[WindowView]:
    """Write what `require_settable` let pass, and write it down; their times are judged here."""
    now = changing.now
    for start, end in {(each.valid_from, each.valid_to) for each in requests}:
        require_order(start or now, end)
        require_ahead(end, now)
        require_length(actor, start or now, end)
    rows = [
        NewWindow(
            evse_id=each.evse_id,
            kind=each.kind,
            valid_from=each.valid_from or now,
            valid_to=each.valid_to,
            reason=each.reason,
            reference=each.reference,
            created_by=actor.name,
            token_id=actor.token_id,
            time_zone=each.time_zone,
        )
        for each in requests
    ]
    keys = insert_windows(changing.connection, rows, now)
    made = {each.window.id: each for each in find_windows(changing.connection, keys)}
    changing.note_all(
        [
            changing.entry("window.set", window_id=key, subject=made[key].evse_id, after=fields_of(made[key]))
            for key in keys
        ]
    )
    return [view_of(made[key], now) for key in keys]


def lock_window(desk: Desk, changing: Change, key: int) -> tuple[TemporaryRecord, datetime] | None:
    """Return a window that nobody else changes meanwhile, and the time once that is certain; None: there is none."""
    found = find_window(changing.connection, key, locked=True)
    return (found, desk.store.now(changing.connection)) if found is not None else None


def apply_changes(
    changing: Change, before: TemporaryRecord, changes: WindowChanges, *, now: datetime, if_match: str | None = None
) -> WindowView:
    """
    Change a window that `lock_window` returned; whether somebody may has been asked.

    Raises:
        RequestRefusedError: WINDOW_OVER, START_PASSED, CHANGED_MEANWHILE, INVALID or NOT_PERMITTED.
    """
    key = before.window.id
    _require_match(before, now, if_match)
    if state_of(before, now) is WindowState.ENDED:
        end = before.window.end
        raise RequestRefusedError(
            Refusal.WINDOW_OVER,
            f"temporary status {key} has been over since {end:%Y-%m-%d %H:%M:%S} UTC",
            cure="set a new one; what is over never changes",
        )
    values = {name: value for name, value in changes.items() if value != _present(before, name)}
    if "valid_from" in values and before.window.valid_from <= now:
        raise RequestRefusedError(
            Refusal.START_PASSED,
            f"temporary status {key} has applied since {before.window.valid_from:%Y-%m-%d %H:%M:%S} UTC",
            cure="its start does not move any more; end it and set a new one",
            field="validFrom",
        )
    end = cast("datetime | None", values.get("valid_to"))
    if end is not None and before.window.valid_from < now and now - CLOCKS_APART <= end <= now:
        return end_locked(changing, before, now)
    if values:
        _write(changing, before, cast("WindowChanges", values), now)
    return _reread(changing, key, now)


def end_locked(changing: Change, before: TemporaryRecord, now: datetime) -> WindowView:
    """End a window that `lock_window` returned; one that is over stays as it is."""
    key = before.window.id
    if state_of(before, now) is not WindowState.ENDED:
        update_window(changing.connection, key, {"ended_at": now, "ended_by": changing.actor.name}, now)
        _note(changing, "window.end", before)
    return _reread(changing, key, now)


def _change_each(
    desk: Desk,
    actor: Actor,
    keys: Collection[int],
    changes_of: Callable[[TemporaryRecord], WindowChanges],
    *,
    if_match: str | None,
) -> Sequence[WindowView]:
    require_scope(actor, Scope.SET)
    located = _places_of_windows(desk, actor, keys)

    def do(changing: Change) -> Sequence[WindowView]:
        changed = []
        for key in sorted(keys):
            before, now = _lock(desk, changing, key)
            _require_change(actor, before, located)
            changed.append(apply_changes(changing, before, changes_of(before), now=now, if_match=if_match))
        return changed

    return change(desk, actor, do)


def _write(changing: Change, before: TemporaryRecord, values: WindowChanges, now: datetime) -> None:
    key = before.window.id
    start = values.get("valid_from", before.window.valid_from)
    end = values.get("valid_to", before.window.valid_to)
    require_order(start, end)
    require_ahead(end, now)
    require_length(changing.actor, start, end)
    columns: dict[str, Any] = {_COLUMNS.get(name, name): value for name, value in values.items()}
    update_window(changing.connection, key, columns, now)
    _note(changing, "window.change", before)


def _note(changing: Change, action: str, before: TemporaryRecord) -> None:
    key = before.window.id
    after = find_window(changing.connection, key)
    changing.note(
        action,
        window_id=key,
        subject=before.evse_id,
        before=fields_of(before),
        after=fields_of(after) if after is not None else None,
    )


def _lock(desk: Desk, changing: Change, key: int) -> tuple[TemporaryRecord, datetime]:
    found = lock_window(desk, changing, key)
    if found is None:
        raise not_found(key)
    return found


def _reread(changing: Change, key: int, now: datetime) -> WindowView:
    found = find_window(changing.connection, key)
    if found is None:
        raise not_found(key)
    return view_of(found, now)


def _present(record: TemporaryRecord, name: str) -> object:
    if name in {"kind", "valid_from", "valid_to"}:
        return getattr(record.window, name)
    return getattr(record, name)


def _require_match(record: TemporaryRecord, now: datetime, if_match: str | None) -> None:
    if if_match is not None and if_match != view_of(record, now).etag:
        raise RequestRefusedError(
            Refusal.CHANGED_MEANWHILE,
            f"temporary status {record.window.id} was changed since you read it",
            cure="read it again, and change what it is now",
        )


def _require_change(actor: Actor, record: TemporaryRecord, located: Mapping[str, str | None]) -> None:
    """Refuse a change of what is not somebody's to change."""
    require_own(actor, record.window.id, record.token_id)
    require_kind(actor, record.window.kind)
    require_covered(actor, [(record.evse_id, located.get(evse_key(record.evse_id)))])


def _require_possible(desk: Desk, actor: Actor, changes: WindowChanges) -> None:
    """Refuse what somebody may not set, or what nothing can hold."""
    if "kind" in changes:
        require_kind(actor, changes["kind"])
    if "evse_id" in changes:
        place = known_places(desk, [changes["evse_id"]])[0]
        require_covered(actor, [(place.evse_id, place.location)])
    require_zone(changes.get("time_zone"))
    require_texts(reason=changes.get("reason"), reference=changes.get("reference"))


def _places_of_windows(desk: Desk, actor: Actor, keys: Collection[int]) -> Mapping[str, str | None]:
    """Return the locations of the EVSEs of windows by their keys, as far as they matter for the grant."""
    if actor.grant.covers_all:
        return {}
    with desk.store.reading() as connection:
        evse_ids = [each.evse_id for each in find_windows(connection, keys)]
    return {evse_key(evse_id): location for evse_id, location in _located(desk, actor, evse_ids)}


def _located(desk: Desk, actor: Actor, evse_ids: Sequence[str]) -> Sequence[tuple[str, str | None]]:
    if not actor.grant.locations:
        return [(evse_id, None) for evse_id in evse_ids]
    with desk.store.reading(by_key=True) as connection:
        found = locations_of(connection, {evse_key(each) for each in evse_ids})
    return [(each, place.location if (place := found.get(evse_key(each))) else None) for each in evse_ids]


def _later(end: datetime, by: timedelta) -> datetime:
    try:
        return end + by
    except OverflowError as error:
        raise RequestRefusedError(
            Refusal.INVALID, "that end lies beyond any calendar", cure="name a shorter duration", field="by"
        ) from error
