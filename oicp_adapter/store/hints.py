"""
Takes the hints of a lane: reads them, sends on those that belong to others, deletes exactly those that were read.

1. Hints are read before the statuses they speak of. Each statement sees what is committed when it starts, so a change
   whose hint was read is seen by the later statement, and a change whose hint was not read keeps its hint.
2. They are deleted by the ids that were read, never by EVSE: a hint that came in between must survive.
3. A hint names the operator that the writer saw. Of two writers who did not see each other's work one may have named
   the wrong one, or none: whoever reads such a hint sends it on to the operators that have the EVSE.
"""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Connection, Select, bindparam, delete, insert, not_, select, union_all

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.store.expressions import among, among_bound, among_ids, among_ids_bound
from oicp_adapter.store.schema import hint, lane_row, ledger
from oicp_adapter.store.transactions import Statement

PRUNED_AFTER: Final = timedelta(minutes=10)
"""Age at which a hint that no lane took may go: unless `store.sweep_every` is longer, two sweeps saw its EVSE since."""

PRUNED_AT_ONCE: Final = 10_000
"""Hints that one transaction deletes of those that nobody will read."""


_PROBE: Final = "SELECT id, evse_key, operator_key, created_at FROM oicp_hint LIMIT 0"
_DELETE: Final = delete(hint).where(among_ids_bound(hint.c.id, "ids"))


class HintRow(NamedTuple):
    """
    One hint.

    Attributes:
        operator_key: The operator that the writer saw; None: the writer saw no row of the EVSE.
    """

    id: int
    evse_key: str
    operator_key: str | None
    created_at: datetime


def unusable(driver: Any) -> str | None:
    """
    Tell why hints cannot be used.

    The sweep finds every change without them, and a daemon that stopped for want of them would find none.

    Args:
        driver: The driver's connection, in no transaction.

    Returns:
        The database's words; None: they can.
    """
    try:
        driver.execute(_PROBE)
    except (psycopg.ProgrammingError, sqlite3.OperationalError) as error:
        if isinstance(error, sqlite3.OperationalError) and not str(error).startswith("no such"):
            raise
        return foreign_text(str(error).strip())
    return None


def read_hints(connection: Connection, operator_keys: Collection[str], limit: int) -> Sequence[HintRow]:
    """
    Return the oldest hints for these operators and for none, at most *limit* of each, oldest first.

    Hints for none are locked until the transaction ends; those that another lane has locked are left to it.
    """
    one = len(operator_keys) == 1
    wanted = {"keys": min(operator_keys) if one else sorted(operator_keys), "limit": limit}
    rows = [HintRow(*row) for row in connection.execute(_hints_statement(one=one), wanted).all()]
    unowned = [row.id for row in rows if row.operator_key is None]
    if unowned:
        statement = select(hint.c.id).where(among_ids(hint.c.id, unowned)).with_for_update(skip_locked=True)
        locked = set(connection.execute(statement).scalars())
        rows = [row for row in rows if row.operator_key is not None or row.id in locked]
    return sorted(rows, key=lambda row: row.id)


@cache  # to build a statement costs more than to run it
def _hints_statement(*, one: bool) -> Any:
    columns = (hint.c.id, hint.c.evse_key, hint.c.operator_key, hint.c.created_at)
    # One operator is the rule, and only for one does the index give the hints in their order.
    mine = hint.c.operator_key == bindparam("keys") if one else among_bound(hint.c.operator_key, "keys")
    own = select(*columns).where(mine).order_by(hint.c.id).limit(bindparam("limit"))
    nobody = select(*columns).where(hint.c.operator_key.is_(None)).order_by(hint.c.id).limit(bindparam("limit"))
    return union_all(select(own.subquery()), select(nobody.subquery()))


def deletion(ids: Collection[int]) -> Statement:
    """Return the statement that deletes exactly these hints."""
    return _DELETE, {"ids": sorted(ids)}


def drop_hints(connection: Connection, operator_keys: Collection[str]) -> int:
    """Delete all hints for these operators that are there now; return how many."""
    return connection.execute(delete(hint).where(among(hint.c.operator_key, operator_keys))).rowcount


def ledger_lanes(connection: Connection, evse_keys: Collection[str]) -> set[tuple[str, str]]:
    """Return the pairs of EVSE and lane that the ledgers of all lanes hold; a lane is named by its own operator."""
    if not evse_keys:
        return set()
    held = select(ledger.c.canonical, ledger.c.lane).where(
        ledger.c.lane.in_(select(lane_row.c.lane)), among(ledger.c.canonical, evse_keys)
    )
    return {(canonical, lane) for canonical, lane in connection.execute(held)}


def send_on(connection: Connection, pairs: Collection[tuple[str, str]], now: datetime) -> None:
    """Leave a hint for each pair of EVSE and operator key."""
    if pairs:
        rows = [{"evse_key": evse, "operator_key": operator, "created_at": now} for evse, operator in sorted(pairs)]
        connection.execute(insert(hint), rows)


def prune_hints(connection: Connection, scope: Collection[str], now: datetime) -> int:
    """
    Delete old hints of operators outside a lane, for those that no lane serves nobody else deletes.

    Lanes that somebody leads keep the hints of their own operator. Should one be deleted that somebody wanted, the
    sweep of its lane finds the change.

    Args:
        scope: The operators of the lane that cleans up.

    Returns:
        How many were deleted, at most 10,000 a call.
    """
    led = select(lane_row.c.lane).where(lane_row.c.expires_at > now)
    old = (
        select(hint.c.id)
        .where(
            hint.c.created_at <= now - PRUNED_AFTER,
            not_(among(hint.c.operator_key, scope)),
            hint.c.operator_key.not_in(led),
        )
        .order_by(hint.c.id)
        .limit(PRUNED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(old).scalars())
    connection.execute(*deletion(ids))
    return len(ids)


def hinted_keys(operator_keys: Collection[str]) -> Select[tuple[str]]:
    """Return the statement that selects the keys of all EVSEs hinted at for these operators; with repetitions."""
    return select(hint.c.evse_key).where(among(hint.c.operator_key, operator_keys))
