"""
Sets one temporary status on many EVSEs at once: all of them, or none.

What it would do is shown before by `preview.py`; both look at the same selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oicp_adapter.control.desk import Change, Desk, Done, change_once, done_before
from oicp_adapter.control.permission import require_scope
from oicp_adapter.control.window_changes import insert
from oicp_adapter.control.window_model import WindowRequest, WindowView
from oicp_adapter.control.windows import require_settable, unknown_evses
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.patterns import MANY, ONE, EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.idempotency import Once
from oicp_adapter.store.places import Place, PlaceFilter, find_places, places_like, places_of

LIMIT: Final = 5000
"""EVSEs of one request; a transaction of so many holds other writers up for a moment only."""


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Which EVSEs are meant, in exactly one way.

    Attributes:
        evse_ids: In any spelling.
        location: All that stand there, exactly as `evse_location` has it.
        charge_box: All that belong to it; with a location only those there.
        pattern: All that it describes, see `domain.patterns`.
    """

    evse_ids: Sequence[str] = ()
    location: str | None = None
    charge_box: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class WindowTemplate:
    """What is to be set on each EVSE; its fields are those of `WindowRequest`."""

    kind: TemporaryStatus
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    time_zone: str | None = None
    reason: str | None = None
    reference: str | None = None

    def on(self, evse_id: str) -> WindowRequest:
        """Return the request for one EVSE."""
        return WindowRequest(
            evse_id, self.kind, self.valid_from, self.valid_to, self.time_zone, self.reason, self.reference
        )


def select_evses(desk: Desk, selection: Selection) -> tuple[Sequence[Place], Sequence[str]]:
    """
    Find the EVSEs that are meant.

    Returns:
        The EVSEs in the order of their identifiers, each once; and what was named and is not in the store.

    Raises:
        RequestRefusedError: INVALID for none or several ways of selecting, or a pattern without a wildcard; TOO_MANY.
        StoreError: The store could not be read.
    """
    _require_one_way(selection)
    if selection.evse_ids:
        return _named(desk, selection.evse_ids)
    with desk.store.reading() as connection:
        if selection.pattern is not None:
            found = places_like(connection, EvsePattern(selection.pattern), limit=LIMIT + 1)
        else:
            wanted = PlaceFilter(selection.location, selection.charge_box)
            found = find_places(connection, wanted, limit=LIMIT + 1)
    if len(found) > LIMIT:
        raise _too_many("more than 5000")
    if not found:
        raise RequestRefusedError(
            Refusal.UNKNOWN_EVSE, f"no EVSE is {_words(selection)}", cure="look at the list of EVSEs and locations"
        )
    return found, []


def set_windows(
    desk: Desk, actor: Actor, selection: Selection, template: WindowTemplate, *, once: Once | None = None
) -> Done[Sequence[WindowView]]:
    """
    Set a temporary status on all selected EVSEs, or on none.

    Raises:
        RequestRefusedError: UNKNOWN_EVSE, INVALID, TOO_MANY, NOT_PERMITTED or KEY_REUSED.
        StoreError: The store could not be written.
    """
    require_scope(actor, Scope.SET)
    if (before := done_before(desk, actor, once)) is not None:
        return before
    places, unknown = select_evses(desk, selection)
    if unknown:
        raise unknown_evses(unknown)
    requests = [template.on(place.evse_id) for place in places]
    require_settable(actor, places, requests[0])

    def do(changing: Change) -> Sequence[WindowView]:
        return insert(changing, actor, requests)

    return change_once(desk, actor, once, do)


def _named(desk: Desk, evse_ids: Sequence[str]) -> tuple[Sequence[Place], Sequence[str]]:
    if len(evse_ids) > LIMIT:
        raise _too_many(str(len(evse_ids)))
    with desk.store.reading(by_key=True) as connection:
        found = places_of(connection, {evse_key(each) for each in evse_ids})
    unknown = [each for each in dict.fromkeys(evse_ids) if evse_key(each) not in found]
    return sorted(found.values(), key=lambda place: place.evse_id), unknown


def _require_one_way(selection: Selection) -> None:
    ways = (
        bool(selection.evse_ids),
        selection.location is not None or selection.charge_box is not None,
        selection.pattern is not None,
    )
    if sum(ways) != 1:
        raise RequestRefusedError(
            Refusal.INVALID,
            "no EVSE is selected" if not any(ways) else "EVSEs are selected in several ways",
            cure="name either EvseIDs, or a location or charge box, or a pattern",
            field="select",
        )
    if selection.pattern is not None and not EvsePattern(selection.pattern).has_wildcard:
        raise RequestRefusedError(
            Refusal.INVALID,
            f"the pattern {foreign_text(selection.pattern, 60)!r} has no wildcard",
            cure=f"write {MANY} for any characters and {ONE} for one, as DE*ABC*E1{MANY}; * only separates",
            field="select.pattern",
        )


def _words(selection: Selection) -> str:
    if selection.pattern is not None:
        return f"like {foreign_text(selection.pattern, 60)!r}"
    at = [foreign_text(each, 60) for each in (selection.charge_box, selection.location) if each is not None]
    return f"at {' of '.join(at)}"


def _too_many(count: str) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.TOO_MANY,
        f"{count} EVSEs are selected",
        cure=f"select {LIMIT} at most, and ask several times",
        field="select",
    )
