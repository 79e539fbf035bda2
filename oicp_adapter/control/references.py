"""
Keeps temporary statuses under names of their owners: a booking under its number, a bay under its sensor.

1. A name belongs to the token that uses it: two platforms may both have a booking 4711.
2. What somebody with other rights has made of a window, another kind or another EVSE, is theirs: a booking's owner is
   refused, a sensor reports into a new window beside it.
3. What a sensor reports holds for its time to live: one that has died frees its bay.
4. A sensor's report that only prolongs what holds is no change of anybody's mind, and is not written down as one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.control.desk import Change, Desk, change, owner_of
from oicp_adapter.control.entries import require_texts
from oicp_adapter.control.permission import require_length, require_scope
from oicp_adapter.control.window_changes import apply_changes, end_locked, insert, lock_window
from oicp_adapter.control.window_model import WindowChanges, WindowRequest, WindowView, view_of
from oicp_adapter.control.windows import get_window, known_places, require_settable
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.references import (
    Reference,
    ReferenceKind,
    find_reference,
    keep_reference,
    lock_reference,
)
from oicp_adapter.store.temporary import TemporaryRecord, find_window, update_window
from oicp_adapter.store.windows import WindowState, state_of

SHORTEST_LIFE: Final = timedelta(seconds=10)
LONGEST_LIFE: Final = timedelta(days=1)
"""Between these lies the time to live of what a sensor reports."""


@dataclass(frozen=True, slots=True)
class SensorView:
    """
    What a sensor has reported.

    Attributes:
        view: Its window; None: its bay has never been blocked, or somebody made the window another's.
        reported_at: When it reported last.
    """

    reference: str
    evse_id: str
    view: WindowView | None
    reported_at: datetime

    @property
    def blocked(self) -> bool:
        """Whether its bay is blocked, as far as anybody knows."""
        return self.view is not None and self.view.state is WindowState.ACTIVE


def put_reference(desk: Desk, actor: Actor, name: str, request: WindowRequest) -> tuple[WindowView, bool]:
    """
    Set a temporary status under a name, or change the one under it to what is asked for.

    One that is over stays as it is; a new one takes the name.

    Returns:
        The window, and whether it is new.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE, INVALID, START_PASSED or NOT_PERMITTED.
        StoreError: The store could not be written.
    """
    place = known_places(desk, [request.evse_id])[0]
    require_settable(actor, [place], request)
    require_texts(reason=None, reference=name)

    def do(changing: Change) -> tuple[WindowView, bool]:
        kept, open_ = _open(desk, changing, ReferenceKind.BOOKING, name, request.evse_id)
        if open_ is not None:
            before, now = open_
            _require_still_theirs(actor, kept, before)
            view = apply_changes(changing, before, _all_of(request, before, now), now=now)
            _keep(changing, ReferenceKind.BOOKING, name, request.evse_id, before.window.id)
            return view, False
        made = insert(changing, actor, [request])[0]
        _keep(changing, ReferenceKind.BOOKING, name, request.evse_id, made.record.window.id)
        return made, True

    return change(desk, actor, do)


def get_reference(desk: Desk, actor: Actor, name: str) -> WindowView:
    """
    Return the temporary status under a name.

    Raises:
        RequestRefusedError: NOT_FOUND, or NOT_PERMITTED without the scope.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    found = _find(desk, actor, ReferenceKind.BOOKING, name)
    if found is None or found.window_id is None:
        raise _nothing_under(name)
    return get_window(desk, actor, found.window_id)


def end_reference(desk: Desk, actor: Actor, name: str) -> WindowView:
    """
    End the temporary status under a name; one that is over stays as it is.

    Raises:
        RequestRefusedError: NOT_FOUND, or NOT_PERMITTED without the scope.
        StoreError: The store could not be written.
    """
    require_scope(actor, Scope.SET)
    found = _find(desk, actor, ReferenceKind.BOOKING, name)
    if found is None or found.window_id is None:
        raise _nothing_under(name)
    key = found.window_id

    def do(changing: Change) -> WindowView:
        locked = lock_window(desk, changing, key)
        if locked is None:
            raise _nothing_under(name)
        _require_still_theirs(actor, found, locked[0])
        return end_locked(changing, *locked)

    return change(desk, actor, do)


def put_sensor(
    desk: Desk, actor: Actor, name: str, evse_id: str, *, blocked: bool, time_to_live: timedelta
) -> SensorView:
    """
    Take a sensor's report: its bay is blocked for as long as the report lives, or free.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE, INVALID or NOT_PERMITTED.
        StoreError: The store could not be written.
    """
    if not SHORTEST_LIFE <= time_to_live <= LONGEST_LIFE:
        raise RequestRefusedError(
            Refusal.INVALID,
            f"a time to live of {time_to_live.total_seconds():.0f} s",
            cure="let a report live between 10 seconds and a day",
            field="timeToLive",
        )
    place = known_places(desk, [evse_id])[0]
    request = WindowRequest(evse_id, TemporaryStatus.BLOCKED, reference=name)
    require_settable(actor, [place], request)

    def do(changing: Change) -> SensorView:
        kept, open_ = _open(desk, changing, ReferenceKind.SENSOR, name, evse_id)
        if open_ is not None and not _is_still_reported(kept, open_[0]):
            open_ = None
        view = _report(changing, open_, request, time_to_live, blocked=blocked)
        _keep(changing, ReferenceKind.SENSOR, name, evse_id, view.record.window.id if view is not None else None)
        return SensorView(name, evse_id, view, changing.now)

    return change(desk, actor, do)


def get_sensor(desk: Desk, actor: Actor, name: str) -> SensorView:
    """
    Return what a sensor of this token has reported; a window that somebody made another's counts as none.

    Raises:
        RequestRefusedError: NOT_FOUND, or NOT_PERMITTED without the scope.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    found = _find(desk, actor, ReferenceKind.SENSOR, name)
    if found is None:
        raise _nothing_under(name)
    view = None
    if found.window_id is not None:
        with desk.store.reading() as connection:
            record = find_window(connection, found.window_id)
            if record is not None and _is_still_reported(found, record):
                view = view_of(record, desk.store.now(connection))
    return SensorView(name, found.evse_id, view, found.updated_at)


def _report(
    changing: Change,
    open_: tuple[TemporaryRecord, datetime] | None,
    request: WindowRequest,
    time_to_live: timedelta,
    *,
    blocked: bool,
) -> WindowView | None:
    """Do what a sensor's report asks for, and return its window; None: it has none."""
    if open_ is None:
        end = changing.now + time_to_live
        return insert(changing, changing.actor, [_until(request, end)])[0] if blocked else None
    before, now = open_
    moved = evse_key(before.evse_id) != evse_key(request.evse_id)
    if not blocked or moved:
        ended = end_locked(changing, before, now)
        if not blocked:
            return ended
        return insert(changing, changing.actor, [_until(request, now + time_to_live)])[0]
    require_length(changing.actor, now, now + time_to_live)
    update_window(changing.connection, before.window.id, {"valid_to": now + time_to_live}, now)
    after = find_window(changing.connection, before.window.id)
    return view_of(after, now) if after is not None else None


def _until(request: WindowRequest, end: datetime) -> WindowRequest:
    return WindowRequest(request.evse_id, request.kind, valid_to=end, reference=request.reference)


def _open(
    desk: Desk, changing: Change, kind: ReferenceKind, name: str, evse_id: str
) -> tuple[Reference, tuple[TemporaryRecord, datetime] | None]:
    """Take a name for this transaction; return what stands under it, and its window if it is not over, locked."""
    kept = lock_reference(changing.connection, changing.owner, kind, name, evse_id=evse_id, now=changing.now)
    locked = lock_window(desk, changing, kept.window_id) if kept.window_id is not None else None
    if locked is None or state_of(*locked) is WindowState.ENDED:
        return kept, None
    return kept, locked


def _is_still_reported(kept: Reference, record: TemporaryRecord) -> bool:
    """Tell whether a window is what a sensor made it; sensors only block, whatever else their token may set."""
    return record.window.kind is TemporaryStatus.BLOCKED and evse_key(record.evse_id) == evse_key(kept.evse_id)


def _require_still_theirs(actor: Actor, kept: Reference, record: TemporaryRecord) -> None:
    if record.window.kind not in actor.grant.kinds or evse_key(record.evse_id) != evse_key(kept.evse_id):
        raise RequestRefusedError(
            Refusal.NOT_PERMITTED,
            f"temporary status {record.window.id} was made {record.window.kind.upper()} of "
            f"{foreign_text(record.evse_id, 60)} by somebody else",
            cure="leave it to them, or use another reference",
        )


def _keep(changing: Change, kind: ReferenceKind, name: str, evse_id: str, window_id: int | None) -> None:
    keep_reference(
        changing.connection,
        changing.owner,
        kind,
        name,
        evse_id=evse_id,
        window_id=window_id,
        now=changing.now,
    )


def _all_of(request: WindowRequest, before: TemporaryRecord, now: datetime) -> WindowChanges:
    """Return a request as changes; a start that has passed, and is not to lie ahead, stays as it is."""
    changes: WindowChanges = {
        "evse_id": request.evse_id,
        "kind": request.kind,
        "valid_to": request.valid_to,
        "reason": request.reason,
        "reference": request.reference,
        "time_zone": request.time_zone,
    }
    start = request.valid_from or now
    if not (start <= now and before.window.valid_from <= now):
        changes["valid_from"] = start
    return changes


def _find(desk: Desk, actor: Actor, kind: ReferenceKind, name: str) -> Reference | None:
    with desk.store.reading() as connection:
        return find_reference(connection, owner_of(actor), kind, name)


def _nothing_under(name: str) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.NOT_FOUND,
        f"nothing stands under the reference {foreign_text(name, 60)!r}",
        cure="put it first; a reference belongs to the token that uses it",
    )
