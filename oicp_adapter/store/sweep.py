"""
Compares a whole lane with its ledger, page by page, and makes due what differs: what triggers miss is found here.

1. It works with no trigger at all. It pushes nothing and judges nothing but spellings: it sets `due_at`, and the next
   look decides.
2. Each page is read without a lock; only if it found something a short transaction writes, under the lane's lock.
   What changed in between is looked at anew, for a row that is due too often costs one look.
3. Rows are read by key, operator by operator; `beyond` keeps the place even among keys that are no proper text.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
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
from oicp_adapter.store.engine import Store, whole_table
from oicp_adapter.store.expressions import Differs, Earlier, OperatorKey, among, beyond, up_to
from oicp_adapter.store.hints import prune_hints
from oicp_adapter.store.ledger import register_entries, write_rejections
from oicp_adapter.store.observing import observations, read_found
from oicp_adapter.store.position import lock_position
from oicp_adapter.store.schema import evse_status, ledger, rejection
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.store.withdrawals import standing
from oicp_adapter.sync.assess import judge_rows
from oicp_adapter.sync.clock import LONGEST_RETRY
from oicp_adapter.sync.model import Rejected, Rejection
from oicp_adapter.sync.steps import HELD_LOOK

PAGE: Final = 2000
"""Rows compared in one step: some 20 ms, and 100 ms when all of them are new, so that a push never waits long."""

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
    with lane.writing() as connection:
        now = lane.store.now(connection)
        _clean_up(connection, lane.scope, now)
        _make_pending_due(connection, lane.scope.lane, now)


def _bounds(lane: SweptLane, operator: str, last: object, page: int) -> tuple[object, int] | None:
    """Return the last key of the next page and its number of rows."""
    # As the driver returns it: the position among keys that are not UTF-8 would be lost in translation.
    key = literal_column("evse_status.evse_id", NULLTYPE)
    rows = (
        select(key.label("evse_id")).select_from(evse_status).where(*_after(operator, last)).order_by(key).limit(page)
    )
    with lane.reading() as connection:
        found = rows.subquery()
        last_key = func.max(found.c.evse_id, type_=NULLTYPE)
        scanned, upper = connection.execute(select(func.count(), last_key).select_from(found)).one()
    return (upper, scanned) if scanned else None


def _after(operator: str, last: object) -> Sequence[ColumnElement[bool]]:
    mine = OperatorKey(evse_status.c.operator_id) == operator
    return [mine] if last is None else [mine, beyond(evse_status.c.evse_id, last)]


def _compare(lane: SweptLane, operator: str, last: object, upper: object) -> SweepPage:
    with lane.reading() as connection:
        now = lane.store.now(connection)
        # Nobody may have made an index on a relation of the customer's: its windows are read once a page.
        with whole_table(connection) if lane.store.relations.temporary is not None else nullcontext():
            rows = connection.execute(_differing(lane, operator, last, upper, now)).all()
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


def _differing(lane: SweptLane, operator: str, last: object, upper: object, now: datetime) -> Any:
    """Select the rows of a page that are not in the ledger, in another spelling there, or differ from it."""
    status = evse_status.c
    in_page = [*_after(operator, last), up_to(status.evse_id, upper)]
    resolved = effective_fleet if lane.store.relations.temporary is not None else effective_rows
    rows = resolved(lane.mapping, now, *in_page, live(OperatorKey(status.operator_id), lane.scope.operator_keys))
    row = rows.subquery("page")
    mine = and_(ledger.c.lane == lane.scope.lane, ledger.c.canonical == row.c.key)
    judge = or_(ledger.c.canonical.is_(None), Differs(ledger.c.evse_id, row.c.evse_id))
    refused = or_(ledger.c.refused_status.is_(None), ledger.c.refused_status == row.c.oicp)
    waits = and_(_waits(now), refused)
    late = or_(ledger.c.due_at.is_(None), ledger.c.due_at > row.c.valid_until)
    pending = and_(Differs(ledger.c.acknowledged, row.c.oicp), ~waits)
    differs = and_(
        ledger.c.evse_id == row.c.evse_id,
        or_(ledger.c.due_at.is_(None), ledger.c.due_at > now),
        or_(
            pending,
            ledger.c.held_since.is_not(None),
            ledger.c.withdrawn_at.is_not(None),
            and_(ledger.c.asserted_at.is_not(None), ledger.c.asserted_at > now),  # by a clock that was set back since
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
    mine = ledger.c.lane == lane.scope.lane
    keys = select(ledger.c.canonical).where(mine, ledger.c.canonical > after).order_by(ledger.c.canonical).limit(page)
    with lane.reading() as connection:
        now = lane.store.now(connection)
        upper = connection.execute(select(func.max(keys.subquery().c.canonical))).scalar_one()
        if upper is None:
            return None
        resting = [or_(ledger.c.due_at.is_(None), ledger.c.due_at > now), ~_waits(now)]
        in_page = select(ledger.c.canonical).where(
            mine, ledger.c.canonical > after, ledger.c.canonical <= upper, *resting
        )
        present = in_page.where(ledger.c.withdrawn_at.is_(None), ledger.c.held_since.is_(None))
        canonicals = set(connection.execute(present).scalars())
        canonicals -= standing(connection, canonicals, lane.scope.operator_keys)
        again = ledger.c.asserted_at > now  # by a clock that was set back since; tombstones have no other sweep
        if asserted_before is not None:
            again = or_(again, _asserted_before(asserted_before))
        canonicals |= set(connection.execute(in_page.where(again)).scalars())
    due = 0
    if canonicals:
        with lane.writing() as connection:
            lock_position(connection, lane.scope.lane)
            since = func.coalesce(ledger.c.pending_since, literal(now, UtcTimestamp()))
            marked = update(ledger).where(mine, among(ledger.c.canonical, canonicals)).values(pending_since=since)
            due = connection.execute(marked).rowcount
    return SweepPage(differing=due, last_key=upper)


def _make_pending_due(connection: Connection, lane: str, now: datetime) -> None:
    """Let everything that is pending be looked at, but what waits for its own next attempt or for a person."""
    connection.execute(
        update(ledger)
        .where(
            ledger.c.lane == lane,
            ledger.c.pending_since.is_not(None),
            or_(
                ledger.c.held_since.is_(None),
                ledger.c.approved_at.is_not(None),
                ledger.c.due_at > now + HELD_LOOK,  # by a clock that was set back since
            ),
            ~_waits(now),
            or_(ledger.c.due_at.is_(None), ledger.c.due_at > now),
        )
        .values(due_at=now)
    )


def _waits(now: datetime) -> ColumnElement[bool]:
    """Tell whether a record's own backoff runs, and reaches no further than it can."""
    retry_at = ledger.c.retry_at
    return and_(retry_at.is_not(None), retry_at > now, retry_at <= now + LONGEST_RETRY)


def _asserted_before(instant: datetime) -> ColumnElement[bool]:
    return or_(ledger.c.asserted_at.is_(None), ~(ledger.c.asserted_at >= instant))


def _clean_up(connection: Connection, scope: LaneScope, now: datetime) -> None:
    """Drop rejections whose row is gone, moved or Removed, and old hints that no lane takes."""
    lock_position(connection, scope.lane)
    operators = OperatorKey(evse_status.c.operator_id)
    stands = exists(
        select(literal_column("1")).where(
            evse_status.c.evse_id == rejection.c.evse_id, live(operators, scope.operator_keys)
        )
    )
    unreadable = rejection.c.evse_id.like(_REPLACED)
    connection.execute(delete(rejection).where(rejection.c.lane == scope.lane, ~stands, ~unreadable))
    prune_hints(connection, scope.operator_keys, now)


def _forget_unreadable(connection: Connection, scope: LaneScope) -> None:
    """Drop rejections of rows that are no proper text, which cannot be matched again; this sweep names them anew."""
    lock_position(connection, scope.lane)
    unreadable = rejection.c.evse_id.like(_REPLACED)
    connection.execute(delete(rejection).where(rejection.c.lane == scope.lane, unreadable))
