"""
Reads and writes a lane's row and its intent.

The lane's row is what its transactions lock; only after it is locked is the clock read, or a lease that ran out while
waiting for the lock would be taken for a living one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Final, overload

from sqlalchemy import Connection, Dialect, Executable, bindparam, delete, func, literal, select, type_coerce, update

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.engine import SHARED_LOCK_TIMEOUT, Store
from oicp_adapter.store.ledger import insert_into, upsert
from oicp_adapter.store.schema import intent_row, lane_row
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.sync.model import Action, Intent, Position, Record

_POSITION_COLUMNS: Final = tuple(lane_row.c[field.name] for field in fields(Position))
_POSITION_FIELDS: Final = tuple(field.name for field in fields(Position))
_INTENT_COLUMNS: Final = tuple(column for column in intent_row.c if column.name != "lane")

# Built once: to build a statement costs more than to run it.
_THIS_LANE: Final = lane_row.c.lane == bindparam("lane")
_READ_POSITION: Final = select(*_POSITION_COLUMNS).where(_THIS_LANE)
_LOCK_POSITION: Final = _READ_POSITION.with_for_update()
_WRITE_POSITION: Final = (
    update(lane_row)
    .where(lane_row.c.lane == bindparam("which"))
    .values({name: bindparam(name) for name in _POSITION_FIELDS})
)
_LEADERS: Final = select(lane_row.c.lane, lane_row.c.holder).where(
    lane_row.c.holder.is_not(None), lane_row.c.expires_at > bindparam("now", type_=UtcTimestamp())
)
_READ_INTENT: Final = select(*_INTENT_COLUMNS).where(intent_row.c.lane == bindparam("lane"))
_CLEAR_INTENT: Final = delete(intent_row).where(intent_row.c.lane == bindparam("lane"))
_NOW: Final = type_coerce(func.clock_timestamp(), UtcTimestamp()).label("now")
_SHORT_WAITS: Final = func.set_config("lock_timeout", str(SHARED_LOCK_TIMEOUT), literal(value=True)).label("waits")
_ONE: Final = select(literal(1).label("one")).subquery()
_CLOCK_AND_INTENT: Final = select(*_INTENT_COLUMNS, _NOW, _SHORT_WAITS).select_from(
    _ONE.outerjoin(intent_row, intent_row.c.lane == bindparam("lane"))
)


class _StoredRecords(Sequence[Record]):
    """The records of an open intent, read when they are asked for: most transactions only ask whose intent it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _records(self) -> tuple[Record, ...]:
        return tuple(
            Record(CanonicalEvseId(canonical), EvseId(evse_id), OicpStatus(status))
            for canonical, evse_id, status in json.loads(self._text)
        )

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return self._records == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._records)


def read_position(connection: Connection, lane: str) -> Position:
    """Return where a lane stands; a lane that never ran stands at the beginning."""
    row = connection.execute(_READ_POSITION, {"lane": lane}).first()
    return Position(*row) if row else Position()


def lane_position(store: Store, lane: str) -> tuple[Position, datetime]:
    """
    Return where a lane stands, and the time by the database's clock; locks nothing.

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        return read_position(connection, lane), store.now(connection)


def lock_position(connection: Connection, lane: str) -> Position:
    """Lock a lane's row until the transaction ends, and return where the lane stands; makes the row when it is new."""
    row = connection.execute(_LOCK_POSITION, {"lane": lane}).first()
    if row is None:
        fresh = insert_into(connection.dialect, lane_row).values(lane=lane, **asdict(Position()))
        connection.execute(fresh.on_conflict_do_nothing())
        row = connection.execute(_LOCK_POSITION, {"lane": lane}).one()
    return Position(*row)


def read_leaders(connection: Connection, now: datetime) -> Mapping[str, str]:
    """Return who leads which lane now; lanes that nobody leads are absent."""
    return dict(connection.execute(_LEADERS, {"now": now}).all())


def write_position(connection: Connection, lane: str, position: Position) -> None:
    """Replace a lane's row, which is locked and so exists."""
    values = {name: getattr(position, name) for name in _POSITION_FIELDS}
    connection.execute(_WRITE_POSITION, {"which": lane, **values})


def read_clock_and_intent(connection: Connection, store: Store, lane: str) -> tuple[datetime, Intent | None]:
    """
    Return the time that decides and the lane's open intent, in one statement where the clock is the server's.

    From here on the transaction waits but shortly for a lock: it has the lane's, and will read the shared tables.
    """
    if store.dialect == "sqlite":
        return store.now(), read_intent(connection, lane)
    row = connection.execute(_CLOCK_AND_INTENT, {"lane": lane}).one()
    return row.now, _intent_of(row) if row.epoch is not None else None


def read_intent(connection: Connection, lane: str) -> Intent | None:
    """Return a lane's open intent, None when there is none."""
    row = connection.execute(_READ_INTENT, {"lane": lane}).first()
    return _intent_of(row) if row else None


def write_intent(connection: Connection, lane: str, intent: Intent) -> None:
    """Note that a push is about to start; it is durable when the transaction's commit has returned."""
    row = {
        "lane": lane,
        "epoch": intent.epoch,
        "attempt": intent.attempt,
        "action": intent.action.value,
        "records": json.dumps([*intent.records]),
        "started_at": intent.started_at,
        "silent_until": intent.silent_until,
        "suspect": intent.suspect,
    }
    connection.execute(_write_intent(connection.dialect), row)


@cache
def _write_intent(dialect: Dialect) -> Executable:
    return upsert(dialect, intent_row, ("lane",))


def clear_intent(connection: Connection, lane: str) -> None:
    """Delete a lane's intent."""
    connection.execute(_CLEAR_INTENT, {"lane": lane})


def _intent_of(row: Any) -> Intent:
    return Intent(
        epoch=row.epoch,
        attempt=row.attempt,
        action=Action(row.action),
        records=_StoredRecords(row.records),
        started_at=row.started_at,
        silent_until=row.silent_until,
        suspect=row.suspect,
    )
