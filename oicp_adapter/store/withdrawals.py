"""
Counts the withdrawals of a lane, and tells whether a lane is clean enough for a full load.

The pending ones are looked for among hints and open ledger rows only, so that counting costs what the backlog is long;
the sweep opens the rows of EVSEs that vanished without a hint.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, literal, or_, select, text, union

from oicp_adapter.store.effective import live
from oicp_adapter.store.expressions import EvseKey, OperatorKey, among_bound, unindexed
from oicp_adapter.store.schema import evse_status, hint, ledger
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.sync.guard import GUARD_SPAN, LONG_SPAN, SMALL_NUMBER, WithdrawalCount
from oicp_adapter.sync.model import Presence

_PAGE: Final = 5000
"""EVSEs of the backlog looked up at a time."""

_UNSETTLED: Final = text(
    "(doubted_at IS NOT NULL OR debt_at IS NOT NULL OR held_since IS NOT NULL OR retry_at IS NOT NULL"
    " OR refusal IS NOT NULL)"
)
"""The condition of the index `oicp_ledger_unsettled`, word for word."""

_SINCE: Final = bindparam("since", type_=UtcTimestamp())


def unsettled(lane: str | ColumnElement[str]) -> ColumnElement[bool]:
    """
    Return the condition that a row of a lane's ledger has a doubt, a debt, a hold, a backoff or a refusal.

    SQLite would look for the lane by another index, and walk the whole fleet, if it could.
    """
    return and_(unindexed(ledger.c.lane) == lane, _UNSETTLED)


def count_withdrawals(
    connection: Connection, lane: str, scope: frozenset[str], now: datetime, *, hints: bool = True
) -> WithdrawalCount:
    """
    Count the lane's withdrawals of the last days and those about to happen; approved ones are left out.

    The size of the fleet is 0 where there are so few that no guard asks for it.

    Args:
        hints: Look among them, too; they can be used.
    """
    since = now - GUARD_SPAN
    mine = {"lane": lane, "since": since}
    recent: int = connection.execute(_gone_since(), mine).scalar_one()
    earlier: int = connection.execute(_gone_since(), mine | {"since": now - LONG_SPAN}).scalar_one() - recent
    pending = _count_pending(connection, lane, scope, now, hints=hints)
    # Of so few it does not matter how many others there are, and those would have to be counted one by one.
    few = recent + earlier + pending <= SMALL_NUMBER
    size: int = 0 if few else connection.execute(_size_since(), mine).scalar_one()
    return WithdrawalCount(size=size, recent=recent, earlier=earlier, pending=pending)


@cache  # to build a statement costs more than to run it
def _gone_since() -> Any:
    """Select how many were withdrawn since then."""
    return select(func.count()).where(_mine(), ledger.c.approved_at.is_(None), ledger.c.withdrawn_at > _SINCE)


@cache
def _size_since() -> Any:
    """Select how many the hub may hold, or held since then."""
    counted = or_(may_be_at_the_hub(), ledger.c.withdrawn_at > _SINCE)
    return select(func.count()).where(_mine(), ledger.c.approved_at.is_(None), counted)


def _mine() -> ColumnElement[bool]:
    return ledger.c.lane == bindparam("lane")


def may_be_at_the_hub() -> ColumnElement[bool]:
    """Return the condition that the hub may hold an EVSE of the ledger; what no request ever carried it does not."""
    reached = or_(ledger.c.attempt > 0, ledger.c.acknowledged.is_not(None))
    return and_(ledger.c.presence != Presence.ABSENT.value, reached)


def waits_for_a_person() -> ColumnElement[bool]:
    """Return the condition that the guard holds the withdrawal of an EVSE of the ledger, and nobody has approved it."""
    return and_(ledger.c.held_since.is_not(None), ledger.c.approved_at.is_(None))


def is_clean(connection: Connection, lane: str, scope: frozenset[str], now: datetime, *, hints: bool = True) -> bool:
    """Tell whether a lane has no doubt, debt, refusal, hold or pending withdrawal; *hints* as above."""
    any_unsettled = select(literal(1)).select_from(ledger).where(unsettled(lane)).limit(1)
    if connection.execute(any_unsettled).first() is not None:
        return False
    return _count_pending(connection, lane, scope, now, hints=hints) == 0


def standing(connection: Connection, canonicals: Collection[str], scope: frozenset[str]) -> set[str]:
    """
    Return which of these EVSEs have a row of these operators that does not withdraw them.

    Asked for by their keys: joined with the ledger, PostgreSQL would compare each row with each wherever it knows
    nothing of the keys, as on tables that were just filled.
    """
    if not canonicals:
        return set()
    return set(connection.execute(_standing(scope), {"keys": sorted(canonicals)}).scalars())


@lru_cache(maxsize=16)
def _standing(scope: frozenset[str]) -> Any:
    key = EvseKey(evse_status.c.evse_id)
    return select(key).where(among_bound(key, "keys"), live(OperatorKey(evse_status.c.operator_id), scope))


def _count_pending(connection: Connection, lane: str, scope: frozenset[str], now: datetime, *, hints: bool) -> int:
    """Count by pages of the backlog, which may be as long as the fleet: PostgreSQL keeps it, and hands out pages."""
    known = {"lane": lane, "now": now, "scope": sorted(scope)}
    by_pages = {"stream_results": True, "yield_per": _PAGE}
    count = 0
    for page in connection.execute(_backlog(hints=hints), known, execution_options=by_pages).scalars().partitions():
        vanishing = set(connection.execute(_there(), {"lane": lane, "page": sorted(page)}).scalars())
        count += len(vanishing - standing(connection, vanishing, scope))
    return count


@cache
def _backlog(*, hints: bool) -> Any:
    """Select the keys of all that is hinted at, due, pending or unsettled."""
    hinted = select(hint.c.evse_key).where(
        or_(among_bound(hint.c.operator_key, "scope"), hint.c.operator_key.is_(None))
    )
    due = select(ledger.c.canonical.label("evse_key")).where(
        _mine(), ledger.c.due_at <= bindparam("now", type_=UtcTimestamp())
    )
    waiting = select(ledger.c.canonical).where(_mine(), ledger.c.pending_since.is_not(None))
    held = select(ledger.c.canonical).where(unsettled(bindparam("lane")))
    parts = [due, waiting, held, *([hinted] if hints else [])]
    return select(union(*parts).subquery("backlog").c.evse_key)


@cache
def _there() -> Any:
    """Select which of a page the hub may hold and nobody has approved."""
    return (
        select(ledger.c.canonical)
        .where(_mine(), among_bound(ledger.c.canonical, "page"), may_be_at_the_hub())
        .where(ledger.c.withdrawn_at.is_(None), ledger.c.approved_at.is_(None))
    )
