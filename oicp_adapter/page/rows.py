"""
Puts an EVSE, a temporary status and its standing at the hub into words.

Everything that others wrote is cut and escaped here, before it stands anywhere.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from oicp_adapter.control.chargers import ChargerView, HubStanding
from oicp_adapter.control.permission import is_own
from oicp_adapter.control.window_model import WindowView
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import TRANSLATIONS
from oicp_adapter.domain.windows import Window
from oicp_adapter.page.live import LiveRow
from oicp_adapter.page.times import Times, lag
from oicp_adapter.store.evses import EvseState
from oicp_adapter.store.windows import WindowState

SHOWN: Final = 60
"""Characters of an EvseID, a word or a place in a row."""

_STATE_WORDS: Final = {
    EvseState.IN_SYNC: "in sync",
    EvseState.PENDING: "pending",
    EvseState.IN_DOUBT: "in doubt",
    EvseState.QUARANTINED: "refused",
    EvseState.HELD: "held",
}
_WINDOW_WORDS: Final = {
    WindowState.UPCOMING: "upcoming",
    WindowState.ACTIVE: "active",
    WindowState.ENDED: "ended",
}


@dataclass(frozen=True, slots=True)
class ChargerRow:
    """
    One EVSE on the screen.

    Attributes:
        key: By which the service finds it again.
        evse_id: As spelled in the store, for forms and addresses only.
        live: What is shown.
    """

    key: str
    evse_id: str
    evse: str
    location: str
    charge_box: str
    live: LiveRow


@dataclass(frozen=True, slots=True)
class WindowRow:
    """
    One temporary status on the screen.

    Attributes:
        own: It is the reader's to change.
        zone: The EVSE's own, empty when nobody knows it.
    """

    id: int
    evse_id: str
    evse: str
    kind: str
    etag: str
    over: bool
    upcoming: bool
    own: bool
    reason: str
    reference: str
    author: str
    zone: str
    live: LiveRow


def tone(word: str) -> str:
    """Return the page's tone for a word of ours."""
    return word.lower().replace(" ", "-").replace("_", "-")


def row_name(evse_id: str) -> str:
    """Name an EVSE within a view, whatever its identifier is made of."""
    return hashlib.sha256(evse_id.encode(errors="replace")).hexdigest()[:16]


def charger_row(view: ChargerView, times: Times) -> ChargerRow:
    """Return what stands on the screen of one EVSE."""
    seen = view.overview
    text: dict[str, str] = {"says": "no row any more", "drivers": "withdrawn", "temporary": "", "until": ""}
    tones = {"drivers": "unknown", "temporary": "none", "hub": tone(view.hub.state)}
    if seen.technical is not None and seen.resolution is not None:
        drivers = TRANSLATIONS[seen.resolution.effective].driver
        text |= {"says": foreign_text(seen.technical, SHOWN) or "(nothing)", "drivers": drivers}
        tones["drivers"] = tone(drivers)
        if seen.resolution.window is not None:
            text |= _applies(seen.resolution.window, view.time_zone, times)
            tones["temporary"] = tone(seen.resolution.window.kind)
    text["since"] = f"since {times.moment(seen.changed_at, view.time_zone)}" if seen.changed_at else ""
    text["upcoming"] = _upcoming(seen.windows, view.time_zone, times)
    text |= standing_text(view.hub, times, view.time_zone)
    text["acknowledged"] = seen.acknowledged or "nothing yet"
    return ChargerRow(
        key=evse_key(seen.evse_id),
        evse_id=seen.evse_id,
        evse=foreign_text(seen.evse_id, SHOWN),
        location=foreign_text(view.location, SHOWN) if view.location else "no location",
        charge_box=foreign_text(view.charge_box, SHOWN) if view.charge_box else "no charge box",
        live=LiveRow(row_name(seen.evse_id), text, tones),
    )


def window_row(
    view: WindowView, standing: HubStanding | None, times: Times, own_zone: str | None, *, by: Actor
) -> WindowRow:
    """
    Return what stands on the screen of one temporary status.

    Args:
        standing: None: there is nothing to tell the hub of it now.
        own_zone: Of the EVSE; None: the one in which it was entered.
        by: Who reads it.
    """
    window, record = view.record.window, view.record
    zone = own_zone or record.time_zone
    text = {
        "state": _WINDOW_WORDS[view.state],
        "to": "until ended",
        "to_utc": "",
        "away": _away(view, times),
        "ended_by": f"ended by {foreign_text(record.ended_by, SHOWN)}" if record.ended_by else "",
    }
    text["from"], text["from_utc"] = times.both(window.valid_from, zone)
    if window.end is not None:
        text["to"], text["to_utc"] = times.both(window.end, zone)
    text |= standing_text(standing, times, zone)
    if view.state is WindowState.UPCOMING:
        text["hub_words"] = "told when it starts"
    return WindowRow(
        id=window.id,
        evse_id=record.evse_id,
        evse=foreign_text(record.evse_id, SHOWN),
        kind=window.kind,
        etag=view.etag,
        over=view.state is WindowState.ENDED,
        upcoming=view.state is WindowState.UPCOMING,
        own=Scope.SET in by.grant.scopes and is_own(by, record.token_id),
        reason=foreign_text(record.reason) if record.reason else "",
        reference=foreign_text(record.reference, SHOWN) if record.reference else "",
        author=foreign_text(record.created_by, SHOWN) if record.created_by else "",
        zone=zone or "",
        live=LiveRow(
            str(window.id),
            text,
            {"state": tone(view.state), "hub": tone(standing.state) if standing is not None else "none"},
        ),
    )


def _applies(window: Window, own_zone: str | None, times: Times) -> dict[str, str]:
    until = f"until {times.moment(window.end, own_zone)}" if window.end is not None else "until ended"
    return {"temporary": window.kind, "until": until}


def _upcoming(windows: Sequence[Window], own_zone: str | None, times: Times) -> str:
    ahead = sorted((each for each in windows if each.valid_from > times.now), key=lambda each: each.valid_from)
    if not ahead:
        return ""
    first = ahead[0]
    more = f", and {len(ahead) - 1} more" if len(ahead) > 1 else ""
    return f"{first.kind} {times.relative(first.valid_from)}: {times.moment(first.valid_from, own_zone)}{more}"


def standing_text(standing: HubStanding | None, times: Times, own_zone: str | None) -> dict[str, str]:
    """Return what is said of how far the hub is; None: there is nothing to tell it now."""
    if standing is None:
        return {"hub": "", "hub_words": "", "lag": ""}
    at = f" {times.moment(standing.at, own_zone, seconds=True)}" if standing.at is not None else ""
    behind = "after" if standing.state is EvseState.IN_SYNC else "for"
    state = _STATE_WORDS[standing.state]
    return {
        "hub": state,
        "hub_words": f"{foreign_text(standing.words)}{at}" if standing.words != state else "",
        "lag": f"{behind} {lag(standing.lag)}" if standing.lag is not None else "",
    }


def _away(view: WindowView, times: Times) -> str:
    window = view.record.window
    match view.state:
        case WindowState.UPCOMING:
            return f"starts {times.relative(window.valid_from)}"
        case WindowState.ACTIVE:
            return f"ends {times.relative(window.end)}" if window.end is not None else ""
        case WindowState.ENDED:
            return f"ended {times.relative(window.end)}" if window.end is not None else ""
