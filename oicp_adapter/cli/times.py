"""Reads times and durations as people write them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.local_time import LocalTimeError, UnknownZoneError, local_instant, zone_of

_DURATION: Final = re.compile(r"(?:(\d{1,20})d)?\s*(?:(\d{1,20})h)?\s*(?:(\d{1,20})m)?\s*(?:(\d{1,20})s)?", re.ASCII)
"""Python refuses numbers of thousands of digits; twenty are more than any calendar has."""


def parse_duration(text: str) -> timedelta:
    """
    Read `4h`, `90m`, `1d 12h`, `30s`.

    Raises:
        BadParameter: The text is no such thing, or nothing long.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise _beyond(text) from error
    if not duration:
        raise typer.BadParameter(f"{foreign_text(text, 60)!r} is no duration: write 4h, 90m, 1d 12h or 30s")
    return duration


def instant_after(start: datetime, duration: str) -> datetime:
    """
    Return the instant that lies a duration, as people write it, after another.

    Args:
        start: Aware.

    Raises:
        BadParameter: The text is no duration, or leads beyond what the calendar has.
    """
    try:
        return start + parse_duration(duration)
    except OverflowError as error:
        raise _beyond(duration) from error


def parse_instant(text: str, zone: str | None) -> datetime:
    """
    Read `2026-12-03 08:00`, with an offset or in a zone.

    Args:
        zone: IANA name; needed when the text has no offset.

    Returns:
        Aware, UTC.

    Raises:
        BadParameter: The text is no time, has neither offset nor zone, names a local time that the night of the
            clock change skips or repeats, or lies beyond what the calendar has in UTC.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        shown = foreign_text(text, 60)
        raise typer.BadParameter(f"{shown!r} is no time: write 2026-12-03 08:00 or 2026-12-03T08:00+01:00") from error
    if instant.tzinfo is None and zone is None:
        raise typer.BadParameter(
            f"{text!r} has no offset: add one (+01:00), or name its zone with --zone Europe/Berlin"
        )
    try:
        if zone is None or instant.tzinfo is not None:
            return instant.astimezone(UTC)
        return local_instant(instant, zone_of(zone))
    except OverflowError as error:
        raise _beyond(text) from error
    except UnknownZoneError as error:
        raise typer.BadParameter(f"{error.name!r} is no time zone: write a name like Europe/Berlin") from error
    except LocalTimeError as error:
        raise typer.BadParameter(str(error)) from error


def _beyond(text: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"{foreign_text(text, 60)!r} lies beyond the years 1 to 9999: leave the end out for a status without end"
    )
