"""
Reads the form in which a temporary status is set, as far as it has been filled in.

1. Times are those that the clocks of the chosen zone show. One that a clock change skips or repeats is no error of the
   person's: both instants that can be meant are offered, and the choice counts as long as the time stays the same.
2. What may be set is the service's to say. Here only what cannot be read is found, each thing beside its field.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.local_time import LocalTimeError, UnknownZoneError, local_instant, zone_of
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.page.site import Call
from oicp_adapter.page.times import LOCAL

UNITS: Final[Mapping[str, timedelta]] = {
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
}
CARRIED: Final = (
    "location", "box", "evse", "pasted", "pattern", "kind", "zone", "begins", "start", "start_instant", "ends",
    "amount", "unit", "end", "end_instant", "reason", "reference",
)  # fmt: skip
"""The fields of the form, which the review carries on."""

_SEPARATORS: Final = str.maketrans(",;\t\r\n", "     ")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of two instants that a local time may mean."""

    value: str
    label: str


@dataclass(slots=True)
class Draft:
    """
    What the form says.

    Attributes:
        begins_now: It starts when it is saved.
        start: Aware; of one that starts now that instant; None: not to be read.
        end: Aware; None: until ended, or not to be read.
        errors: What is wrong, by field.
        choices: By field, the instants between which the person must choose.
    """

    locations: Sequence[str]
    boxes: Sequence[tuple[str | None, str | None]]
    evses: Sequence[str]
    pattern: str
    kind: TemporaryStatus | None
    zone: ZoneInfo
    begins_now: bool
    start: datetime | None
    end: datetime | None
    reason: str
    reference: str
    errors: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Sequence[Choice]] = field(default_factory=dict)

    @property
    def valid_from(self) -> datetime | None:
        """When it starts; None: when it is saved."""
        return None if self.begins_now else self.start


def read_draft(call: Call, now: datetime, own_zone: str) -> Draft:
    """
    Read the form.

    Args:
        own_zone: Of times, where the form names none.
    """
    errors: dict[str, str] = {}
    choices: dict[str, Sequence[Choice]] = {}
    zone = zone_field(call, own_zone, errors)
    begins_now = call.first("begins") != "at"
    start: datetime | None = now
    if not begins_now:
        start = instant_of(call, "start", zone, errors, choices)
    draft = Draft(
        locations=[each for each in call.every("location") if each],
        boxes=[box for each in call.every("box") if (box := box_of(each)) is not None],
        evses=evses_of(call),
        pattern=call.first("pattern"),
        kind=_kind(call, errors),
        zone=zone,
        begins_now=begins_now,
        start=start,
        end=_end(call, start, zone, errors, choices),
        reason=call.first("reason"),
        reference=call.first("reference"),
        errors=errors,
        choices=choices,
    )
    if not (draft.locations or draft.boxes or draft.evses or draft.pattern):
        errors["evses"] = "no EVSE is chosen: tick some, or paste their EvseIDs"
    return draft


def duration_of(call: Call) -> timedelta | None:
    """Return how long it is to last; None: the fields hold no duration."""
    try:
        length = float(call.first("amount").replace(",", ".")) * UNITS[call.first("unit")]
    except (ValueError, OverflowError, KeyError):
        return None
    return length if length > timedelta(0) else None


def box_value(location: str | None, charge_box: str | None) -> str:
    """Return what names a charge box of a location in the form."""
    return json.dumps([location, charge_box])


def zone_field(call: Call, own_zone: str, errors: dict[str, str]) -> ZoneInfo:
    """Return the zone of the form's times."""
    name = call.first("zone") or own_zone
    try:
        return zone_of(name)
    except UnknownZoneError:
        errors["zone"] = f"{foreign_text(name, 60)} is no time zone: choose one of the list"
        return zone_of("UTC")


def _kind(call: Call, errors: dict[str, str]) -> TemporaryStatus | None:
    try:
        return TemporaryStatus(call.first("kind"))
    except ValueError:
        errors["kind"] = "no kind is chosen: choose what drivers will see"
        return None


def _end(
    call: Call,
    start: datetime | None,
    zone: ZoneInfo,
    errors: dict[str, str],
    choices: dict[str, Sequence[Choice]],
) -> datetime | None:
    match call.first("ends"):
        case "open":
            return None
        case "at":
            return instant_of(call, "end", zone, errors, choices)
    length = duration_of(call)
    if length is None:
        errors["amount"] = "the duration is no number greater than 0: write 4 and choose hours, say"
        return None
    try:
        return start + length if start is not None else None
    except OverflowError:
        errors["amount"] = "the duration leads beyond the year 9999: choose until ended"
        return None


def instant_of(
    call: Call, name: str, zone: ZoneInfo, errors: dict[str, str], choices: dict[str, Sequence[Choice]]
) -> datetime | None:
    """Return the instant that a field for a local time means; None: none, and *errors* says why."""
    text = call.first(name)
    try:
        naive = datetime.fromisoformat(text)
    except ValueError:
        what = f"{foreign_text(text, 40)!r} is no time" if text else "the time is missing"
        errors[name] = f"{what}: write it as 2026-12-03T08:00"
        return None
    if naive.tzinfo is not None:
        errors[name] = "the time has an offset: leave it out, the zone is chosen beside it"
        return None
    try:
        return local_instant(naive, zone)
    except LocalTimeError as error:
        return _chosen(call, name, error, errors, choices)
    except OverflowError:
        errors[name] = "the time lies beyond the years 1 to 9999"
        return None


def _chosen(
    call: Call, name: str, error: LocalTimeError, errors: dict[str, str], choices: dict[str, Sequence[Choice]]
) -> datetime | None:
    """Return which of the two instants was chosen; offer both in any case."""
    choices[name] = [Choice(each.isoformat(), f"{each:%H:%M %Z} (UTC{each:%z})") for each in error.nearest]
    for each in error.nearest:
        if each.isoformat() == call.first(f"{name}_instant"):
            # In one zone, Python would reckon with the hands of the clock.
            return each.astimezone(UTC)
    happens = "comes twice" if error.repeated else "does not exist"
    errors[name] = f"{error.naive:%H:%M} {happens} on this night, for the clocks change: choose which time is meant"
    return None


def box_of(text: str) -> tuple[str | None, str | None] | None:
    """Read what `box_value` wrote; None: it did not write this."""
    try:
        location, charge_box = json.loads(text)
        spelled = f"{location}{charge_box}".encode()  # half a surrogate pair is no text, and cannot be asked for
    except (ValueError, TypeError):
        return None
    if b"\0" not in spelled and all(each is None or isinstance(each, str) for each in (location, charge_box)):
        return location, charge_box
    return None


def evses_of(call: Call) -> Sequence[str]:
    """Return the EvseIDs that are named one by one, ticked or pasted."""
    pasted = call.first("pasted").translate(_SEPARATORS).split()
    return list(dict.fromkeys([*(each for each in call.every("evse") if each), *pasted]))


def local_text(instant: datetime | None, zone: ZoneInfo) -> str:
    """Return what a field for a local time holds, empty for None."""
    return instant.astimezone(zone).strftime(LOCAL) if instant is not None else ""
