"""
Decides who leads a lane.

1. Only the database's clock decides, read after the lane's row was locked.
2. Each change of holder raises the epoch; what was written under an older one is never acknowledged.
3. Processes share the lanes that they serve: whoever leads two fewer than another asks for one, and is given it between
   two pushes. Only one lane of a leader is asked for at a time, so that nothing goes to and fro.
4. A lease says who may start a push. It says nothing about a request in flight: for that there is the intent's
   `silent_until`, which a successor waits out.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.sync.model import Intent, LaneState, Policy, Position

_UNEVEN: Final = 2
"""With a difference of one nothing would be gained: it would be the other way round."""

ASKED_FOR: Final = timedelta(seconds=10)
"""How long a lane that was given up is kept for the process that asked for it, and how long its question counts."""

RECORDING_TIME: Final = timedelta(seconds=5)
"""From the end of an exchange to the commit of its result; a lease that covers a push covers this too."""


def claim(position: Position, holder: str, now: datetime, policy: Policy, *, sole: bool) -> Position | None:
    """
    Take or renew the lease.

    Args:
        sole: No other process can hold it (one daemon to a SQLite store), so a foreign lease is a dead one.

    Returns:
        The position with the lease, None when somebody else holds it.
    """
    expires_at = now + policy.lease
    alive = position.expires_at is not None and position.expires_at > now
    if position.holder == holder and alive:
        return replace(position, expires_at=max(expires_at, position.expires_at or expires_at))
    if not sole and ((position.holder is not None and alive) or is_kept_for_another(position, holder, now)):
        return None
    return replace(
        position, holder=holder, epoch=position.epoch + 1, expires_at=expires_at, wanted_by=None, wanted_at=None
    )


def is_kept_for_another(position: Position, holder: str, now: datetime) -> bool:
    """Tell whether another process has asked for the lane a short while ago."""
    if position.wanted_by in {None, holder} or position.wanted_at is None:
        return False
    return position.wanted_at <= now < position.wanted_at + ASKED_FOR


def ask(position: Position, holder: str, now: datetime, led: Mapping[str, str], lane: str) -> Position:
    """
    Ask for a lane that another process leads, if that evens out who leads how many.

    Args:
        led: Who leads which lane, of those that this process serves too; lanes that nobody leads are absent.
        lane: The one whose row *position* is.
    """
    counts = Counter(led.values())
    leader = led.get(lane)
    if leader is None or counts[leader] - counts[holder] < _UNEVEN or counts[leader] < max(counts.values()):
        return position
    first = min(each for each, by in led.items() if by == leader)
    if lane != first or is_kept_for_another(position, holder, now):
        return position
    return replace(position, wanted_by=holder, wanted_at=now)


def yields(position: Position, holder: str, now: datetime, led: Mapping[str, str]) -> bool:
    """Tell whether a leader gives its lane to the process that asks for it: only if it still leads two more."""
    if position.wanted_by is None or not is_kept_for_another(position, holder, now):
        return False
    counts = Counter(led.values())
    return counts[holder] - counts[position.wanted_by] >= _UNEVEN


def holds(position: Position, holder: str, epoch: int, now: datetime) -> bool:
    """Tell whether a holder may start a push: the lease is its own, of its epoch, and has not run out."""
    return (
        position.holder == holder
        and position.epoch == epoch
        and position.expires_at is not None
        and position.expires_at > now
    )


def longest_lease(policy: Policy) -> timedelta:
    """Return how long a lease can last from the instant it is taken or extended: over one whole push."""
    return max(policy.lease, policy.send_within + policy.request_timeout + RECORDING_TIME)


def longest_silence(policy: Policy) -> timedelta:
    """Return how long a lane keeps silent from the commit of an intent whose outcome nobody will tell."""
    return policy.send_within + policy.request_timeout + policy.settle


def covers_push(position: Position, now: datetime, policy: Policy) -> Position:
    """Extend the lease over one whole push, so that a slow answer finds its lease still there."""
    end = now + longest_lease(policy)
    return replace(position, expires_at=max(end, position.expires_at or end))


def uncovers_push(position: Position, intent: Intent, now: datetime, policy: Policy) -> Position:
    """Shorten the lease again once a push is recorded, so that a standby need not wait for one that is over."""
    if position.epoch != intent.epoch or position.expires_at is None:
        return position
    return replace(position, expires_at=min(position.expires_at, now + policy.lease))


def outlasts(position: Position, intent: Intent, began: datetime, now: datetime, policy: Policy) -> Position:
    """Let a lease that was alive when a long recording *began* last beyond its end, since nobody could extend it."""
    if position.epoch != intent.epoch or position.expires_at is None or position.expires_at <= began:
        return position
    return replace(position, expires_at=max(position.expires_at, now + policy.lease))


def release(position: Position, now: datetime) -> Position:
    """Give the lease back, so that a standby takes over at once."""
    return replace(position, holder=None, expires_at=now)


def lane_state(position: Position, intent: Intent | None, holder: str, now: datetime) -> LaneState:
    """Tell what a lane is doing, as seen by one process; an intent of its own counts as active."""
    if position.holder != holder or position.expires_at is None or position.expires_at <= now:
        return LaneState.STANDBY
    if position.hold_reason is not None:
        return LaneState.HELD
    foreign_intent = intent is not None and intent.epoch != position.epoch
    if foreign_intent or (position.silent_until is not None and position.silent_until > now):
        return LaneState.SETTLING
    if position.wait_until is not None and position.wait_until > now:
        return LaneState.BACKING_OFF
    return LaneState.ACTIVE
