"""
Shows what a temporary status would do before it is set: what drivers see now, during and after, and what is in its way.

It asks the domain's own `resolve`, as the lanes do; nothing is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from oicp_adapter.control.bulk import Selection, WindowTemplate, select_evses
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.entries import require_ahead, require_order
from oicp_adapter.control.permission import require_length
from oicp_adapter.control.windows import require_settable
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.resolution import Resolution, resolve
from oicp_adapter.domain.statuses import TRANSLATIONS, DriverStatus, OcpiStatus, OicpStatus, Status
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.evses import EvseOverview, EvseState, evse_overviews
from oicp_adapter.store.places import Place

_CANDIDATE: Final = 2**62
"""Stands for the id that the new window would get: greater than every other, as ids are given."""

_LONG: Final = timedelta(days=31)
"""A window that takes longer is worth a second look."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What everybody sees of an EVSE at one time."""

    effective: Status
    oicp: OicpStatus
    ocpi: OcpiStatus
    driver: DriverStatus


@dataclass(frozen=True, slots=True)
class Overlap:
    """
    Another window that applies at some time of the new one.

    Attributes:
        wins: Over the new one, while both apply.
    """

    window: Window
    wins: bool


@dataclass(frozen=True, slots=True)
class EvsePreview:
    """
    What would become of one EVSE.

    Attributes:
        now: What is seen now.
        during: What is seen when the new window begins to apply.
        after: What is seen when it is over, if the charger says then what it says now; None: it has no end.
        warnings: In sentences.
    """

    place: Place
    now: Seen
    during: Seen
    after: Seen | None
    overlaps: Sequence[Overlap]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """
    What would become of all.

    Attributes:
        unknown: What was named and is not in the store; nothing can be set before it is left out.
        warnings: About the whole, in sentences.
        valid_from: From when it would apply, if it was set now.
    """

    evses: Sequence[EvsePreview]
    unknown: Sequence[str]
    warnings: Sequence[str]
    valid_from: datetime
    valid_to: datetime | None
    now: datetime


def preview(desk: Desk, actor: Actor, selection: Selection, template: WindowTemplate) -> Preview:
    """
    Tell what setting a temporary status would do.

    Raises:
        RequestRefusedError: As for `set_windows`, but unknown EVSEs are only named.
        StoreError: The store could not be read.
    """
    places, unknown = select_evses(desk, selection)
    require_settable(actor, places, template.on(""))
    now = desk.store.now()
    start = template.valid_from or now
    require_order(start, template.valid_to)
    require_ahead(template.valid_to, now)
    require_length(actor, start, template.valid_to)
    candidate = Window(_CANDIDATE, template.kind, start, template.valid_to)
    by_key = {place.key: place for place in places}
    overviews = evse_overviews(desk.store, list(desk.lanes.values()), desk.mapping, list(by_key))
    evses = [
        _of_one(desk, by_key[evse_key(seen.evse_id)], seen, candidate)
        for seen in overviews
        if seen.technical is not None and evse_key(seen.evse_id) in by_key
    ]
    return Preview(
        evses=evses,
        unknown=unknown,
        warnings=list(_about_all(template, start, now)),
        valid_from=start,
        valid_to=template.valid_to,
        now=now,
    )


def _of_one(desk: Desk, place: Place, seen: EvseOverview, candidate: Window) -> EvsePreview:
    word = seen.technical or ""
    present = seen.resolution or resolve(word, seen.windows, seen.now, desk.mapping)
    begin = max(candidate.valid_from, seen.now)
    during = resolve(word, [*seen.windows, candidate], begin, desk.mapping)
    after = None
    if candidate.valid_to is not None:
        after = _seen(resolve(word, seen.windows, candidate.valid_to, desk.mapping))
    overlaps = [_overlap(desk, word, each, candidate) for each in seen.windows if _meet(each, candidate)]
    return EvsePreview(
        place=place,
        now=_seen(present),
        during=_seen(during),
        after=after,
        overlaps=overlaps,
        warnings=list(_about_one(seen, candidate, during)),
    )


def _meet(one: Window, other: Window) -> bool:
    begins = max(one.valid_from, other.valid_from)
    return one.applies(begins) and other.applies(begins)


def _overlap(desk: Desk, word: str, window: Window, candidate: Window) -> Overlap:
    both = resolve(word, [window, candidate], max(window.valid_from, candidate.valid_from), desk.mapping)
    return Overlap(window, wins=both.window is window)


def _seen(resolution: Resolution) -> Seen:
    translation = TRANSLATIONS[resolution.effective]
    return Seen(resolution.effective, resolution.oicp, translation.ocpi, translation.driver)


def _about_one(seen: EvseOverview, candidate: Window, during: Resolution) -> Iterator[str]:
    if seen.rejected is not None:
        yield f"its row never leaves the house: {foreign_text(seen.rejected.detail)}"
    elif seen.state is EvseState.QUARANTINED and seen.entry is not None:
        words = foreign_text(seen.entry.refusal_detail or seen.entry.refusal or "no words")
        yield f"Hubject refuses this EVSE at present ({words})"
    if during.window is candidate and during.effective.value != candidate.kind.value:
        yield f"the charger says {foreign_text(seen.technical, 60)}, which is less usable and is shown instead"
    for window in seen.windows:
        if window.kind is candidate.kind and _meet(window, candidate):
            end = f"until {window.end:%Y-%m-%d %H:%M} UTC" if window.end is not None else "until it is ended"
            yield f"{window.kind} is set already from {window.valid_from:%Y-%m-%d %H:%M} UTC {end}"


def _about_all(template: WindowTemplate, start: datetime, now: datetime) -> Iterator[str]:
    end = template.valid_to
    if end is None:
        yield "it has no end: it applies until somebody ends it"
    elif end - start > _LONG:
        yield f"it takes {(end - start).days} days"
    if template.valid_from is not None and start < now:
        yield f"its start {start:%Y-%m-%d %H:%M} UTC has passed: it applies at once"
    if template.time_zone is not None and end is not None:
        zone = ZoneInfo(template.time_zone)
        if start.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
            yield f"the clocks of {template.time_zone} change within it: it is longer or shorter than its times look"
