"""
Decides when the next request may start: the rate limit, and the waits after a failure.

The rate is held by the generic cell rate algorithm, whose whole memory is one instant kept in the lane's row: a
restart or a takeover forgets nothing, and no rolling minute ever holds more than the limit.
"""

from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.model import Position

MINUTE: Final = timedelta(seconds=60)
BURST_SHARE: Final = 10
"""One tenth of the limit may go at once; the rest is spread evenly, so that a busy lane never stands still."""

FIRST_BACKOFF: Final = timedelta(seconds=1)
LONGEST_BACKOFF: Final = timedelta(seconds=60)
LONGEST_HOLD: Final = timedelta(minutes=5)
"""A lane held by an account fault tries again at least so often: nobody tells us when a contract is renewed."""

FIRST_QUARANTINE: Final = timedelta(minutes=1)
LONGEST_QUARANTINE: Final = timedelta(hours=1)
_MOST_DOUBLINGS: Final = 20
"""More would change no result and only make the power of two needlessly large."""


def admitted_at(paced_at: datetime | None, now: datetime, limit: int) -> datetime:
    """Return the earliest instant, not before *now*, at which a request keeps the rate of *limit* a minute."""
    burst, interval = _shape(limit)
    if paced_at is None:
        return now
    return max(now, paced_at - (burst - 1) * interval)


def paced(paced_at: datetime | None, started_at: datetime, limit: int) -> datetime:
    """Return the pacing's new state after a request that started at an admitted instant."""
    _, interval = _shape(limit)
    return max(paced_at or started_at, started_at) + interval


def longest_paced(now: datetime, limit: int) -> datetime:
    """Return the furthest that the pacing's state can reach: a whole burst went at this instant."""
    burst, interval = _shape(limit)
    return now + burst * interval


def backoff(failures: int, draw: float, *, longest: timedelta = LONGEST_BACKOFF) -> timedelta:
    """
    Return how long a lane waits after its nth failure in a row: exponential, full jitter.

    Args:
        failures: At least 1.
        draw: Uniform in [0, 1).
    """
    ceiling: timedelta = min(FIRST_BACKOFF * (1 << min(failures - 1, _MOST_DOUBLINGS)), longest)
    return ceiling * draw


def quarantine(failing_for: timedelta, draw: float) -> timedelta:
    """
    Return how long a record waits that was called bad: as long as it has been failing, one minute to one hour.

    So the time from the first failure to the next attempt doubles each time, and flapping does not make it grow. Up to
    10 % are added: records that went bad together should not come back together.
    """
    return min(max(failing_for, FIRST_QUARANTINE), LONGEST_QUARANTINE) * (1 + draw / 10)


def ready_at(position: Position, now: datetime, limit: int) -> datetime:
    """Return the earliest instant, not before *now*, at which a lane's next request may start."""
    waits = (position.silent_until, position.wait_until, admitted_at(position.paced_at, now, limit))
    return max(instant for instant in waits if instant is not None)


def longest_wait(reason: Reason) -> timedelta:
    """Return the cap of the backoff for a failure: longer where a person must act first."""
    return LONGEST_HOLD if reason in _ACCOUNT else LONGEST_BACKOFF


_ACCOUNT: Final = frozenset(
    {
        Reason.CERTIFICATE,
        Reason.UNAUTHORIZED,
        Reason.FORBIDDEN,
        Reason.NO_CONTRACT,
        Reason.PARTNER_NOT_FOUND,
        Reason.NOT_FOUND,
    }
)


def _shape(limit: int) -> tuple[int, timedelta]:
    """
    Return the burst and the interval for which burst + minute / interval stays one below the limit.

    The one is for a request that was admitted but left late, into the minute of its successors.
    """
    burst = max(1, limit // BURST_SHARE)
    return burst, MINUTE / max(1, limit - burst - 1)
