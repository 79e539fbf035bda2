"""
Reads the times and durations of a request, and says with an example how to write one that cannot be read.

1. A time has an offset. Without one it is refused, unless the request names the IANA zone in which it was entered.
2. A local time that the night of a clock change skips or repeats is refused with the two instants nearest to it.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.local_time import LocalTimeError, UnknownZoneError, local_instant, zone_of

EXAMPLE: Final = "2026-12-03T08:00:00+01:00"
DURATION_EXAMPLE: Final = "PT1H30M"

# RFC 3339, with seconds optional and either letter case, as people type it; nothing else that Python would read.
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?:(:\d\d)(?:(\.\d{1,6})\d{0,20})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DURATION: Final = re.compile(
    r"P(?=.)(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=.)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?", re.ASCII
)
_SHOWN: Final = 60


def wire_instant(text: str, zone: str | None, *, field: str) -> datetime:
    """
    Return the instant that a time of a request means.

    Args:
        zone: IANA name of the zone in which it was entered; None: it has an offset.
        field: Its name in the request.

    Returns:
        Aware, UTC.

    Raises:
        RequestRefusedError: INVALID: it is no time, has no offset, or the clocks of the zone never show it or twice.
    """
    naive_or_aware = _parse(text, field)
    try:
        if naive_or_aware.tzinfo is not None:
            return naive_or_aware.astimezone(UTC)
        if zone is None:
            _refuse(field, f"{foreign_text(text, _SHOWN)!r} has no offset", f"write {EXAMPLE}, or name the timeZone")
        return local_instant(naive_or_aware, zone_of(zone))
    except UnknownZoneError as error:
        raise _unknown_zone(error.name) from error
    except LocalTimeError as error:
        first, second = (each.isoformat() for each in error.nearest)
        what = "comes twice" if error.repeated else "does not exist"
        raise RequestRefusedError(
            Refusal.INVALID,
            f"{error.naive.isoformat()} {what} in {foreign_text(zone, _SHOWN)} on the night of the clock change",
            cure=f"write {first} or {second}",
            field=field,
            facts={"nearest": [first, second]},
        ) from error
    except OverflowError as error:
        raise _no_time(text, field) from error


def known_zone(name: str) -> str:
    """
    Return the name of a time zone.

    Raises:
        RequestRefusedError: INVALID: there is none of this name.
    """
    try:
        zone_of(name)
    except UnknownZoneError as error:
        raise _unknown_zone(name) from error
    return name


def wire_duration(text: str, *, field: str) -> timedelta:
    """
    Return a duration as ISO 8601 writes it, in weeks, days, hours, minutes and seconds.

    Raises:
        RequestRefusedError: INVALID: it is none, or nothing long.
    """
    match = _DURATION.fullmatch(text)
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0,) * 5
    try:
        duration = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        duration = timedelta(0)
    if not duration:
        _refuse(field, f"{foreign_text(text, _SHOWN)!r} is no duration", f"write {DURATION_EXAMPLE}, or P1D")
    return duration


def _parse(text: str, field: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise _no_time(text, field)
    day, minute, second, fraction, offset = match.groups()
    try:
        return datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{fraction or ''}{(offset or '').upper()}")
    except ValueError as error:
        raise _no_time(text, field) from error


def _no_time(text: str, field: str) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.INVALID,
        f"{foreign_text(text, _SHOWN)!r} is no time of the years 1 to 9999",
        cure=f"write {EXAMPLE}",
        field=field,
    )


def _unknown_zone(name: str) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.INVALID,
        f"{foreign_text(name, _SHOWN)!r} is no time zone",
        cure="write an IANA name as Europe/Berlin",
        field="timeZone",
    )


def _refuse(field: str, what: str, cure: str) -> NoReturn:
    raise RequestRefusedError(Refusal.INVALID, what, cure=cure, field=field)
