"""
Gives the worker of a lane one transaction over its books: what it finds, reads and writes there.

1. The lane's row is locked first and the clock read after: only so does a lease that ran out while the lock was waited
   for count as run out.
2. All changes of a lane's books go through such a transaction, whoever makes them.
3. What nobody reads before the commit is written with the commit, in one message to PostgreSQL: to wait for each answer
   costs more than the statements.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import Connection

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store import acknowledging, full_load, hints, ledger, observing, position, withdrawals
from oicp_adapter.store.engine import Store
from oicp_adapter.store.identity import known_identity, remember_identity
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.steady import read_steady
from oicp_adapter.store.transactions import DriverStatement, Statement, commit_with, whole_table
from oicp_adapter.sync.exchange import Acknowledgement
from oicp_adapter.sync.guard import WithdrawalCount
from oicp_adapter.sync.identity import StoreIdentity
from oicp_adapter.sync.model import Entry, Intent, Observation, Policy, Position, Rejected, Steady

HINTS_PER_EVSE: Final = 4
"""Hints read for each EVSE that is wanted where chargers flicker, so that each leaves several."""


class LaneTransaction:
    """
    One transaction that holds the lane's lock; use `LaneStore.transaction`.

    Attributes:
        now: By the database's clock, read after the lock was granted.
        position: The lane's row, as read or as last saved here; written at the end.
        intent: The open intent, as read or as last written here; written at the end.
    """

    def __init__(
        self,
        connection: Connection,
        store: Store,
        scope: LaneScope,
        mapping: StatusMapping,
        *,
        opening: Sequence[Sequence[Any]],
        hintless: bool,
    ) -> None:
        """
        Lock the lane's row, then read the clock.

        Args:
            opening: What `position.opening` gave when the transaction began; SQLite is asked here.
            hintless: The hints cannot be used: there are none.
        """
        self._connection = connection
        self._store = store
        self._scope = scope
        self._mapping = mapping
        self._hintless = hintless
        self.position, self.now, self.intent = position.opened(connection, store, scope.lane, opening)
        self._at_the_end: list[Statement | DriverStatement] = []
        self._position_read = self.position
        self._taken: list[hints.HintRow] = []
        self._found: dict[str, datetime | None] = {}
        self._strays: set[tuple[str, str]] = set()

    def read_clock(self) -> datetime:
        """Read the database's clock again, and let `now` be what it says."""
        self.now = self._store.now(self._connection)
        return self.now

    def find(self, *, hinted: int, due: int, suspects: int) -> Self:
        """
        Find what must be looked at: hinted EVSEs, the oldest hint first, then due ones, the longest due first.

        Args:
            hinted: At most so many with a hint.
            due: At most so many that are due and did not fail, those with a hint counted; a tenth of it in any case.
            suspects: At most so many that are due and failed since they were last acknowledged.

        Returns:
            This transaction, in which `steady` and `observe` read about them.
        """
        lane = self._scope.lane
        changed = self._take_hints(hinted, hinted)
        if len(self._taken) >= hinted > 2 * len(changed):
            changed = self._take_hints(hinted, HINTS_PER_EVSE * hinted)
        room = max(math.ceil(due / 10), due - len(changed))
        waiting = (
            observing.read_due(self._connection, lane, self.now, due=room, suspects=suspects)
            if room or suspects
            else ()
        )
        self._found = changed | {key: None for key in waiting if key not in changed}
        return self

    def _take_hints(self, evses: int, limit: int) -> dict[str, datetime | None]:
        """Read hints about at most so many EVSEs; return since when each of them is hinted at."""
        self._taken = []
        changed: dict[str, datetime | None] = {}
        if self._hintless:
            return changed
        for item in hints.read_hints(self._connection, self._scope.operator_keys, limit):
            if item.evse_key in changed or len(changed) < evses:
                changed.setdefault(item.evse_key, item.created_at)
                self._taken.append(item)
        return changed

    def steady(self, *, reassert_every: timedelta, doubted_before: datetime | None) -> Sequence[Steady]:
        """Read those of the found EVSEs that are steady, in no order."""
        if self._store.relations.named():
            return []  # it finds rows one by one, which needs indexes that nobody may have made
        for_nobody = {item.evse_key for item in self._taken if item.operator_key is None}
        found = {key: at for key, at in self._found.items() if key not in for_nobody} if for_nobody else self._found
        return read_steady(
            self._connection,
            self._scope,
            found,
            now=self.now,
            reassert_every=reassert_every,
            doubted_before=doubted_before,
        )

    def observe(self, besides: Collection[str] = ()) -> Sequence[Observation]:
        """
        Read everything about the found EVSEs.

        Args:
            besides: Those of them about which nothing more must be known.

        Returns:
            Each EVSE once. Call `consume_hints` in the same transaction once the ledger says what was seen.
        """
        keys = self._scope.operator_keys
        changed = {key: at for key, at in self._found.items() if key not in besides}
        taken = [item for item in self._taken if item.evse_key in changed]
        found = observing.read_found(self._connection, changed, self.now)
        self._strays = observing.strays(taken, found, keys) | self._ledgers_of(taken)
        seen = observing.observations(self._connection, self._scope, list(changed), found, changed)
        ours = {item.evse_key for item in taken if item.operator_key is not None}
        return [item for item in seen if item.rows or item.entry or item.canonical in ours]

    def _ledgers_of(self, taken: Collection[hints.HintRow]) -> set[tuple[str, str]]:
        """Return which other lanes hold the EVSEs that were hinted at for nobody."""
        unowned = {item.evse_key for item in taken if item.operator_key is None}
        return {
            (evse, lane)
            for evse, lane in hints.ledger_lanes(self._connection, unowned)
            if lane not in self._scope.operator_keys
        }

    def observe_these(self, canonicals: Collection[str]) -> Sequence[Observation]:
        """Read these EVSEs, whether anything hints at them or not; no hint is read."""
        wanted = sorted(canonicals)
        found = observing.read_found(self._connection, wanted, self.now)
        return observing.observations(self._connection, self._scope, wanted, found, {})

    def consume_hints(self, but: Collection[str] = ()) -> None:
        """
        Delete exactly the hints that the last `find` read; those that belong to others are sent on to them.

        Args:
            but: EVSEs whose hints stay, for nothing was done about them.
        """
        hints.send_on(self._connection, self._strays, self.now)
        done = [item.id for item in self._taken if item.evse_key not in but]
        if done:
            self._at_the_end.append(hints.deletion(done))
        self._taken, self._found, self._strays = [], {}, set()

    def drop_hints(self) -> int:
        """Delete all hints about EVSEs of the lane; a sweep must look at every EVSE afterwards. Return how many."""
        return 0 if self._hintless else hints.drop_hints(self._connection, self._scope.operator_keys)

    def entries(self, canonicals: Collection[str]) -> dict[CanonicalEvseId, Entry]:
        """Return the ledger rows of these EVSEs; those without one are absent."""
        return ledger.read_entries(self._connection, self._scope.lane, canonicals)

    def save(self, entries: Sequence[Entry]) -> None:
        """Insert or replace ledger rows, each EVSE at most once."""
        ledger.write_entries(self._connection, self._scope.lane, entries)

    def acknowledge(self, done: Acknowledgement) -> None:
        """Let the ledger say of all records of a request that the hub has acknowledged them."""
        self._at_the_end.append(acknowledging.acknowledgement(self._store.dialect, self._scope.lane, done))

    def forget(self, canonicals: Collection[str]) -> None:
        """Delete ledger rows."""
        ledger.delete_entries(self._connection, self._scope.lane, canonicals)

    def replace_rejections(self, canonicals: Collection[str], rejected: Sequence[Rejected]) -> None:
        """Let exactly *rejected* be what the rows of these EVSEs are rejected for."""
        ledger.write_rejections(self._connection, self._scope.lane, canonicals, rejected, self.now)

    def save_position(self, new: Position) -> None:
        """Replace the lane's row."""
        self.position = new

    def leaders(self) -> Mapping[str, str]:
        """Return who leads which lane now; lanes that nobody leads are absent."""
        return position.read_leaders(self._connection, self.now)

    def known_identity(self) -> StoreIdentity | None:
        """Return what the lane knows of its store; None: it never worked with one."""
        return known_identity(self._connection, self._scope.lane)

    def remember_identity(self, identity: StoreIdentity) -> None:
        """Let the lane know its store."""
        remember_identity(self._connection, self._scope.lane, identity, now=self.now)

    def write_intent(self, intent: Intent) -> None:
        """Note that a push is about to start."""
        self._at_the_end.append(position.intent_write(self._connection.dialect, self._scope.lane, intent))
        self.intent = intent

    def clear_intent(self) -> None:
        """Delete the lane's intent."""
        self._at_the_end.append(position.intent_deletion(self._scope.lane))
        self.intent = None

    def withdrawal_count(self) -> WithdrawalCount:
        """Count withdrawals for the guard; approved ones are left out."""
        scope = self._scope
        return withdrawals.count_withdrawals(
            self._connection, scope.lane, scope.operator_keys, self.now, hints=not self._hintless
        )

    def clean(self) -> bool:
        """Tell whether the lane has no doubt, debt, refusal, hold or pending withdrawal."""
        scope = self._scope
        return withdrawals.is_clean(
            self._connection, scope.lane, scope.operator_keys, self.now, hints=not self._hintless
        )

    def prepare_full_load(self) -> full_load.FullLoadCount:
        """Fix what a full load would carry now; what would be missing from it becomes due."""
        with whole_table(self._connection):
            return full_load.prepare(
                self._connection, self._scope.lane, self._scope.operator_keys, self._mapping, self.now
            )

    def acknowledge_full_load(self, *, intent: Intent, policy: Policy) -> int:
        """Let the ledger say what the acknowledged full load did; return how many records it carried."""
        with whole_table(self._connection):
            return full_load.acknowledge(self._connection, self._scope.lane, intent=intent, policy=policy, now=self.now)

    def doubt_full_load(self, *, intent: Intent, policy: Policy) -> None:
        """Let the ledger know of every EVSE that an unanswered full load carried."""
        with whole_table(self._connection):
            full_load.doubt(self._connection, self._scope.lane, intent=intent, policy=policy, now=self.now)

    def drop_full_load(self) -> None:
        """Forget the records of the full load."""
        full_load.drop(self._connection, self._scope.lane)

    def finish(self) -> None:
        """Write what was kept for the end, and commit."""
        if self.position != self._position_read:
            self._at_the_end.append(position.position_write(self._scope.lane, self.position))
        commit_with(self._connection, self._at_the_end)
