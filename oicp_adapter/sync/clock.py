"""
Decides what to make of a clock that jumps.

1. A clock that was set back leaves waits, leases and debts that reach further than any of ours can. They are cut once,
   and the caller saves what was cut: a limit that only moves along with the clock would never be reached.
2. A clock that is absurdly far away is not believed at all: no window is judged by it.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.sync.classify import RETRY_AFTER_CAP
from oicp_adapter.sync.lease import longest_lease, longest_silence
from oicp_adapter.sync.model import Intent, Policy, Position
from oicp_adapter.sync.pacing import LONGEST_HOLD, LONGEST_QUARANTINE, longest_paced

ASTRAY: Final = timedelta(days=1)
"""A store's clock that differs more than this from what this host has counted since it started is not believed."""

LONGEST_RETRY: Final = 2 * LONGEST_QUARANTINE
"""No record waits longer for its next attempt, the jitter included."""


def is_astray(now: datetime, counted: datetime) -> bool:
    """
    Tell whether the store's clock is absurdly far away.

    Args:
        counted: What the time should be by the clock that this host started with and has counted on since.
    """
    return abs(now - counted) > ASTRAY


def within_reach(position: Position, now: datetime, policy: Policy) -> Position:
    """
    Cut what only a clock that was set back can have left in a lane's row; an honest one is returned as it is.

    What keeps the lane from harm (leases, silences, debts) is cut to its longest; a mere backoff ends.
    """
    longest_wait = max(RETRY_AFTER_CAP, LONGEST_HOLD, policy.settle)
    waits = position.wait_until is not None and position.wait_until <= now + longest_wait
    reached = replace(
        position,
        expires_at=_cut(position.expires_at, now + longest_lease(policy)),
        silent_until=_cut(position.silent_until, now + longest_silence(policy)),
        wait_until=position.wait_until if waits else None,
        doubted_before=_cut(position.doubted_before, now),
        debt_at=_cut(position.debt_at, now + policy.send_within + policy.late_apply),
        paced_at=_cut(position.paced_at, longest_paced(now, policy.requests_per_minute)),
    )
    return position if reached == position else reached


def intent_within_reach(intent: Intent, now: datetime, policy: Policy) -> Intent:
    """Cut the silence of an open intent in the same way."""
    longest = now + longest_silence(policy)
    if intent.started_at <= now and intent.silent_until <= longest:
        return intent
    return replace(intent, started_at=min(intent.started_at, now), silent_until=min(intent.silent_until, longest))


def _cut(instant: datetime | None, furthest: datetime) -> datetime | None:
    return instant if instant is None else min(instant, furthest)
