"""Finds the EVSEs that a form means: whole locations, charge boxes, single ones and patterns, together."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from oicp_adapter.control.bulk import LIMIT, Selection, select_evses
from oicp_adapter.control.chargers import ChargerFilter, list_chargers
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.page.draft import Draft
from oicp_adapter.page.site import Call

_PAGES: Final = 20
"""Pages of the fleet that are looked through for what stands nowhere."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    What a form means.

    Attributes:
        selection: As the service takes it.
        evse_ids: As spelled in the store.
        unknown: What was named and is not in the store.
    """

    selection: Selection
    evse_ids: Sequence[str]
    unknown: Sequence[str]

    @property
    def name(self) -> str:
        """Names the set of EVSEs; another set has another name."""
        return hashlib.sha256("\n".join(sorted(self.evse_ids)).encode(errors="replace")).hexdigest()[:16]


def choose(call: Call, draft: Draft) -> Chosen:
    """
    Find the EVSEs that a form means.

    Raises:
        RequestRefusedError: Nothing, too many, or a pattern that is none.
        StoreError: The store could not be read.
    """
    ways = list(_ways(call, draft))
    found: dict[str, None] = {}
    unknown: list[str] = []
    for way in ways:
        places, missing = select_evses(call.desk, way)
        found.update(dict.fromkeys(place.evse_id for place in places))
        unknown += missing
    if len(found) > LIMIT:
        raise RequestRefusedError(
            Refusal.TOO_MANY, f"{len(found)} EVSEs are chosen", cure=f"choose {LIMIT} at most", field="select"
        )
    # What one way says is passed on as it is, so that the request reads as it was meant.
    selection = ways[0] if len(ways) == 1 else Selection(evse_ids=list(found))
    return Chosen(selection, list(found), unknown)


def evses_at(call: Call, location: str | None, charge_box: str | None) -> Sequence[str]:
    """
    Return the EVSEs of one charge box at one location, None: of none, that the person may see.

    Raises:
        RequestRefusedError: The person may not read.
        StoreError: The store could not be read.
    """
    wanted = ChargerFilter(location=location, charge_box=charge_box)
    found: list[str] = []
    after = None
    for _ in range(_PAGES):
        page = list_chargers(call.desk, call.actor, wanted, after=after, limit=LIMIT)
        found += [
            each.overview.evse_id
            for each in page.items
            if each.location == location and each.charge_box == charge_box and each.overview.technical is not None
        ]
        after = page.next
        if after is None or len(found) > LIMIT:
            break
    return found[: LIMIT + 1]


def _ways(call: Call, draft: Draft) -> Iterator[Selection]:
    evse_ids = list(draft.evses)
    for location in draft.locations:
        yield Selection(location=location)
    for place, charge_box in draft.boxes:
        if place is not None and charge_box is not None:
            yield Selection(location=place, charge_box=charge_box)
        else:
            evse_ids += evses_at(call, place, charge_box)
    if draft.pattern:
        yield Selection(pattern=draft.pattern)
    if evse_ids:
        yield Selection(evse_ids=list(dict.fromkeys(evse_ids)))
