"""
Turns local times into instants, and says which ones the night of a clock change skips or repeats.

Zones come from the database of the IANA; nothing here asks what time it is.
"""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class UnknownZoneError(ValueError):
    """
    A name is no time zone of the IANA's database.

    Attributes:
        name: What came.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class LocalTimeError(ValueError):
    """
    A local time is no instant, or two.

    Attributes:
        naive: What came.
        nearest: The two instants that may have been meant, in the zone, the earlier one first.
        repeated: The clocks show it twice; else they skip it.
    """

    def __init__(self, naive: datetime, nearest: tuple[datetime, datetime], *, repeated: bool) -> None:
        self.naive = naive
        self.nearest = nearest
        self.repeated = repeated
        super().__init__(naive.isoformat())

    def __str__(self) -> str:
        what = "comes twice" if self.repeated else "does not exist"
        one, other = (each.isoformat(" ", "minutes") for each in self.nearest)
        return f"{self.naive:%Y-%m-%d %H:%M} {what} on the night of the clock change: write {one} or {other}"


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all time zones of the IANA's database, links included."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="ascii").split())


def zone_of(name: str) -> ZoneInfo:
    """
    Return a time zone by its name, as Europe/Berlin.

    Raises:
        UnknownZoneError: There is none of this name.
    """
    if name not in zone_names():  # the machine's own files know more, as a zone that counts leap seconds
        raise UnknownZoneError(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZoneError(name) from error


def local_instant(naive: datetime, zone: ZoneInfo) -> datetime:
    """
    Return the instant at which the clocks of a zone show a time.

    Args:
        naive: Without an offset.

    Returns:
        Aware, UTC.

    Raises:
        LocalTimeError: They never show it, or twice.
        OverflowError: It lies beyond what the calendar has in UTC.
    """
    first = naive.replace(tzinfo=zone, fold=0)
    second = naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    repeated = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive
    shown = sorted(each.astimezone(UTC) for each in (first, second))
    raise LocalTimeError(naive, (shown[0].astimezone(zone), shown[1].astimezone(zone)), repeated=repeated)
