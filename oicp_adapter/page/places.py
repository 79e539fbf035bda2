"""Puts locations and charge boxes into lists to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from oicp_adapter.control.chargers import LocationCount, locations
from oicp_adapter.control.permission import require_scope
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.page.draft import Draft, box_value
from oicp_adapter.page.site import Call

LISTED: Final = 500
"""Locations of one list; more make a page slow, and nobody reads them."""

BRANCHES: Final = 1500
"""Locations and charge boxes of the tree; what is chosen already stands there in any case."""

SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Option:
    """Something to choose: its value, and how it is called."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class BoxBranch:
    """A charge box of the tree."""

    value: str
    label: str
    evses: int
    ticked: bool


@dataclass(frozen=True, slots=True)
class PlaceBranch:
    """A location of the tree; *value* is None for what stands nowhere, which cannot be chosen as a whole."""

    value: str | None
    label: str
    evses: int
    boxes: Sequence[BoxBranch]
    ticked: bool
    open: bool


def location_options(call: Call, chosen: str = "") -> Sequence[Option]:
    """Return the locations to choose from; the one that is chosen already is among them."""
    require_scope(call.actor, Scope.READ)

    def read() -> Sequence[str]:
        return [each.location for each in locations(call.desk, call.actor) if each.location is not None][:LISTED]

    # What is kept is for everybody, so only who may see everything fills and reads it.
    names = list(call.site.location_names.get(read) if call.actor.grant.covers_all else read())
    if chosen and chosen not in names:
        names.insert(0, chosen)
    return [Option(each, foreign_text(each, SHOWN)) for each in names]


def tree_of(call: Call, draft: Draft | None) -> tuple[Sequence[PlaceBranch], int]:
    """Return the tree of EVSEs with what is ticked, and how many locations are left out."""
    found = [each for each in locations(call.desk, call.actor) if each.evses]
    ticked = set(draft.locations) if draft is not None else set[str]()
    boxes = set(draft.boxes) if draft is not None else set[tuple[str | None, str | None]]()
    chosen = ticked | {location for location, _ in boxes if location is not None}
    first, room = [], BRANCHES
    for each in sorted(found, key=lambda place: place.location not in chosen):
        room -= len(each.charge_boxes) + 1
        if room < 0 and each.location not in chosen:
            break
        first.append(each)
    shown = first if len(first) < len(found) else found
    return [_branch(each, ticked, boxes) for each in shown], len(found) - len(shown)


def _branch(place: LocationCount, ticked: set[str], boxes: set[tuple[str | None, str | None]]) -> PlaceBranch:
    whole = place.location in ticked
    branches = [
        BoxBranch(
            value=box_value(place.location, box.charge_box),
            label=foreign_text(box.charge_box, SHOWN) if box.charge_box else "no charge box",
            evses=box.evses,
            ticked=whole or (place.location, box.charge_box) in boxes,
        )
        for box in place.charge_boxes
    ]
    return PlaceBranch(
        value=place.location,
        label=foreign_text(place.location, SHOWN) if place.location else "no location",
        evses=place.evses,
        boxes=branches,
        ticked=whole,
        open=not whole and any(each.ticked for each in branches),
    )
