"""
Decides which EVSEs go into the next request.

1. One request has one action. What becomes less usable goes first, then what waited longest.
2. Records that failed before travel only among themselves, in requests as small as their `batch_cap`; healthy and
   suspect requests take turns, so that a bad record delays the others by at most one attempt.
3. Among suspects the one that was tried longest ago goes first: a success elsewhere is the proof that the hub works. Of
   one refused request the largest part goes first, so that a record that the hub named delays nobody.
4. What is asserted anew travels a few at a time: after a full load, or a long outage, a whole fleet is due at once, and
   a change must not wait until a large request of repetitions is over.
5. While everything is refused, a record is tried under both beliefs about its existence before the next one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.model import Action, Policy, Position, Work, WorkReason

REPEATED_AT_ONCE: Final = 100
"""Records of a request that are asserted anew: some ms of work, and a million are done within the hour."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The next request: one action, its records in order, and whether a bad record is being looked for."""

    action: Action
    work: Sequence[Work]
    suspect: bool


def plan(work: Sequence[Work], position: Position, policy: Policy) -> Plan | None:
    """
    Choose the records of the next request among all work at hand.

    Args:
        work: Each EVSE at most once, any order; none whose backoff runs.

    Returns:
        At most `max_records` records of one action; a single one while everything is refused, one that never failed if
        there is any, since one healthy record is enough to find out that the hub works. None: there is no work.
    """
    suspects = [item for item in work if is_suspect(item)]
    healthy = _without_surplus([item for item in work if not is_suspect(item)])
    held = position.hold_reason == Reason.EVERYTHING_REFUSED
    limit = 1 if held else policy.max_records
    if suspects and not (healthy and (held or position.after_suspect)):
        suspects.sort(key=lambda item: _suspects_order(item, held=held, limit=limit))
        return _take(suspects, limit, suspect=True)
    if healthy:
        healthy.sort(key=_order)
        return _take(healthy, limit, suspect=False)
    return None


def surplus(work: Sequence[Work]) -> int:
    """Return how many of these are asserted anew beyond what one request takes."""
    return max(0, sum(item.reason is WorkReason.REASSERTED for item in work) - REPEATED_AT_ONCE)


def is_suspect(item: Work) -> bool:
    """Tell whether a record failed since it was last acknowledged, so that it must not spoil a healthy request."""
    return item.entry.failures > 0 or item.entry.batch_cap is not None


def _without_surplus(work: Sequence[Work]) -> list[Work]:
    repeated = [item for item in work if item.reason is WorkReason.REASSERTED]
    if len(repeated) <= REPEATED_AT_ONCE:
        return [*work]
    return [item for item in work if item.reason is not WorkReason.REASSERTED] + repeated[:REPEATED_AT_ONCE]


def _take(ordered: Sequence[Work], limit: int, *, suspect: bool) -> Plan:
    """Take records of the first one's action that may travel in a request as large as the first one may."""
    action, size = ordered[0].action, _cap(ordered[0], limit)
    fitting = [item for item in ordered if item.action is action and _cap(item, limit) >= size]
    return Plan(action, fitting[:size], suspect)


def _cap(item: Work, limit: int) -> int:
    return min(limit, item.entry.batch_cap or limit)


def _suspects_order(item: Work, *, held: bool, limit: int) -> tuple[bool, int, int, bool, datetime]:
    return not (held and item.entry.flipped), item.entry.attempt, -_cap(item, limit), *_order(item)


def _order(item: Work) -> tuple[bool, datetime]:
    return not item.urgent, item.since
