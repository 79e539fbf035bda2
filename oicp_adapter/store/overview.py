"""
Counts what a lane's books and the shared tables hold, for metrics and commands.

`lane_backlog` reads what is open, by its index; everything else here reads whole tables, and belongs into a survey now
and then. None of it is for the way of a change.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, and_, case, exists, func, literal, literal_column, not_, select

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.effective import live
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import (
    EvseKey,
    Kind,
    OperatorKey,
    WindowStart,
    among,
    is_known_word,
    is_removed,
    not_over,
    unindexed,
)
from oicp_adapter.store.hints import hinted_keys
from oicp_adapter.store.observing import KINDS
from oicp_adapter.store.position import read_position
from oicp_adapter.store.schema import evse_status, hint, ledger, rejection, temporary_status
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.store.withdrawals import unsettled, waits_for_a_person
from oicp_adapter.sync.model import Position

WindowPhase = Literal["active", "upcoming"]
"""Where a window stands that is not over."""

_PHASES: Final[Sequence[WindowPhase]] = ("active", "upcoming")


@dataclass(frozen=True, slots=True)
class LaneBacklog:
    """
    What is open in the books of a lane.

    Attributes:
        pending: EVSEs that wait to be pushed, or to be looked at after a change.
        oldest_pending: Since when the first of them waits; None: nothing does.
        quarantined: EVSEs with a backoff of their own after the hub refused them.
        held: Withdrawals that wait for a person.
        rejected: Rows of `evse_status` that never leave the house, by reason.
        position: Where the lane stands.
    """

    pending: int
    oldest_pending: datetime | None
    quarantined: int
    held: int
    rejected: Mapping[str, int]
    position: Position


@dataclass(frozen=True, slots=True)
class LaneCensus:
    """
    How the fleet of a lane stands.

    Attributes:
        acknowledged: EVSEs by the OICP status that the hub confirmed last.
        windows: Windows of the lane's EVSEs that are not over, by kind and phase; every combination is there.
        open_ended_since: Start of the one that applies for the longest of those that have no end; None: there is none.
    """

    acknowledged: Mapping[str, int]
    windows: Mapping[tuple[TemporaryStatus, WindowPhase], int]
    open_ended_since: datetime | None


class Example(NamedTuple):
    """A word or an operator of `evse_status`, how many rows have it, and one of them."""

    text: str
    rows: int
    evse_id: str


def lane_backlog(store: Store, scope: LaneScope) -> LaneBacklog:
    """
    Count what is open in the books of a lane; costs as much as there is.

    Raises:
        StoreError: The store could not be read.
    """
    held = func.count(case((waits_for_a_person(), 1)))
    of_unsettled = select(func.count(ledger.c.retry_at), held).where(unsettled(scope.lane))
    reasons = select(rejection.c.reason, func.count()).where(rejection.c.lane == scope.lane)
    with store.reading(by_key=True) as connection:
        pending, oldest = _pending(connection, scope)
        quarantined, waiting = connection.execute(of_unsettled).one()
        return LaneBacklog(
            pending=pending,
            oldest_pending=oldest,
            quarantined=quarantined,
            held=waiting,
            rejected=_by_word(connection.execute(reasons.group_by(rejection.c.reason))),
            position=read_position(connection, scope.lane),
        )


def lane_census(store: Store, scope: LaneScope) -> LaneCensus:
    """
    Count how the fleet of a lane stands; costs as much as the fleet is large.

    Raises:
        StoreError: The store could not be read.
    """
    statuses = select(ledger.c.acknowledged, func.count()).where(
        ledger.c.lane == scope.lane, ledger.c.acknowledged.is_not(None)
    )
    with store.reading() as connection:
        acknowledged = _by_word(connection.execute(statuses.group_by(ledger.c.acknowledged)))
        windows, open_ended_since = _windows(connection, scope, store.now(connection))
    return LaneCensus(acknowledged, windows, open_ended_since)


def unserved_operators(store: Store, operator_keys: Collection[str]) -> Sequence[Example]:
    """
    Return the operators of `evse_status` that no lane serves, as spelled there, the ones with most EVSEs first.

    Args:
        operator_keys: Canonical OperatorIDs of all lanes.

    Raises:
        StoreError: The store could not be read.
    """
    operator = evse_status.c.operator_id
    statement = (
        select(operator, func.count().label("rows"), func.min(evse_status.c.evse_id))
        .where(not_(among(OperatorKey(operator), operator_keys)), ~is_removed(evse_status.c.status))
        .group_by(operator)
        .order_by(literal_column("2").desc(), operator)
    )
    with store.reading() as connection:
        return [Example(*row) for row in connection.execute(statement)]


def unmapped_words(store: Store) -> Sequence[Example]:
    """
    Return the status words of `evse_status` that the table does not know, as spelled there, the most frequent first.

    Raises:
        StoreError: The store could not be read.
    """
    status = evse_status.c.status
    statement = (
        select(status, func.count().label("rows"), func.min(evse_status.c.evse_id))
        .where(~is_known_word(status), ~is_removed(status))
        .group_by(status)
        .order_by(literal_column("2").desc(), status)
    )
    with store.reading() as connection:
        return [Example(*row) for row in connection.execute(statement)]


def lane_unmapped_words(connection: Connection, scope: frozenset[str]) -> Mapping[str, int]:
    """Return the words of these operators' chargers that the table does not know, with the number of their rows."""
    status = evse_status.c.status
    words = (
        select(status, func.count())
        .where(live(OperatorKey(evse_status.c.operator_id), scope))
        .group_by(status)
        .having(~is_known_word(status))
    )
    return dict(connection.execute(words).all())


def windows_of_no_evse(store: Store, *, examples: int) -> tuple[int, Sequence[str]]:
    """
    Count the windows that are not over and whose EVSE has no row in `evse_status`; they change nothing.

    Args:
        examples: So many EvseIDs are returned with the count, those of the first windows, as spelled there.

    Raises:
        StoreError: The store could not be read.
    """
    window = temporary_status.c
    known = exists(
        select(literal_column("1")).where(EvseKey(evse_status.c.evse_id) == EvseKey(window.evse_id)),
    )
    with store.reading() as connection:
        lost = select(window.evse_id, func.count().over()).where(
            not_over(window.valid_to, window.ended_at, store.now(connection)), ~known
        )
        rows = connection.execute(lost.order_by(window.id).limit(examples)).all()
    return (rows[0][1] if rows else 0), [row[0] for row in rows]


def _by_word(rows: Iterable[Any]) -> Mapping[str, int]:
    return {str(row[0]): row[1] for row in rows}


def _pending(connection: Connection, scope: LaneScope) -> tuple[int, datetime | None]:
    """Count the EVSEs that are pending by the ledger, or hinted at, each once."""
    waiting = select(ledger.c.canonical).where(ledger.c.lane == scope.lane, ledger.c.pending_since.is_not(None))
    either = waiting.union(hinted_keys(scope.operator_keys)).subquery()
    count: int = connection.execute(select(func.count()).select_from(either)).scalar_one()
    since = select(func.min(ledger.c.pending_since)).where(
        ledger.c.lane == scope.lane, ledger.c.pending_since.is_not(None)
    )
    left = select(func.min(hint.c.created_at)).where(among(hint.c.operator_key, scope.operator_keys))
    instants = [connection.execute(since).scalar_one(), connection.execute(left).scalar_one()]
    return count, min((instant for instant in instants if instant is not None), default=None)


def _windows(
    connection: Connection, scope: LaneScope, now: datetime
) -> tuple[Mapping[tuple[TemporaryStatus, WindowPhase], int], datetime | None]:
    window = temporary_status.c
    phase = case((window.valid_from <= now, literal("active")), else_=literal("upcoming"))
    owned = exists(
        select(literal_column("1")).where(
            EvseKey(evse_status.c.evse_id) == EvseKey(window.evse_id),
            among(unindexed(OperatorKey(evse_status.c.operator_id)), scope.operator_keys),
        )
    )
    open_ended = and_(window.valid_to.is_(None), window.ended_at.is_(None))
    begun = case((open_ended, WindowStart(window.valid_from)))
    shaped = (
        select(Kind(window.status).label("kind"), phase.label("phase"), begun.label("begun"))
        .where(not_over(window.valid_to, window.ended_at, now), owned)
        .subquery()
    )
    oldest = func.min(shaped.c.begun, type_=UtcTimestamp())
    counted = select(shaped.c.kind, shaped.c.phase, func.count(), oldest).group_by(shaped.c.kind, shaped.c.phase)
    rows = connection.execute(counted).all()
    found = {(kind, phase): count for kind, phase, count, _ in rows}
    counts = {(KINDS[kind], phase): found.get((kind, phase), 0) for kind, phase in product(KINDS, _PHASES)}
    begun_at = (since for kind, phase, _, since in rows if kind in KINDS and phase == "active" and since is not None)
    return counts, min(begun_at, default=None)
