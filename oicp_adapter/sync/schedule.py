"""Decides when a full load is due: once a day at a local time, at the very first start, and on a person's request."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from oicp_adapter.sync.model import Policy, Position


def full_load_due(position: Position, now: datetime, policy: Policy) -> bool:
    """
    Tell whether a full load is due.

    One that was missed while the adapter was down is due at once. One that was sent, whatever came of it, or given up
    is not due again before the next day: what it left undone the deltas do. Who says "never" gets none at the first
    start either: it would withdraw what another system pushes for the same operator. After the books lost a part it
    waits for a person: it would withdraw what nobody remembers.
    """
    if position.full_load_requested_at is not None:
        return True
    if position.distrusted_at is not None:
        return False
    last = last_scheduled(now, policy)
    return last is not None and (position.full_load_tried_at is None or position.full_load_tried_at < last)


def last_scheduled(now: datetime, policy: Policy) -> datetime | None:
    """Return the latest instant, not after *now*, at which the daily full load was scheduled; None: there is none."""
    return next((instant for instant in _scheduled(now, policy, (0, -1, -2)) if instant <= now), None)


def next_scheduled(after: datetime, policy: Policy) -> datetime | None:
    """Return the first instant after *after* at which the daily full load is scheduled; None: there is none."""
    return next((instant for instant in _scheduled(after, policy, (0, 1, 2)) if instant > after), None)


def _scheduled(near: datetime, policy: Policy, days: Sequence[int]) -> Iterator[datetime]:
    """Yield the instants of the daily full load so many days away from the local day of an instant."""
    if not policy.full_load_at:
        return
    zone = ZoneInfo(policy.full_load_zone)
    at = time.fromisoformat(policy.full_load_at)
    today = near.astimezone(zone).date()
    for away in days:
        # A local time that the night of the clock change skips or repeats is taken as zoneinfo takes it: once.
        yield datetime.combine(today + timedelta(days=away), at, zone).astimezone(UTC)
