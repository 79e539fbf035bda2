"""Decides when a full load is due: once a day at a local time, at the very first start, and on a person's request."""

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
    if not policy.full_load_at:
        return None
    zone = ZoneInfo(policy.full_load_zone)
    at = time.fromisoformat(policy.full_load_at)
    today = now.astimezone(zone).date()
    # A local time that the night of the clock change skips or repeats is taken as zoneinfo takes it: once.
    scheduled = (datetime.combine(today - timedelta(days=back), at, zone).astimezone(UTC) for back in (0, 1, 2))
    return next(instant for instant in scheduled if instant <= now)
