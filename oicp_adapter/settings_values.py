"""
Holds the types of single settings: what each accepts, and what a wrong value is told.

1. A message says what is wrong with the value and never shows it: what may be shown is decided by `settings`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from oicp_adapter.domain.errors import MalformedIdentifierError, foreign_text
from oicp_adapter.domain.identifiers import OperatorId, parse_operator_id
from oicp_adapter.domain.local_time import UnknownZoneError, zone_of
from oicp_adapter.domain.statuses import OicpStatus, Status, normalise, parse_status
from oicp_adapter.settings_sources import nearest

LONGEST: Final = timedelta(days=366)
"""No duration of the settings makes sense beyond a year; more is a slip of units."""

SHOWN_VALUE: Final = 60
"""Characters of a wrong value that a message shows."""

OWN_KINDS: Final = frozenset(
    {"seconds", "number", "path", "operator_id", "store_url", "hub_url", "time_of_day", "time_zone", "relation"}
)
"""The kinds of error made here, whose messages continue a sentence that begins with the key."""


@dataclass(frozen=True, slots=True)
class Accepts:
    """
    What a type of setting takes, in words, for the documentation.

    Attributes:
        kind: What a value is, as `seconds`.
        rule: What a value must be besides; empty: what pydantic's own bounds say is all.
    """

    kind: str
    rule: str = ""


_NAME: Final = r'(?:"(?:[^"]|"")+"|[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)'
_RELATION: Final = re.compile(rf"(?:({_NAME})\.)?({_NAME})")
"""A name as PostgreSQL reads it, alone or after a schema and a dot."""

_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
"""What PostgreSQL makes of a name without quotes: only the letters of ASCII become small."""


@dataclass(frozen=True, slots=True)
class RelationName:
    """
    What a table or view is called in the database's catalogue.

    Attributes:
        schema: None: the first on the connection's search path that has the name.
    """

    name: str
    schema: str | None = None


def _seconds(value: object) -> object:
    """Accept positive seconds as number or text; a timedelta stays what it is."""
    if isinstance(value, timedelta):
        return _bounded(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("seconds", "is no number")
    try:
        seconds = float(value)
    except ValueError:
        raise PydanticCustomError("seconds", "is no number") from None
    except OverflowError:
        seconds = inf
    # Compared as a number first: a timedelta holds neither infinity nor what is no number.
    return _bounded(timedelta(seconds=seconds) if abs(seconds) <= LONGEST.total_seconds() else timedelta.max)


def _bounded(duration: timedelta) -> timedelta:
    """Accept what is left of a duration once it is counted in microseconds."""
    if not timedelta() < duration <= LONGEST:
        raise PydanticCustomError("seconds", "is not above 0 and within a year")
    return duration


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "is no number")
    return value


def _path(value: object) -> object:
    if value == "":
        raise PydanticCustomError("path", "is empty")
    if "-----BEGIN" in str(value):
        raise PydanticCustomError("path", "holds the PEM text itself")
    if "\0" in str(value):
        raise PydanticCustomError("path", "is no path")
    return value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _operator_id(text: str) -> OperatorId:
    try:
        parse_operator_id(text)
    except MalformedIdentifierError:
        raise PydanticCustomError("operator_id", "follows neither the ISO nor the DIN form") from None
    return OperatorId(text)


def _store_url(url: str) -> str:
    """Accept SQLite with a file and PostgreSQL; the password is already taken out."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/") and not rest.endswith("/:memory:"):
        return url
    if scheme not in ("postgresql", "postgresql+psycopg"):
        raise PydanticCustomError("store_url", "names no store")
    try:
        parts = urlsplit(url)
        _ = "," in parts.netloc or parts.port
    except ValueError:
        raise PydanticCustomError("store_url", "has a host or port that cannot be read") from None
    if not parts.path.strip("/"):
        raise PydanticCustomError("store_url", "names no database")
    if ":" in parts.netloc.rpartition("@")[0]:
        raise PydanticCustomError("store_url", "holds the password, which belongs into a setting of its own")
    return url


def _hub_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise PydanticCustomError("hub_url", "is no URL") from None
    if parts.scheme != "https" or not parts.hostname:
        raise PydanticCustomError("hub_url", "is not https, so the hub could not tell who calls")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise PydanticCustomError("hub_url", "has a user, parameters or a fragment")
    return url.rstrip("/")


def _relation(value: object) -> object:
    """Read a name as SQL spells it, so that what works in a SELECT works here."""
    if value is None or value == "" or isinstance(value, RelationName):
        return value or None
    found = _RELATION.fullmatch(value) if isinstance(value, str) else None
    # No database takes NUL, no encoding a lone surrogate, and SQLAlchemy takes __[ for a mark of its own.
    if found is None or "\0" in found[0] or "__[" in found[0] or not _is_encodable(found[0]):
        raise PydanticCustomError("relation", "is no name of a table or view")
    schema, name = found.groups()
    return RelationName(_unquoted(name), _unquoted(schema) if schema is not None else None)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.translate(_LOWER)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time_of_day(text: str) -> str:
    hour, colon, minute = text.partition(":")
    digits = all(len(part) == 2 and part.isascii() and part.isdigit() for part in (hour, minute))  # noqa: PLR2004 - HH, MM
    if text and not (colon and digits and int(hour) < 24 and int(minute) < 60):  # noqa: PLR2004 - a day's hours
        raise PydanticCustomError("time_of_day", "is no time of day")
    return text


def _time_zone(name: str) -> str:
    try:
        zone_of(name)
    except UnknownZoneError:
        raise PydanticCustomError("time_zone", "is no IANA time zone") from None
    return name


def _mapping(value: object) -> object:
    """Turn words into statuses; all that is wrong with a table of overrides is said at once."""
    if not isinstance(value, Mapping):
        return value
    overrides: dict[Status, OicpStatus] = {}
    wrong: list[str] = []
    for word, target in value.items():
        status = parse_status(str(word))
        oicp = next((known for known in OicpStatus if normalise(known) == normalise(str(target))), None)
        if status is None:
            wrong.append(f"{foreign_text(word, SHOWN_VALUE)} is no status; {nearest(str(word), list(Status))}")
        elif oicp is None:
            hint = nearest(str(target), list(OicpStatus))
            wrong.append(f"{status} = {foreign_text(target, SHOWN_VALUE)} is no OICP status; {hint}")
        elif status in overrides:
            wrong.append(f"{status} stands there twice, in two spellings")
        else:
            overrides[status] = oicp
    if wrong:
        raise PydanticCustomError("mapping", "{wrong}", {"wrong": "; ".join(wrong)})
    return overrides


_PATH: Final = Accepts("path", "not empty, and not the PEM text itself; relative to the file's folder")

Seconds = Annotated[timedelta, BeforeValidator(_seconds), Accepts("seconds", f"above 0, at most {LONGEST.days} days")]
Port = Annotated[int, BeforeValidator(_no_flag), Field(ge=0, le=65535), Accepts("whole number")]
OperatorIdText = Annotated[
    str, AfterValidator(_operator_id), Accepts("text", "the ISO or the DIN form, in one lane only")
]
FilePath = Annotated[Path, BeforeValidator(_path), _PATH]
OptionalFilePath = Annotated[FilePath | None, BeforeValidator(_empty_is_none), _PATH]
OptionalSecret = Annotated[
    SecretStr | None, BeforeValidator(_empty_is_none), Accepts("secret", "never shown; not beside its `_file`")
]
OptionalRelation = Annotated[
    RelationName | None, BeforeValidator(_relation), Accepts("name", "as PostgreSQL spells it, perhaps after a schema")
]
StoreUrl = Annotated[
    str, AfterValidator(_store_url), Accepts("URL", "`sqlite:///` with a file, or `postgresql://` with a database")
]
HubUrl = Annotated[str, AfterValidator(_hub_url), Accepts("URL", "https, without user, parameters or fragment")]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day), Accepts("text", "00:00 to 23:59, or empty")]
TimeZoneName = Annotated[str, AfterValidator(_time_zone), Accepts("text", "a zone of the IANA database")]
Whole = Annotated[int, BeforeValidator(_no_flag), Accepts("whole number")]
Share = Annotated[float, BeforeValidator(_no_flag), Field(ge=0, le=1, allow_inf_nan=False), Accepts("number")]
MappingOverrides = Annotated[
    dict[Status, OicpStatus],
    BeforeValidator(_mapping),
    Accepts("table", "a status word = an OICP status; an unusable charger never as Available"),
]
