"""
Prepares, streams and settles a full load, in statements over the whole lane.

1. What a full load carries is fixed before it is sent, and kept until its outcome is known: the ledger says afterwards
   what was sent, not what holds by then.
2. What a full load does not carry is gone from the hub once it is acknowledged.
3. A charging spot travels in the spelling that the ledger holds, which was judged well-formed; one that is not in the
   ledger yet in the smallest well-formed one that the store has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Select,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on

from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.store.acknowledging import CLEARED
from oicp_adapter.store.effective import effective_fleet, effective_rows, live
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import (
    Earlier,
    EvseKey,
    EvseOperator,
    Later,
    OperatorKey,
    among,
)
from oicp_adapter.store.schema import evse_status, full_load, ledger, rejection
from oicp_adapter.store.transactions import raw
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.store.upserts import insert_into
from oicp_adapter.store.withdrawals import may_be_at_the_hub
from oicp_adapter.sync.exchange import late_until
from oicp_adapter.sync.model import Intent, Policy, Presence, Record

PAGE: Final = 5000
"""Records that one read of a stream holds."""

_ONE: Final[ColumnElement[int]] = literal_column("1")
_PAGE_OF_RECORDS: Final = f"""
SELECT canonical, evse_id, status FROM oicp_full_load WHERE lane = {{mark}} AND canonical > {{mark}}
ORDER BY canonical LIMIT {PAGE}
"""  # noqa: S608 - a number of ours
_STATUSES: Final = {each.value: each for each in OicpStatus}
_COLUMNS: Final = ("lane", "canonical", "evse_id", "status", "valid_until")


@dataclass(frozen=True, slots=True)
class FullLoadCount:
    """
    The size of a prepared full load.

    Attributes:
        records: What it carries.
        missing: EVSEs that the hub may hold and that it does not carry, so that it would withdraw them.
    """

    records: int
    missing: int


def prepare(
    connection: Connection, lane: str, scope: frozenset[str], mapping: StatusMapping, now: datetime
) -> FullLoadCount:
    """
    Fix what a full load would carry at *now*; what would be missing from it becomes due.

    EVSEs that are not in the ledger yet travel too, in their smallest spelling.
    """
    drop(connection, lane)
    operators = OperatorKey(evse_status.c.operator_id)
    own = effective_fleet(mapping, now, live(operators, scope)).subquery("own")
    known = and_(ledger.c.lane == lane, ledger.c.canonical == own.c.key)
    as_known = ledger.c.evse_id == own.c.evse_id
    new = and_(ledger.c.canonical.is_(None), among(EvseOperator(own.c.evse_id), scope))
    rows = (
        select(literal(lane), own.c.key, own.c.evse_id, own.c.oicp, own.c.valid_until)
        .select_from(own.outerjoin(ledger, known))
        .where(or_(as_known, new))
    )
    connection.execute(_insertion(connection.dialect, rows, own.c.key, own.c.evse_id))
    if connection.execute(select(exists(select(_ONE).where(ledger.c.lane == lane)))).scalar_one():
        _add_other_spellings(connection, lane, scope, mapping, now)
    records = _count_records(connection, lane)
    missing = connection.execute(
        update(ledger)
        .where(
            ledger.c.lane == lane,
            may_be_at_the_hub(),
            ledger.c.withdrawn_at.is_(None),
            ~_is_carried(lane),
        )
        .values(due_at=Earlier(ledger.c.due_at, literal(now, UtcTimestamp())))
    )
    return FullLoadCount(records, missing.rowcount)


def acknowledge(connection: Connection, lane: str, *, intent: Intent, policy: Policy, now: datetime) -> int:
    """Let the ledger say what the full load carried, and that the rest is gone; return how many records it carried."""
    records = _acknowledge_carried(connection, lane, intent=intent, policy=policy, now=now)
    withdrawn = and_(ledger.c.presence != Presence.ABSENT.value, ledger.c.attempt > 0, ~_is_carried(lane))
    connection.execute(
        update(ledger)
        .where(ledger.c.lane == lane, withdrawn)
        .values(
            acknowledged=None,
            acknowledged_at=now,
            acknowledged_since=now,
            asserted_at=intent.started_at,
            presence=Presence.ABSENT.value,
            withdrawn_at=now,
            held_since=None,
            pending_since=None,
            pending_edge=None,
            attempt=intent.attempt,
            due_at=now,
        )
    )
    return records


def doubt(connection: Connection, lane: str, *, intent: Intent, policy: Policy, now: datetime) -> None:
    """Let the ledger know of every EVSE that an unanswered full load carried: the hub may hold it from now on."""
    carried = {
        "lane": full_load.c.lane,
        "canonical": full_load.c.canonical,
        "evse_id": full_load.c.evse_id,
        "presence": literal(Presence.UNKNOWN.value),
        "doubted_at": literal(now, UtcTimestamp()),
        "debt_at": literal(late_until(intent, policy), UtcTimestamp()),
        "pending_since": literal(intent.started_at, UtcTimestamp()),
        "failures": literal(0),
        "flipped": false(),
        "failed_singly": literal(0),
        "attempt": literal(intent.attempt),
        "due_at": literal(now, UtcTimestamp()),
    }
    rows = select(*carried.values()).where(full_load.c.lane == lane)
    made = insert_into(connection.dialect, ledger).from_select(list(carried), rows)
    connection.execute(made.on_conflict_do_nothing())


def drop(connection: Connection, lane: str) -> None:
    """Forget the records of a lane's full load."""
    connection.execute(delete(full_load).where(full_load.c.lane == lane))


def full_load_records(store: Store, lane: str) -> Iterator[Record]:
    """
    Stream the records of a lane's full load in the order of their keys, a page in memory at a time.

    They do not change while the full load is in flight, so the pages are read in transactions of their own.

    Raises:
        StoreError: The store could not be read.
    """
    last = ""
    mark = {"sqlite": "?", "postgresql": "%s"}[store.dialect]
    page = _PAGE_OF_RECORDS.format(mark=mark)
    while True:
        with store.reading(by_key=True) as connection:
            rows = raw(connection).execute(page, (lane, last)).fetchall()
        for canonical, evse_id, status in rows:
            yield Record(canonical, evse_id, _STATUSES[status])
        if len(rows) < PAGE:
            return
        last = rows[-1][0]


def _acknowledge_carried(connection: Connection, lane: str, *, intent: Intent, policy: Policy, now: datetime) -> int:
    started = literal(intent.started_at, UtcTimestamp())
    reassert = literal(intent.started_at + policy.reassert_every, UtcTimestamp())
    carried = {
        "lane": full_load.c.lane,
        "canonical": full_load.c.canonical,
        "evse_id": full_load.c.evse_id,
        "acknowledged": full_load.c.status,
        "acknowledged_at": literal(now, UtcTimestamp()),
        "acknowledged_since": literal(now, UtcTimestamp()),
        "asserted_at": started,
        "presence": literal(Presence.PRESENT.value),
        "failures": literal(0),
        "flipped": false(),
        "failed_singly": literal(0),
        "attempt": literal(intent.attempt),
        "due_at": Earlier(full_load.c.valid_until, reassert),
    }
    rows = select(*carried.values()).where(full_load.c.lane == lane)
    insert = insert_into(connection.dialect, ledger).from_select(list(carried), rows)
    debt = func.nullif(Later(ledger.c.debt_at, started), started)
    replaced: dict[str, Any] = dict.fromkeys(CLEARED, null())
    replaced |= {name: insert.excluded[name] for name in carried if name not in ("lane", "canonical")}
    same = ledger.c.acknowledged == insert.excluded.acknowledged
    since = case((same, func.coalesce(ledger.c.acknowledged_since, insert.excluded.acknowledged_since)))
    replaced["acknowledged_since"] = func.coalesce(since, insert.excluded.acknowledged_since, type_=UtcTimestamp())
    replaced |= {"debt_at": debt, "due_at": Earlier(insert.excluded.due_at, debt)}
    done = insert.on_conflict_do_update(index_elements=["lane", "canonical"], set_=replaced)
    records: int = connection.execute(done.execution_options(preserve_rowcount=True)).rowcount
    return records


def _count_records(connection: Connection, lane: str) -> int:
    records: int = connection.execute(select(func.count()).where(full_load.c.lane == lane)).scalar_one()
    return records


def _insertion(dialect: Dialect, rows: Select[Any], key: ColumnElement[str], evse_id: ColumnElement[str]) -> Executable:
    """Return the statement that keeps the smallest spelling of each key."""
    if dialect.name == "postgresql":  # where a row that may be in conflict costs half as much again as one that cannot
        return insert(full_load).from_select(_COLUMNS, rows.ext(distinct_on(key)).order_by(key, evse_id))
    return insert_into(dialect, full_load).from_select(_COLUMNS, rows.order_by(evse_id)).on_conflict_do_nothing()


def _add_other_spellings(
    connection: Connection, lane: str, scope: frozenset[str], mapping: StatusMapping, now: datetime
) -> None:
    """Add the EVSEs whose row in the ledger's spelling is gone while another spelling stands."""
    operators = OperatorKey(evse_status.c.operator_id)
    key = EvseKey(evse_status.c.evse_id)
    is_rejected = exists(select(_ONE).where(rejection.c.evse_id == evse_status.c.evse_id, rejection.c.lane == lane))
    smallest = (
        select(ledger.c.canonical, ledger.c.evse_id, func.min(evse_status.c.evse_id).label("spelling"))
        .select_from(ledger.join(evse_status, key == ledger.c.canonical))
        .where(ledger.c.lane == lane, live(operators, scope), ~is_rejected)
        .where(~exists(select(_ONE).where(full_load.c.lane == lane, full_load.c.canonical == ledger.c.canonical)))
        .group_by(ledger.c.canonical, ledger.c.evse_id)
        .subquery("smallest")
    )
    rows = connection.execute(select(smallest.c.canonical, smallest.c.evse_id, smallest.c.spelling)).all()
    for canonical, evse_id, spelling in rows:
        resolved = effective_rows(mapping, now, evse_status.c.evse_id == spelling).subquery("resolved_row")
        connection.execute(
            insert(full_load).from_select(
                _COLUMNS,
                select(literal(lane), literal(canonical), literal(evse_id), resolved.c.oicp, resolved.c.valid_until),
            )
        )


def _is_carried(lane: str) -> Any:
    carried = and_(full_load.c.lane == lane, full_load.c.canonical == ledger.c.canonical)
    return exists(select(_ONE).where(carried))
