"""
Finds EVSEs by what people know of them: identifiers, where they stand, patterns.

Rows that say Removed are no EVSEs. Where an EVSE stands is matched by its key, since others write both tables.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, func, literal, or_, select

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, evse_key
from oicp_adapter.domain.patterns import ESCAPE, EvsePattern
from oicp_adapter.store.expressions import EvseKey, among, is_removed
from oicp_adapter.store.schema import evse_location, evse_status


@dataclass(frozen=True, slots=True)
class Place:
    """
    An EVSE and where it stands; what nobody has written down is None.

    Attributes:
        evse_id: As spelled in `evse_status`.
        time_zone: Of the place, an IANA name as somebody wrote it.
    """

    evse_id: EvseId
    location: str | None
    charge_box: str | None
    time_zone: str | None

    @property
    def key(self) -> CanonicalEvseId:
        """By which rows of the store are matched."""
        return evse_key(self.evse_id)


@dataclass(frozen=True, slots=True)
class PlaceCount:
    """How many EVSEs stand at a charge box of a location."""

    location: str | None
    charge_box: str | None
    evses: int


def places_of(connection: Connection, keys: Collection[str]) -> Mapping[CanonicalEvseId, Place]:
    """Return the EVSEs with these keys, those that the store has."""
    if not keys:
        return {}
    return _by_key(connection.execute(_select().where(among(EvseKey(evse_status.c.evse_id), keys))))


def locations_of(connection: Connection, keys: Collection[str]) -> Mapping[CanonicalEvseId, Place]:
    """Return where EVSEs stand, by their keys, whether `evse_status` has them or not."""
    if not keys:
        return {}
    row = evse_location.c
    statement = select(row.evse_id, row.location, row.charge_box, row.time_zone)
    # Few rows are asked for, and this table need not have an index on the key.
    return _by_key(connection.execute(statement.where(among(EvseKey(row.evse_id), keys))))


@dataclass(frozen=True, slots=True)
class PlaceFilter:
    """
    Which EVSEs are wanted; what is None does not matter.

    Attributes:
        location: Exactly as `evse_location` has it.
        charge_box: Likewise.
        search: A part of the EvseID in any spelling, of the location or of the charge box, in any case.
    """

    location: str | None = None
    charge_box: str | None = None
    search: str | None = None


def find_places(
    connection: Connection, wanted: PlaceFilter, *, limit: int, after: str | None = None
) -> Sequence[Place]:
    """
    Return the EVSEs that pass a filter, in the order of their EvseIDs.

    Args:
        limit: At most so many.
        after: Only EvseIDs that come after this one; None: from the first.
    """
    row = evse_location.c
    statement = _select()
    if wanted.location is not None:
        statement = statement.where(row.location == wanted.location)
    if wanted.charge_box is not None:
        statement = statement.where(row.charge_box == wanted.charge_box)
    if wanted.search:
        key = evse_key(wanted.search)
        named = [contains(column, wanted.search) for column in (row.location, row.charge_box)]
        identified = [EvseKey(evse_status.c.evse_id).like(part_of(key), escape=ESCAPE)] if key else []
        statement = statement.where(or_(*named, *identified))
    if after is not None:
        statement = statement.where(evse_status.c.evse_id > after)
    return _ordered(connection, statement, limit)


def places_like(connection: Connection, pattern: EvsePattern, *, limit: int) -> Sequence[Place]:
    """Return the EVSEs that a pattern describes, at most so many, in the order of their EvseIDs."""
    return _ordered(connection, _select().where(is_like(evse_status.c.evse_id, pattern)), limit)


def is_like(column: ColumnElement[str], pattern: EvsePattern) -> ColumnElement[bool]:
    """Tell whether a column holds an EvseID that a pattern describes."""
    text = pattern.canonical.replace(ESCAPE, ESCAPE + ESCAPE)
    return EvseKey(column).like(text, escape=ESCAPE)


def contains(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Tell whether a column of text contains a part, in any case that the store knows; SQLite knows that of ASCII."""
    # The store lowers both: Python knows letters that SQLite does not, and the exact words would not be found.
    wanted = func.lower(literal(part_of(part), Text()))
    return func.lower(func.coalesce(column, ""), type_=Text()).like(wanted, escape=ESCAPE)


def part_of(text: str) -> str:
    """Return the pattern of LIKE for whatever contains a text."""
    escaped = text.replace(ESCAPE, ESCAPE * 2).replace("%", f"{ESCAPE}%").replace("_", f"{ESCAPE}_")
    return f"%{escaped}%"


def count_places(connection: Connection) -> Sequence[PlaceCount]:
    """Count the EVSEs at each charge box; what has no row in `evse_location` stands under None."""
    row = evse_location.c
    statement = (
        select(row.location, row.charge_box, func.count())
        .select_from(_joined())
        .where(~is_removed(evse_status.c.status))
        .group_by(row.location, row.charge_box)
        .order_by(row.location, row.charge_box)
    )
    return [PlaceCount(*each) for each in connection.execute(statement)]


def _select() -> Select[Any]:
    row = evse_location.c
    return (
        select(evse_status.c.evse_id, row.location, row.charge_box, row.time_zone)
        .select_from(_joined())
        .where(~is_removed(evse_status.c.status))
    )


def _joined() -> Any:
    same = EvseKey(evse_location.c.evse_id) == EvseKey(evse_status.c.evse_id)
    return evse_status.join(evse_location, same, isouter=True)


def _ordered(connection: Connection, statement: Select[Any], limit: int) -> Sequence[Place]:
    rows = connection.execute(statement.order_by(evse_status.c.evse_id).limit(limit)).all()
    return list(_by_key(rows).values())


def _by_key(rows: Any) -> Mapping[CanonicalEvseId, Place]:
    places = (Place(EvseId(row.evse_id), row.location, row.charge_box, row.time_zone) for row in rows)
    return {place.key: place for place in places}
