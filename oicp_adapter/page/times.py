"""
Writes instants and durations as people read them, and reads what a form has.

1. Every instant is shown in a zone with UTC beside it, so that nobody has to guess which clock is meant.
2. Which zone: the one that the reader chose, else the EVSE's own, else UTC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from oicp_adapter.domain.local_time import UnknownZoneError, zone_of
from oicp_adapter.domain.local_time import zone_names as all_zones

LOCAL: Final = "%Y-%m-%dT%H:%M"
"""What a field of the kind `datetime-local` holds."""

_MINUTE: Final = timedelta(minutes=1)
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))
_LEFT_OUT: Final = ("Etc/", "SystemV/", "US/", "posix/", "right/")
_AT_ONCE: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Times:
    """
    How one reader sees time.

    Attributes:
        chosen: The zone that they chose; None: each EVSE's own.
        now: By the store's clock.
    """

    chosen: str | None
    now: datetime

    def zone(self, own: str | None = None) -> ZoneInfo:
        """Return the zone in which something is shown whose own zone is this one; what is no zone counts as none."""
        for name in (self.chosen, own):
            if name:
                try:
                    return zone_of(name)
                except UnknownZoneError:
                    continue
        return zone_of("UTC")

    def moment(self, instant: datetime, own: str | None = None, *, seconds: bool = False) -> str:
        """Return an instant with its day, as `Thu 3 Dec 08:00 CET (07:00 UTC)`; the day of today is `today`."""
        local, utc = self.both(instant, own, seconds=seconds)
        return f"{local} ({utc})" if utc else local

    def both(self, instant: datetime, own: str | None = None, *, seconds: bool = False) -> tuple[str, str]:
        """Return an instant as `moment` does, and its UTC apart; that is empty where the zone has the time of UTC."""
        zone = self.zone(own)
        local, utc = instant.astimezone(zone), instant.astimezone(UTC)
        clock = "%H:%M:%S" if seconds else "%H:%M"
        shown = f"{self._day(local, zone)} {local:{clock}} {local:%Z}"
        if local.utcoffset() == timedelta(0):
            return shown, ""
        day = "" if utc.date() == local.date() else f"{utc:%a} {utc.day} {utc:%b} "
        return shown, f"{day}{utc:{clock}} UTC"

    def relative(self, instant: datetime) -> str:
        """Return how far away an instant is, as `in 2 h 10 min` or `5 min ago`."""
        away = instant - self.now
        if abs(away) < _MINUTE:
            return "now" if away <= timedelta(0) else "in less than a minute"
        return f"in {lasting(away)}" if away > timedelta(0) else f"{lasting(-away)} ago"

    def _day(self, local: datetime, zone: ZoneInfo) -> str:
        today = self.now.astimezone(zone).date()
        if local.date() == today:
            return "today"
        year = "" if local.year == today.year else f" {local.year}"
        return f"{local:%a} {local.day} {local:%b}{year}"


def lasting(length: timedelta) -> str:
    """Return a duration as `2 h 10 min`, rounded down to its minutes; of less than a minute its seconds."""
    left = int(length.total_seconds())
    if left < _UNITS[-1][0]:
        return f"{left} s"
    parts = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:3])


def lag(length: timedelta) -> str:
    """Return a short time as `0.31 s`, a long one as `2 h 10 min`."""
    seconds = max(0.0, length.total_seconds())
    return f"{seconds:.2f} s" if length < _MINUTE else lasting(length)


def clock_change(start: datetime, end: datetime | None, zone: ZoneInfo) -> str | None:
    """Tell that the clocks of a zone change between two instants, and what that does; None: they do not."""
    if end is None:
        return None
    first, last = start.astimezone(zone), end.astimezone(zone)
    before, after = first.utcoffset(), last.utcoffset()
    if before is None or after is None or before == after:
        return None
    moved = "forward" if after > before else "back"
    return (
        f"the clocks of {zone.key} go {moved} by {lasting(abs(after - before))} in between: it lasts "
        f"{lasting(end - start)}, from {first:%H:%M %Z} to {last:%H:%M %Z}"
    )


@cache
def zone_names() -> tuple[str, ...]:
    """Return the zones that a person may choose from, UTC first."""
    regions = sorted(name for name in all_zones() if "/" in name and not name.startswith(_LEFT_OUT))
    return ("UTC", *regions)
