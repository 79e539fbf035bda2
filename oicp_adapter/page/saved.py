"""
Shows what became of a click: when the hub acknowledged it, and how long that took.

1. It is measured by the store's clock, from the arrival of the click to the record of the hub's answer.
2. What the hub has acknowledged is not read again, so that a page about thousands gets cheaper as it goes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from oicp_adapter.control.chargers import ChargerView, HubStanding
from oicp_adapter.control.lookup import find_chargers, find_views
from oicp_adapter.control.window_model import WindowView
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.page.live import LiveRow
from oicp_adapter.page.rows import WindowRow, window_row
from oicp_adapter.page.site import Call
from oicp_adapter.page.times import Times, lag
from oicp_adapter.store.evses import EvseState
from oicp_adapter.store.windows import WindowState

LISTED: Final = 100
"""Windows that are listed; the others are counted."""

FOLLOWED: Final = 5000
"""Windows that are followed: those of the largest request."""

_DIGITS: Final = 19
"""Of the greatest id that a store can be asked for; no id of a row gets that far."""

_TITLES: Final = {
    "set": "Set",
    "ended": "Ended",
    "extended": "Extended",
    "changed": "Changed",
}


@dataclass(frozen=True, slots=True)
class _Fate:
    """
    What became of one window at the hub.

    Attributes:
        settled: There is nothing to wait for any more.
        refused: The hub has refused it; it may still take it later.
        took: From the click to the acknowledgement; None: it is not there yet, or there was nothing to acknowledge.
    """

    row: WindowRow
    settled: bool
    refused: bool
    took: timedelta | None


@dataclass(slots=True)
class Watch:
    """
    Follows the windows of one page.

    Attributes:
        settled: What became of those that need not be read again, by id.
    """

    settled: dict[int, _Fate] = field(default_factory=dict)

    def look(self, call: Call) -> Sequence[LiveRow]:
        """Read what is still open, and return the rows that are on the screen with their sum."""
        fates = self.fates(call)
        return [total(fates), *(fate.row.live for fate in fates[:LISTED])]

    def fates(self, call: Call) -> Sequence[_Fate]:
        """Return what became of each window, in the order of their ids."""
        keys = ids_of(call.first("windows"))
        waiting = [key for key in keys if key not in self.settled]
        read = {fate.row.id: fate for fate in _read(call, waiting)}
        self.settled |= {key: fate for key, fate in read.items() if fate.settled}
        found = self.settled | read
        return [found[key] for key in keys if key in found]


def saved_address(did: str, keys: Sequence[int], clicked: datetime) -> str:
    """Return the address of the page that shows what became of a click."""
    return f"/saved?{urlencode({'did': did, 'windows': ranges(keys), 'clicked': clicked.isoformat()})}"


def show_saved(call: Call) -> Response:
    """Return the page that shows what became of a click."""
    fates = Watch().fates(call)
    if not fates:
        raise RequestRefusedError(Refusal.NOT_FOUND, "there is no such window", cure="look at the list of windows")
    query = urlencode({name: call.first(name) for name in ("windows", "clicked", "did")})
    count = f"{len(fates)} windows" if len(fates) > 1 else f"{fates[0].row.kind} of {fates[0].row.evse}"
    return call.page(
        "saved",
        title=f"{_TITLES.get(call.first('did'), 'Saved')}: {count}",
        total=total(fates),
        rows=[fate.row for fate in fates[:LISTED]],
        left_out=max(0, len(fates) - LISTED),
        stream=f"/live/saved?{query}",
    )


def total(fates: Sequence[_Fate]) -> LiveRow:
    """Return the sum of what became of them."""
    took = [fate.took for fate in fates if fate.took is not None]
    refused = sum(fate.refused for fate in fates)
    waiting = sum(not fate.settled for fate in fates) - refused
    nothing = len(fates) - len(took) - waiting - refused
    text = {"acknowledged": "", "slowest": "", "rest": ""}
    if waiting:
        text["acknowledged"] = f"Waiting for Hubject: {len(took)} of {len(took) + waiting + refused} acknowledged"
    elif refused:
        text["acknowledged"] = f"Hubject has refused {refused} of {len(took) + refused}: the rows say why"
    elif took:
        text["acknowledged"] = (
            "Hubject has acknowledged it" if len(took) == 1 else f"Hubject has acknowledged all {len(took)}"
        )
        slowest = "the last one " if len(took) > 1 else ""
        text["slowest"] = f"{slowest}{lag(max(took))} after the click"
    else:
        text["acknowledged"] = "Saved; there is nothing to tell Hubject now"
    rest = []
    if waiting and refused:
        rest.append(f"Hubject has refused {refused}: the rows say why")
    if nothing and (took or waiting or refused):
        rest.append(f"{nothing} more need{'s' if nothing == 1 else ''} nothing from Hubject now")
    text["rest"] = "; ".join(rest)
    return LiveRow("sum", text)


def ranges(keys: Iterable[int]) -> str:
    """Write ids shortly, as `1-5,9`."""
    parts = []
    for _, group in groupby(enumerate(sorted(set(keys))), key=lambda pair: pair[1] - pair[0]):
        run = [key for _, key in group]
        parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(parts)


def ids_of(text: str) -> Sequence[int]:
    """Read what `ranges` wrote; what it did not write is left out, and so is what goes beyond `FOLLOWED`."""
    found: list[int] = []
    for part in text.split(",")[:FOLLOWED]:
        first, _, last = part.partition("-")
        start, end = id_of(first), id_of(last or first)
        if start is not None and end is not None:
            found += range(start, min(end + 1, start + FOLLOWED - len(found)))
    return list(dict.fromkeys(found))


def id_of(text: str) -> int | None:
    """Return the id of a window that an address or a form names; None: no window has such an id."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None


def _read(call: Call, keys: Sequence[int]) -> Sequence[_Fate]:
    views = find_views(call.desk, call.actor, keys)
    if not views:
        return []
    chargers = find_chargers(call.desk, call.actor, {each.record.evse_id for each in views})
    times, clicked = call.times(views[0].now), _clicked(call, views[0].now)
    return [_fate(view, chargers.get(evse_key(view.record.evse_id)), times, clicked, call.actor) for view in views]


def _fate(view: WindowView, charger: ChargerView | None, times: Times, clicked: datetime, actor: Actor) -> _Fate:
    untouched = view.state is WindowState.UPCOMING and view.record.window.valid_from > view.now
    standing = None if untouched or charger is None else charger.hub
    row = window_row(view, standing, times, charger.time_zone if charger is not None else None, by=actor)
    words, settled, took = _measured(standing, clicked)
    live = replace(row.live, text={**row.live.text, "measured": words})
    refused = standing is not None and standing.state is EvseState.QUARANTINED
    return _Fate(replace(row, live=live), settled, refused, took)


def _measured(standing: HubStanding | None, clicked: datetime) -> tuple[str, bool, timedelta | None]:
    if standing is None:
        return "nothing to tell Hubject before it starts", True, None
    if standing.state is not EvseState.IN_SYNC or standing.at is None:
        return "waiting", False, None
    if standing.at < clicked:
        return "Hubject showed that already", True, None
    took = standing.at - clicked
    return f"acknowledged after {lag(took)}", True, took


def _clicked(call: Call, now: datetime) -> datetime:
    try:
        clicked = datetime.fromisoformat(call.first("clicked"))
    except ValueError:
        return now
    return clicked if clicked.tzinfo is not None else now
