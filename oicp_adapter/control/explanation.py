"""Explains in sentences why an EVSE is shown as it is, and what its lane waits for."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.resolution import Resolution
from oicp_adapter.domain.statuses import TRANSLATIONS, TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.evses import EvseOverview, EvseState, RemovedRow
from oicp_adapter.sync.model import Entry, Position

_BEHIND: Final = frozenset({EvseState.PENDING, EvseState.IN_DOUBT, EvseState.QUARANTINED})

_HOLDER_WIDTH: Final = 60
"""Characters of the name of a process that are shown."""


def explain_evse(seen: EvseOverview) -> Iterator[str]:
    """Yield the sentences, from what the charger says to what the hub acknowledged; times are UTC."""
    name = foreign_text(seen.evse_id)
    if seen.rejected is not None:
        yield f"{name} never leaves the house: {seen.rejected.detail}."
        return
    if seen.technical is not None and seen.resolution is not None:
        yield from _what_it_shows(name, seen.technical, seen.changed_at, seen.windows, seen.resolution)
    else:
        yield f"{name} is no longer in the store of operator {seen.lane}, or its row says Removed."
        yield "So it is to disappear from the hub."
    yield from _where_it_stands(seen)


def explain_lane(position: Position, now: datetime) -> str:
    """Say in a few words who leads a lane and what keeps it from sending; times are UTC."""
    if position.holder is None or position.expires_at is None or position.expires_at <= now:
        return "no process leads it"
    words = [f"{foreign_text(position.holder, _HOLDER_WIDTH)} leads it"]
    if position.hold_reason is not None:
        detail = f", {foreign_text(position.hold_detail)}" if position.hold_detail else ""
        words.append(f"it is held ({foreign_text(position.hold_reason)}{detail})")
    waits = [at for at in (position.wait_until, position.silent_until) if at is not None and at > now]
    if waits:
        failures = f" after {position.failures} failed requests in a row" if position.failures else ""
        words.append(f"it sends nothing before {_at(max(waits))}{failures}")
    return "; ".join(words)


def explain_removed(row: RemovedRow) -> Iterator[str]:
    """Yield the sentences about a row that says Removed, of an EVSE that the hub does not hold; times are UTC."""
    since = f" since {_at(row.changed_at)}" if row.changed_at is not None else ""
    yield f"The row of {foreign_text(row.evse_id, 60)} says Removed{since}."
    if row.withdrawn_at is not None:
        yield f"Hubject confirmed its withdrawal at {_at(row.withdrawn_at)}."
    else:
        yield "It was never at the hub, so there is nothing to withdraw."


def _what_it_shows(
    name: str, word: str, changed_at: datetime | None, windows: Sequence[Window], resolution: Resolution
) -> Iterator[str]:
    since = f" since {_at(changed_at)}" if changed_at is not None else ""
    yield f"The charger of {name} says {foreign_text(word, 60) or '(nothing)'}{since}."
    if resolution.unmapped:
        yield "The table does not know that word, so it counts as Unknown."
    for window in windows:
        yield _window(window, winner=window is resolution.window)
    translation = TRANSLATIONS[resolution.effective]
    yield (
        f"So it is {resolution.effective}{_because(resolution)}: Hubject is told {resolution.oicp}, roaming partners "
        f"see {translation.ocpi}, drivers see {translation.driver}."
    )
    if resolution.valid_until is not None:
        yield f"That can change by itself at {_at(resolution.valid_until)}."


def _window(window: Window, *, winner: bool) -> str:
    end = f"until {_at(window.end)}" if window.end is not None else "until it is ended"
    verdict = ", and wins" if winner else ""
    return f"{window.kind} is set from {_at(window.valid_from)} {end} (number {window.id}){verdict}."


def _because(resolution: Resolution) -> str:
    window = resolution.window
    if window is None:
        return ", as the charger says"
    if window.kind in {TemporaryStatus.MAINTENANCE, TemporaryStatus.COMMISSIONING}:
        return f", for {window.kind} replaces whatever the charger says"
    if resolution.effective.value == window.kind.value:
        return f", for {window.kind} is not more usable than what the charger says"
    return f", for what the charger says is less usable than {window.kind}"


def _where_it_stands(seen: EvseOverview) -> Iterator[str]:
    entry = seen.entry
    if entry is None:
        yield "No lane has looked at it yet: is the daemon running?"
        return
    if entry.acknowledged is None:
        yield "Hubject has not acknowledged any status of it."
    else:
        yield f"Hubject acknowledged {entry.acknowledged} at {_at(entry.acknowledged_at)}."
    yield from _state(entry, seen.state)
    if entry.retry_at is not None and seen.state is EvseState.QUARANTINED:
        yield _next_attempt(entry.retry_at, seen.now)
    if entry.debt_at is not None:
        once = f"once more after {_at(entry.debt_at)}" if entry.debt_at > seen.now else "once more"
        yield f"A request that was never answered may have landed late, so it is asserted {once}."
    if seen.state in _BEHIND:
        yield f"Its lane: {explain_lane(seen.position, seen.now)}."


def _state(entry: Entry, state: EvseState) -> Iterator[str]:
    words = foreign_text(entry.refusal_detail or "no words")
    refused = f"{entry.refusal}, {words}" if entry.refusal else None
    match state:
        case EvseState.IN_SYNC:
            yield "The hub and the store agree."
        case EvseState.IN_DOUBT if entry.doubted_at is None:
            yield "A full load that was not answered may have replaced it at the hub; it is sent again."
        case EvseState.IN_DOUBT:
            yield f"A request with it is unanswered since {_at(entry.doubted_at)}; it is sent again."
        case EvseState.HELD:
            yield f"Its withdrawal waits for a person since {_at(entry.held_since)}: see `withdrawals list`."
        case EvseState.QUARANTINED:
            yield f"It was not acknowledged in {entry.failures} attempts ({refused or 'no words'})."
        case EvseState.PENDING:
            tried = f"; the last attempt failed: {refused}" if refused else ""
            yield f"The hub differs since {_at(entry.pending_since)}{tried}."


def _next_attempt(retry_at: datetime, now: datetime) -> str:
    if retry_at <= now:
        return "Its own wait is over, so it is tried with the next request."
    return f"It waits apart after failed attempts: the next attempt is at {_at(retry_at)}, or by `quarantine release`."


def _at(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if instant is not None else "now"
