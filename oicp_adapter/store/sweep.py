"""
Compares a whole lane with its ledger, page by page, and makes due what differs: what triggers miss is found here.

1. It works with no trigger at all. It pushes nothing and judges nothing but spellings: it sets `due_at`, and the next
   look decides.
2. Each page is read without a lock; only if it found something a short transaction writes, under the lane's lock.
   What changed in between is looked at anew, for a row that is due too often costs one look.
3. Rows are read by key, operator by operator; `keyset` keeps the place even among keys that are no proper text.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.sqltypes import NULLTYPE

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.effective import effective_fleet, effective_rows, live
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import (
    Differs,
    Earlier,
    OperatorKey,
    among,
)
from oicp_adapter.store.hints import prune_hints
from oicp_adapter.store.keyset import PlaceType, key_as_read, place, place_type, place_value
from oicp_adapter.store.ledger import register_entries, write_rejections
from oicp_adapter.store.observing import observations, read_found
from oicp_adapter.store.position import lock_position
from oicp_adapter.store.schema import evse_status, ledger, rejection, temporary_status
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.transactions import whole_table
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.store.withdrawals import standing
from oicp_adapter.sync.assess import judge_rows
from oicp_adapter.sync.clock import LONGEST_RETRY
from oicp_adapter.sync.model import Rejected, Rejection
from oicp_adapter.sync.steps import HELD_LOOK

PAGE: Final = 500
"""Rows compared in one step: some 10 ms, and 30 ms when all of them are new, so that a push never waits long."""

PAGE_OF_RELATIONS: Final = 2000
"""The same in relations of the customer's: where nobody has made an index each page reads them whole."""

_NOW: Final = bindparam("at", type_=UtcTimestamp())
_REPLACED: Final = "%\N{REPLACEMENT CHARACTER}%"


@dataclass(frozen=True, slots=True)
class SweepPage:
    """
    What one step of a sweep came to.

    Attributes:
        scanned: Rows of `evse_status` compared.
        registered: EVSEs that were not in the ledger.
        differing: EVSEs of the ledger that became due.
        rejected: Rows that never leave the house; *reasons* are theirs.
        last_key: Where it stands; None: it had nothing to read.
    """

    scanned: int = 0
    registered: int = 0
    differing: int = 0
    rejected: int = 0
    reasons: frozenset[Rejection] = frozenset()
    last_key: str | None = None


@dataclass(slots=True)
class _Judged:
    canonicals: Sequence[str]
    fresh: list[tuple[CanonicalEvseId, EvseId]] = field(default_factory=list)
    respelt: set[str] = field(default_factory=set)
    rejected: list[Rejected] = field(default_factory=list)


class SweptLane(Protocol):
    """What a sweep needs of a lane's store."""

    @property
    def store(self) -> Store:
        """The store."""

    @property
    def scope(self) -> LaneScope:
        """The lane."""

    @property
    def mapping(self) -> StatusMapping:
        """What is published."""

    @property
    def hintless(self) -> str | None:
        """Why the hints cannot be used; None: they can."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that blocks no writer."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that writes."""


def sweep_lane(lane: SweptLane, *, asserted_before: datetime | None, page: int) -> Iterator[SweepPage]:
    """
    Compare all rows of a lane with its ledger, then its ledger with the rows; each step is one page.

    Args:
        asserted_before: Ledger rows, tombstones too, asserted before this instant or never become due; None: no such.
        page: Rows compared in one step.

    Raises:
        StoreError: A page failed; what earlier pages found stands.
    """
    with lane.writing() as connection:
        _forget_unreadable(connection, lane.scope)
    for operator in sorted(lane.scope.operator_keys):
        last: object = None
        while (bounds := _bounds(lane, operator, last, page)) is not None:
            upper, scanned = bounds
            yield replace(_compare(lane, operator, last, upper), scanned=scanned, last_key=str(upper))
            last = upper
    after = ""
    while (step := _compare_ledger(lane, after, page, asserted_before)) is not None:
        yield step
        after = step.last_key or after
    with lane.reading() as connection:
        outdated = _outdated_rejections(connection, lane.scope)
    with lane.writing() as connection:
        lock_position(connection, lane.scope.lane)
        now = lane.store.now(connection)
        if outdated:
            _forget_rejections(connection, lane.scope, outdated)
        if lane.hintless is None:
            prune_hints(connection, lane.scope.operator_keys, now)
        _make_pending_due(connection, lane.scope.lane, now)


def _bounds(lane: SweptLane, operator: str, last: object, page: int) -> tuple[object, int] | None:
    """Return the last key of the next page and its number of rows."""
    with lane.reading() as connection:
        asked = {"operator": operator, "last": place_value(last), "page": page}
        scanned, upper = connection.execute(_bounds_statement(place_type(last)), asked).one()
    return (upper, scanned) if scanned else None


@cache  # to build a statement costs more than to run it
def _bounds_statement(last: PlaceType | None) -> Any:
    key = key_as_read()
    rows = select(key.label("evse_id")).select_from(evse_status).where(*_after(last)).order_by(key)
    found = rows.limit(bindparam("page")).subquery()
    return select(func.count(), func.max(found.c.evse_id, type_=NULLTYPE)).select_from(found)


def _after(last: PlaceType | None) -> Sequence[ColumnElement[bool]]:
    mine = OperatorKey(evse_status.c.operator_id) == bindparam("operator")
    return [mine] if last is None else [mine, evse_status.c.evse_id > place("last", last)]


def _compare(lane: SweptLane, operator: str, last: object, upper: object) -> SweepPage:
    by_fleet = temporary_status in lane.store.relations.named()
    statement = _differing(lane.mapping, lane.scope, place_type(last), place_type(upper), by_fleet=by_fleet)
    asked = {"operator": operator, "last": place_value(last), "upper": place_value(upper)}
    with lane.reading() as connection:
        now = lane.store.now(connection)
        # Nobody may have made an index on a relation of the customer's: its windows are read once a page.
        with whole_table(connection) if by_fleet else nullcontext():
            rows = connection.execute(statement, asked | _instants(now)).all()
        judged = _judge(connection, lane.scope, sorted({row.key for row in rows if row.judge}), now)
    differing = {row.key for row in rows if row.differs} | judged.respelt
    pending = {row.key for row in rows if row.pending} | judged.respelt
    if not judged.canonicals and not differing:
        return SweepPage()
    with lane.writing() as connection:
        lock_position(connection, lane.scope.lane)
        register_entries(connection, lane.scope.lane, judged.fresh, now)
        write_rejections(connection, lane.scope.lane, judged.canonicals, judged.rejected, now)
        due = _make_due(connection, lane.scope.lane, differing, now, pending=pending)
    reasons = frozenset(item.reason for item in judged.rejected)
    return SweepPage(registered=len(judged.fresh), differing=due, rejected=len(judged.rejected), reasons=reasons)


@lru_cache(maxsize=64)
def _differing(
    mapping: StatusMapping, scope: LaneScope, last: PlaceType | None, upper: PlaceType | None, *, by_fleet: bool
) -> Any:
    """Select the rows of a page that are not in the ledger, in another spelling there, or differ from it."""
    status = evse_status.c
    in_page = [*_after(last), status.evse_id <= place("upper", upper or PlaceType.TEXT)]
    resolved = effective_fleet if by_fleet else effective_rows
    rows = resolved(mapping, _NOW, *in_page, live(OperatorKey(status.operator_id), scope.operator_keys))
    row = rows.subquery("page")
    mine = and_(ledger.c.lane == scope.lane, ledger.c.canonical == row.c.key)
    judge = or_(ledger.c.canonical.is_(None), Differs(ledger.c.evse_id, row.c.evse_id))
    refused = or_(ledger.c.refused_status.is_(None), ledger.c.refused_status == row.c.oicp)
    waits = and_(_waits(), refused)
    late = or_(ledger.c.due_at.is_(None), ledger.c.due_at > row.c.valid_until)
    pending = and_(Differs(ledger.c.acknowledged, row.c.oicp), ~waits)
    differs = and_(
        ledger.c.evse_id == row.c.evse_id,
        or_(ledger.c.due_at.is_(None), ledger.c.due_at > _NOW),
        or_(
            pending,
            ledger.c.held_since.is_not(None),
            ledger.c.withdrawn_at.is_not(None),
            and_(ledger.c.asserted_at.is_not(None), ledger.c.asserted_at > _NOW),  # by a clock that was set back since
            and_(row.c.valid_until.is_not(None), late),
        ),
    )
    return (
        select(row.c.key, judge.label("judge"), differs.label("differs"), and_(differs, pending).label("pending"))
        .select_from(row.outerjoin(ledger, mine))
        .where(or_(judge, differs))
    )


def _judge(connection: Connection, scope: LaneScope, canonicals: Sequence[str], now: datetime) -> _Judged:
    """Find out what is new, what cannot be pushed, and what is to be pushed in another spelling."""
    judged = _Judged(canonicals)
    found = read_found(connection, canonicals, now)
    for seen in observations(connection, scope, canonicals, found, {}):
        winner, faults = judge_rows(seen.rows, scope.operator_keys)
        judged.rejected += faults
        if winner is not None and seen.entry is None:
            judged.fresh.append((seen.canonical, winner.evse_id))
        elif seen.entry is not None and (winner is None or winner.evse_id != seen.entry.evse_id):
            judged.respelt.add(seen.canonical)
    return judged


def _make_due(
    connection: Connection, lane: str, canonicals: Collection[str], now: datetime, *, pending: Collection[str]
) -> int:
    """
    Let EVSEs be looked at now.

    Args:
        pending: Those of them that are known to differ; they are pending from now on, unless they were before.
    """
    if not canonicals:
        return 0
    instant = literal(now, UtcTimestamp())
    since = case(
        (among(ledger.c.canonical, pending), func.coalesce(ledger.c.pending_since, instant)),
        else_=ledger.c.pending_since,
    )
    changed = connection.execute(
        update(ledger)
        .where(ledger.c.lane == lane, among(ledger.c.canonical, canonicals))
        .values(due_at=Earlier(ledger.c.due_at, instant), pending_since=since)
    )
    return changed.rowcount


def _compare_ledger(lane: SweptLane, after: str, page: int, asserted_before: datetime | None) -> SweepPage | None:
    """
    Mark as pending the rows of a page whose EVSE is gone, and those asserted too long ago; None: no page is left.

    They become due together at the end, so that the guard counts all that is vanishing and not what one page found.
    """
    statements = _ledger_statements(everything=asserted_before is None)
    asked: dict[str, Any] = {"lane": lane.scope.lane, "after": after}
    with lane.reading() as connection:
        now = lane.store.now(connection)
        upper = connection.execute(statements.upper, asked | {"page": page}).scalar_one()
        if upper is None:
            return None
        asked |= {"upper": upper, "asserted_before": asserted_before, **_instants(now)}
        canonicals = set(connection.execute(statements.present, asked).scalars())
        canonicals -= standing(connection, canonicals, lane.scope.operator_keys)
        canonicals |= set(connection.execute(statements.again, asked).scalars())
    due = 0
    if canonicals:
        with lane.writing() as connection:
            lock_position(connection, lane.scope.lane)
            mine = ledger.c.lane == lane.scope.lane
            since = func.coalesce(ledger.c.pending_since, literal(now, UtcTimestamp()))
            marked = update(ledger).where(mine, among(ledger.c.canonical, canonicals)).values(pending_since=since)
            due = connection.execute(marked).rowcount
    return SweepPage(differing=due, last_key=upper)


@dataclass(frozen=True, slots=True)
class _LedgerStatements:
    """Select the last key of a page; the EVSEs in it that the hub should hold; those to assert anew."""

    upper: Any
    present: Any
    again: Any


@cache
def _ledger_statements(*, everything: bool) -> _LedgerStatements:
    mine = [ledger.c.lane == bindparam("lane"), ledger.c.canonical > bindparam("after")]
    keys = select(ledger.c.canonical).where(*mine).order_by(ledger.c.canonical).limit(bindparam("page"))
    resting = [or_(ledger.c.due_at.is_(None), ledger.c.due_at > _NOW), ~_waits()]
    in_page = select(ledger.c.canonical).where(*mine, ledger.c.canonical <= bindparam("upper"), *resting)
    again = ledger.c.asserted_at > _NOW  # by a clock that was set back since; tombstones have no other sweep
    if not everything:
        again = or_(again, _asserted_before(bindparam("asserted_before", type_=UtcTimestamp())))
    return _LedgerStatements(
        upper=select(func.max(keys.subquery().c.canonical)),
        present=in_page.where(ledger.c.withdrawn_at.is_(None), ledger.c.held_since.is_(None)),
        again=in_page.where(again),
    )


def _make_pending_due(connection: Connection, lane: str, now: datetime) -> None:
    """Let everything that is pending be looked at, but what waits for its own next attempt or for a person."""
    due = (
        update(ledger)
        .where(
            ledger.c.lane == lane,
            ledger.c.pending_since.is_not(None),
            or_(
                ledger.c.held_since.is_(None),
                ledger.c.approved_at.is_not(None),
                ledger.c.due_at > now + HELD_LOOK,  # by a clock that was set back since
            ),
            ~_waits(),
            or_(ledger.c.due_at.is_(None), ledger.c.due_at > now),
        )
        .values(due_at=literal(now, UtcTimestamp()))
    )
    connection.execute(due, _instants(now))


def _instants(now: datetime) -> dict[str, datetime]:
    """Return what `_NOW` and `_waits` stand for."""
    return {"at": now, "longest_wait": now + LONGEST_RETRY}


def _waits() -> ColumnElement[bool]:
    """Tell whether a record's own backoff runs, and reaches no further than it can."""
    retry_at = ledger.c.retry_at
    return and_(retry_at.is_not(None), retry_at > _NOW, retry_at <= bindparam("longest_wait", type_=UtcTimestamp()))


def _asserted_before(instant: ColumnElement[datetime]) -> ColumnElement[bool]:
    return or_(ledger.c.asserted_at.is_(None), ~(ledger.c.asserted_at >= instant))


def _outdated_rejections(connection: Connection, scope: LaneScope) -> Sequence[str]:
    """Return the rejected EVSEs whose row is gone, moved or Removed."""
    operators = OperatorKey(evse_status.c.operator_id)
    stands = exists(
        select(literal_column("1")).where(
            evse_status.c.evse_id == rejection.c.evse_id, live(operators, scope.operator_keys)
        )
    )
    unreadable = rejection.c.evse_id.like(_REPLACED)
    outdated = select(rejection.c.evse_id).where(rejection.c.lane == scope.lane, ~stands, ~unreadable)
    return connection.execute(outdated).scalars().all()


def _forget_rejections(connection: Connection, scope: LaneScope, evse_ids: Sequence[str]) -> None:
    mine = rejection.c.lane == scope.lane
    connection.execute(delete(rejection).where(mine, among(rejection.c.evse_id, evse_ids)))


def _forget_unreadable(connection: Connection, scope: LaneScope) -> None:
    """Drop rejections of rows that are no proper text, which cannot be matched again; this sweep names them anew."""
    lock_position(connection, scope.lane)
    unreadable = rejection.c.evse_id.like(_REPLACED)
    connection.execute(delete(rejection).where(rejection.c.lane == scope.lane, unreadable))
