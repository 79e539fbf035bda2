"""
Changes temporary statuses in a transaction that is open, by the rules of their state; the audit is written with it.

1. An ended window never changes. A start that has passed does not move. All else may.
2. Whether somebody may is asked before, see `control.permission`; how long a window may be is asked here, since it
   depends on what is there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, cast

from oicp_adapter.control.desk import Change, Desk
from oicp_adapter.control.entries import CLOCKS_APART, require_ahead, require_order
from oicp_adapter.control.permission import require_length
from oicp_adapter.control.window_model import WindowChanges, WindowRequest, WindowView, fields_of, view_of
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.store.temporary import (
    NewWindow,
    TemporaryRecord,
    find_window,
    find_windows,
    insert_windows,
    update_window,
)
from oicp_adapter.store.windows import WindowState, state_of

_COLUMNS: Final = {"kind": "status"}
"""Where a change has another name than its column."""


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
    require_match(before, now, if_match)
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


def not_found(key: int) -> RequestRefusedError:
    """Return the refusal for an id that no window has."""
    return RequestRefusedError(
        Refusal.NOT_FOUND, f"there is no temporary status {key}", cure="list them to see their numbers"
    )


def _reread(changing: Change, key: int, now: datetime) -> WindowView:
    found = find_window(changing.connection, key)
    if found is None:
        raise not_found(key)
    return view_of(found, now)


def _present(record: TemporaryRecord, name: str) -> object:
    if name in {"kind", "valid_from", "valid_to"}:
        return getattr(record.window, name)
    return getattr(record, name)


def require_match(record: TemporaryRecord, now: datetime, if_match: str | None) -> None:
    """
    Do nothing for a window that is as somebody has read it; None: they do not care.

    Raises:
        RequestRefusedError: CHANGED_MEANWHILE.
    """
    if if_match is not None and if_match != view_of(record, now).etag:
        raise RequestRefusedError(
            Refusal.CHANGED_MEANWHILE,
            f"temporary status {record.window.id} was changed since you read it",
            cure="read it again, and change what it is now",
        )
