"""
Judges what people and programs enter for a temporary status: times, zones, texts.

A refusal names the JSON field at fault, so that a page can show it beside that field.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.local_time import UnknownZoneError, zone_of

CLOCKS_APART: Final = timedelta(minutes=1)
"""How far a client's clock may lag: an end that has passed by less than this means now."""

REASON_LIMIT: Final = 500
REFERENCE_LIMIT: Final = 200
"""Characters of a reason and of a reference."""

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Between these both stores hold every instant; what lies beyond is a slip."""


def require_order(start: datetime, end: datetime | None) -> None:
    """
    Do nothing for times that a window can have.

    Raises:
        RequestRefusedError: It would end before it starts, or they lie beyond any calendar.
    """
    for field, instant in (("validFrom", start), ("validTo", end)):
        if instant is not None and not EARLIEST <= instant <= LATEST:
            raise _invalid(
                f"{field} is {instant:%Y-%m-%d %H:%M} UTC", "name a time between the years 2000 and 8999", field
            )
    if end is not None and end <= start:
        raise _invalid(
            f"validTo {end:%Y-%m-%d %H:%M:%S} UTC is not after validFrom {start:%Y-%m-%d %H:%M:%S} UTC",
            "let it end after it starts; it applies from its start and no longer at its end",
            "validTo",
        )


def require_ahead(end: datetime | None, now: datetime) -> None:
    """
    Do nothing for an end that is yet to come.

    Raises:
        RequestRefusedError: It has passed, so nothing would change.
    """
    if end is not None and end <= now:
        raise _invalid(
            f"validTo {end:%Y-%m-%d %H:%M:%S} UTC has passed; it is {now:%Y-%m-%d %H:%M:%S} UTC",
            "name a later end, or end the temporary status",
            "validTo",
        )


def require_zone(name: str | None) -> None:
    """
    Do nothing for the name of a time zone; None: none was entered.

    Raises:
        RequestRefusedError: There is no such zone.
    """
    if name is None:
        return
    try:
        zone_of(name)
    except UnknownZoneError as error:
        raise _invalid(
            f"{foreign_text(name, 60)!r} is no time zone", "write a name like Europe/Berlin", "timeZone"
        ) from error


def require_texts(*, reason: str | None, reference: str | None) -> None:
    """
    Do nothing for texts that both stores can hold and a line can show.

    Raises:
        RequestRefusedError: One is too long, empty, or holds control characters.
    """
    for field, text, limit in (("reason", reason, REASON_LIMIT), ("reference", reference, REFERENCE_LIMIT)):
        if text is None:
            continue
        if len(text) > limit:
            raise _invalid(f"{field} has {len(text)} characters", f"write {limit} at most", field)
        if not text.strip():
            raise _invalid(f"{field} is empty", "leave it out, or write something", field)
        if not all(each.isprintable() for each in text):
            raise _invalid(f"{field} holds control characters", "write it on one line, as plain text", field)


def _invalid(what: str, cure: str, field: str) -> RequestRefusedError:
    return RequestRefusedError(Refusal.INVALID, what, cure=cure, field=field)
