"""Reads times and durations as people write them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

_DURATION: Final = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?")


def parse_duration(text: str) -> timedelta:
    """
    Read `4h`, `90m`, `1d 12h`, `30s`.

    Raises:
        BadParameter: The text is no such thing, or nothing long.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not duration:
        raise typer.BadParameter(f"{text!r} is no duration: write 4h, 90m, 1d 12h or 30s")
    return duration


def parse_instant(text: str, zone: str | None) -> datetime:
    """
    Read `2026-12-03 08:00`, with an offset or in a zone.

    Args:
        zone: IANA name; needed when the text has no offset.

    Returns:
        Aware, UTC.

    Raises:
        BadParameter: The text is no time, has neither offset nor zone, or names a local time that the night of the
            clock change skips or repeats.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time: write 2026-12-03 08:00 or 2026-12-03T08:00+01:00") from error
    if instant.tzinfo is not None:
        return instant.astimezone(UTC)
    if zone is None:
        raise typer.BadParameter(
            f"{text!r} has no offset: add one (+01:00), or name its zone with --zone Europe/Berlin"
        )
    return _local(instant, _zone(zone))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise typer.BadParameter(f"{name!r} is no time zone: write a name like Europe/Berlin") from error


def _local(naive: datetime, zone: ZoneInfo) -> datetime:
    first = naive.replace(tzinfo=zone, fold=0)
    second = naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    nearest = [each.astimezone(UTC).astimezone(zone).isoformat(" ", "minutes") for each in (second, first)]
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        what = "does not exist on the night of the clock change"
    else:
        what = "comes twice on the night of the clock change"
    raise typer.BadParameter(f"{naive:%Y-%m-%d %H:%M} {what}: write {nearest[0]} or {nearest[1]}")
