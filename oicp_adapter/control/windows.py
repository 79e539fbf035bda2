"""
Sets, changes and ends temporary statuses, for the API, the operator page and the command line.

1. Who may is asked here; what may be done to a window, by its state, is said by `window_changes`.
2. The database's clock decides what has passed.
3. The author is whoever asks, never what a request says.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from oicp_adapter.control.desk import Change, Desk, Done, change, change_once, done_before
from oicp_adapter.control.entries import require_texts, require_zone
from oicp_adapter.control.permission import require_covered, require_kind, require_own, require_scope
from oicp_adapter.control.window_changes import (
    apply_changes,
    end_locked,
    insert,
    lock_window,
    not_found,
    require_match,
)
from oicp_adapter.control.window_model import WindowChanges, WindowRequest, WindowView, view_of
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.store.audit import AuditEntry, read_audit
from oicp_adapter.store.idempotency import Once
from oicp_adapter.store.places import Place, locations_of, places_of
from oicp_adapter.store.temporary import TemporaryRecord, find_window, find_windows


def set_window(desk: Desk, actor: Actor, request: WindowRequest, *, once: Once | None = None) -> Done[WindowView]:
    """
    Set a temporary status on one EVSE.

    Args:
        once: What the request is known by, if it may come twice.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE, INVALID, NOT_PERMITTED or KEY_REUSED.
        StoreError: The store could not be written.
    """
    require_scope(actor, Scope.SET)
    if (before := done_before(desk, actor, once)) is not None:
        return before
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
            require_match(before, now, if_match)
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
    time_zone: str | None = None,
    if_match: str | None = None,
) -> Sequence[WindowView]:
    """
    Move the end of temporary statuses, all or none.

    Args:
        by: To be added to each one's end.
        to: The end of all of them, where *by* is None; None: until ended.
        time_zone: In which *to* was entered, an IANA name; None: it came with an offset, and the zone stays.

    Raises:
        RequestRefusedError: INVALID where there is no end to add to, else as for `change_window`.
        StoreError: The store could not be written.
    """
    require_zone(time_zone)

    def changes(before: TemporaryRecord) -> WindowChanges:
        if by is None:
            return {"valid_to": to} if time_zone is None else {"valid_to": to, "time_zone": time_zone}
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


def _lock(desk: Desk, changing: Change, key: int) -> tuple[TemporaryRecord, datetime]:
    found = lock_window(desk, changing, key)
    if found is None:
        raise not_found(key)
    return found


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
