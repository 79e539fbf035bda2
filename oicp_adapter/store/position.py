"""
Reads and writes a lane's row and its intent.

The lane's row is what its transactions lock; only after it is locked is the clock read, or a lease that ran out while
waiting for the lock would be taken for a living one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, Final, overload

from sqlalchemy import Connection, Dialect, Executable, bindparam, delete, func, literal, select, type_coerce, update
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.engine import Store
from oicp_adapter.store.schema import intent_row, lane_row
from oicp_adapter.store.transactions import SHARED_LOCK_TIMEOUT, Statement
from oicp_adapter.store.types import UtcTimestamp, read_instant
from oicp_adapter.store.upserts import insert_into, upsert
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


@cache
def opening(lane: str) -> Sequence[str]:
    """
    Return what PostgreSQL is to do first in a lane's transaction, in this order; `opened` reads what it gave.

    Two statements, for each sees what is committed when it starts: one that waited for the lock would tell the time and
    show the intent of before.
    """
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it
    return [
        str(statement.params(lane=lane).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        for statement in (_LOCK_POSITION, _CLOCK_AND_INTENT)
    ]


def opened(
    connection: Connection, store: Store, lane: str, rows: Sequence[Sequence[Any]]
) -> tuple[Position, datetime, Intent | None]:
    """
    Return where a lane stands, the time that decides, and the lane's open intent; the lane's row is locked.

    From here on the transaction waits but shortly for a lock: it has the lane's, and will read the shared tables.

    Args:
        rows: What `opening` gave in PostgreSQL; not looked at in SQLite, where nothing is sent anywhere.
    """
    if store.dialect == "sqlite" or not rows[0]:  # a lane that never ran has no row yet that could be locked
        return lock_position(connection, lane), store.now(connection), read_intent(connection, lane)
    stands, (*intent, now, _) = rows
    values: list[Any] = [read_instant(each) if isinstance(each, datetime) else each for each in stands]
    return Position(*values), now.astimezone(UTC), _intent_of(intent) if intent[0] is not None else None


def read_leaders(connection: Connection, now: datetime) -> Mapping[str, str]:
    """Return who leads which lane now; lanes that nobody leads are absent."""
    return dict(connection.execute(_LEADERS, {"now": now}).all())


def position_write(lane: str, position: Position) -> Statement:
    """Return the statement that replaces a lane's row, which is locked and so exists."""
    return _WRITE_POSITION, {"which": lane} | {name: getattr(position, name) for name in _POSITION_FIELDS}


def read_intent(connection: Connection, lane: str) -> Intent | None:
    """Return a lane's open intent, None when there is none."""
    row = connection.execute(_READ_INTENT, {"lane": lane}).first()
    return _intent_of(row) if row else None


def intent_write(dialect: Dialect, lane: str, intent: Intent) -> Statement:
    """Return the statement that notes that a push is about to start; it is durable when the commit has returned."""
    return _write_intent(dialect), {
        "lane": lane,
        "epoch": intent.epoch,
        "attempt": intent.attempt,
        "action": intent.action.value,
        "records": json.dumps([*intent.records]),
        "started_at": intent.started_at,
        "silent_until": intent.silent_until,
        "suspect": intent.suspect,
    }


def intent_deletion(lane: str) -> Statement:
    """Return the statement that deletes a lane's intent."""
    return _CLEAR_INTENT, {"lane": lane}


@cache
def _write_intent(dialect: Dialect) -> Executable:
    return upsert(dialect, intent_row, ("lane",))


def _intent_of(row: Sequence[Any]) -> Intent:
    epoch, attempt, action, records, started_at, silent_until, suspect = row
    return Intent(
        epoch=epoch,
        attempt=attempt,
        action=Action(action),
        records=_StoredRecords(records),
        started_at=started_at.astimezone(UTC),
        silent_until=silent_until.astimezone(UTC),
        suspect=suspect,
    )
