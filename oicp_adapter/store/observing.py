"""
Reads everything about an EVSE that a decision needs: its rows, its windows, its ledger row.

1. Rows and windows are read in one statement, so that no half of a change is seen. Hints are read before, see `hints`.
2. Nothing here locks, or waits for, a row that others write.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Text, bindparam, cast, literal, literal_column, null, select, union_all

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId, operator_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.expressions import EvseKey, WindowLimit, WindowStart, among_bound, not_over, unindexed
from oicp_adapter.store.hints import HintRow
from oicp_adapter.store.ledger import read_entries
from oicp_adapter.store.schema import evse_status, ledger, temporary_status
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.types import UtcTimestamp
from oicp_adapter.sync.model import Observation, StatusRow

KINDS: Final = {kind.value.lower(): kind for kind in TemporaryStatus}
"""The kinds of a window by their word in lower case."""

_WINDOW: Final = 1


@dataclass(slots=True)
class Found:
    """Rows and windows of one EVSE, of whatever operator."""

    rows: list[StatusRow] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def operators(self) -> set[str]:
        """Return the keys of all operators that have a row of it."""
        return {operator_key(row.operator_id) for row in self.rows}


def read_due(connection: Connection, lane: str, now: datetime, *, due: int, suspects: int) -> Sequence[str]:
    """
    Return the EVSEs of a lane that must be looked at by *now*, the longest due first.

    Half of them are those that became due last: the boundary of a window must not wait behind a fleet that is to be
    asserted anew.

    Args:
        due: At most so many that did not fail, or one more.
        suspects: At most so many that failed since they were last acknowledged.
    """
    wanted = {"lane": lane, "now": now, "due": (due + 1) // 2, "suspects": suspects}
    due_at = dict(connection.execute(_due_statement(), wanted).all())
    return sorted(due_at, key=lambda canonical: due_at[canonical])


def read_found(connection: Connection, canonicals: Collection[str], now: datetime) -> Mapping[str, Found]:
    """Return rows and windows of these EVSEs in one statement; windows that are over at *now* are left out."""
    if not canonicals:
        return {}
    found: dict[str, Found] = {}
    for row in connection.execute(_found_statement(), {"keys": sorted(canonicals), "now": now}).all():
        here = found.setdefault(row.key, Found())
        if row.part != _WINDOW:
            here.rows.append(StatusRow(EvseId(row.evse_id), OperatorId(row.operator_id), row.status, row.at))
        elif (read := _window_of(row)) is not None:
            here.windows.append(read)
    return found


@cache  # to build a statement costs more than to run it
def _due_statement() -> Any:
    columns = (ledger.c.canonical, ledger.c.due_at)
    at = (ledger.c.lane == bindparam("lane"), ledger.c.due_at <= bindparam("now", type_=UtcTimestamp()))
    sound = select(*columns).where(*at, ledger.c.failures == 0)
    oldest, newest = (
        sound.order_by(order).limit(bindparam("due")) for order in (ledger.c.due_at, ledger.c.due_at.desc())
    )
    failed = select(*columns).where(*at, ledger.c.failures > literal_column("0")).order_by(ledger.c.due_at)
    parts = (oldest, newest, failed.limit(bindparam("suspects")))
    return union_all(*(select(part.subquery()) for part in parts))


@cache
def _found_statement() -> Any:
    status, window = evse_status.c, temporary_status.c
    now = bindparam("now", type_=UtcTimestamp())
    rows = select(
        literal(0, BigInteger()).label("part"),
        EvseKey(status.evse_id).label("key"),
        status.evse_id,
        status.operator_id,
        status.status,
        WindowLimit(status.changed_at).label("at"),
        cast(null(), BigInteger()).label("id"),
        cast(null(), UtcTimestamp()).label("valid_to"),
        cast(null(), UtcTimestamp()).label("ended_at"),
    ).where(among_bound(EvseKey(status.evse_id), "keys"))
    windows = select(
        literal(_WINDOW, BigInteger()),
        EvseKey(window.evse_id),
        window.evse_id,
        cast(null(), Text()),
        window.status,
        WindowStart(window.valid_from),
        window.id,
        WindowLimit(window.valid_to),
        WindowLimit(window.ended_at),
    ).where(among_bound(EvseKey(window.evse_id), "keys"), not_over(unindexed(window.valid_to), window.ended_at, now))
    return union_all(rows, windows)


def observations(
    connection: Connection,
    scope: LaneScope,
    canonicals: Sequence[str],
    found: Mapping[str, Found],
    changed: Mapping[str, datetime | None],
) -> Sequence[Observation]:
    """Put together what was found of each EVSE, its rows of other lanes left out, with its ledger row."""
    entries = read_entries(connection, scope.lane, canonicals)
    nothing = Found()
    return [
        Observation(
            canonical=CanonicalEvseId(canonical),
            rows=sorted(
                (
                    row
                    for row in found.get(canonical, nothing).rows
                    if operator_key(row.operator_id) in scope.operator_keys
                ),
                key=lambda row: row.evse_id,
            ),
            windows=found.get(canonical, nothing).windows,
            entry=entries.get(CanonicalEvseId(canonical)),
            changed_at=changed.get(canonical),
        )
        for canonical in canonicals
    ]


def strays(
    hints: Collection[HintRow], found: Mapping[str, Found], operator_keys: Collection[str]
) -> set[tuple[str, str]]:
    """
    Return the pairs of EVSE and operator that must learn of these hints.

    A hint for one of our operators is sent on only when the EVSE has no row of ours any more: else two lanes with a
    spelling each would send it to and fro.
    """
    pairs: set[tuple[str, str]] = set()
    for item in hints:
        here = found.get(item.evse_key)
        operators = here.operators() if here is not None else set()
        if item.operator_key is None or not operators & set(operator_keys):
            pairs |= {(item.evse_key, operator) for operator in operators if operator not in operator_keys}
    return pairs


def _window_of(row: Any) -> Window | None:
    kind = KINDS.get(str(row.status).lower())
    if kind is None or row.at is None:
        return None
    return Window(row.id, kind, row.at, row.valid_to, row.ended_at)
