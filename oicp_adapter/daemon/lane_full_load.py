"""
Runs the full load of one lane: when it is due, whether it may go out, and what becomes of its records.

1. Nothing may be lost or withdrawn by it: it waits for a ledger without doubts, debts, refusals or withdrawals, and for
   the end of a sweep. Only the very first one need not wait.
2. Its records stay in the store until its outcome is recorded; they are as many as a lane has EVSEs.
"""

from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.daemon.lane import LaneIdentity, LaneResources, Push
from oicp_adapter.daemon.lane_sweep import LaneSweep
from oicp_adapter.store.lane_transaction import LaneTransaction
from oicp_adapter.sync.answers import Effect
from oicp_adapter.sync.model import Action, Intent, Policy, Position
from oicp_adapter.sync.schedule import full_load_due
from oicp_adapter.sync.steps import commit_to

CHECK_EVERY: Final = timedelta(seconds=10)
"""A full load that is due but must wait for a clean ledger is reconsidered this often."""


class LaneFullLoad:
    """Sends a whole lane at once, when that is due and safe."""

    def __init__(self, identity: LaneIdentity, resources: LaneResources, sweep: LaneSweep, policy: Policy) -> None:
        """
        Take what the lane's worker has.

        Args:
            sweep: The lane's own; while one is under way nobody knows what a full load would leave out.
        """
        self._identity = identity
        self._records = resources.full_load_records
        self._telemetry = resources.telemetry
        self._clock = resources.clock
        self._sweep = sweep
        self._policy = policy
        self._check_at: datetime | None = None

    def forget_schedule(self) -> None:
        """Let one that waits be reconsidered at once: the clock was set back."""
        self._check_at = None

    def begin(self, books: LaneTransaction, position: Position) -> Push | None:
        """Commit to a full load if one is due and nothing could be lost or withdrawn by it; None: not now."""
        if not self._is_due(books.now, position):
            return None
        if position.attempt == 0 and books.drop_hints():
            # Those of a whole fleet: it carries what they speak of, and a sweep looks at all that it leaves out.
            self._sweep.begin(position.doubted_before)
        late = position.debt_at is not None and position.debt_at > books.now
        if late or not books.clean():
            self._telemetry.full_load_postponed("the ledger has doubts, debts, refusals or withdrawals")
            return None
        count = books.prepare_full_load()
        if count.missing or not count.records:
            books.drop_full_load()
            self._telemetry.full_load_postponed(f"{count.missing} EVSEs at the hub would be missing from it")
            return None
        # Preparing took its time, so both clocks are read anew, ours first.
        send_before = self._clock() + self._policy.send_within.total_seconds()
        intent, taken = commit_to(Action.FULL_LOAD, (), position, now=books.read_clock(), policy=self._policy)
        books.write_intent(intent)
        books.save_position(taken)
        request = self._identity.request(Action.FULL_LOAD, self._records(), count.records)
        return Push(intent, request, send_before, ())

    def close(self, books: LaneTransaction, intent: Intent, effect: Effect) -> None:
        """Write the outcome into the rows of its records, and drop those."""
        if effect is Effect.APPLIED:
            books.acknowledge_full_load(intent=intent, policy=self._policy)
        elif effect is Effect.UNKNOWN:
            books.doubt_full_load(intent=intent, policy=self._policy)
        books.drop_full_load()

    def _is_due(self, now: datetime, position: Position) -> bool:
        if self._sweep.under_way and position.attempt:
            return False
        if self._check_at is not None and self._check_at > now:
            return False
        if not full_load_due(position, now, self._policy):
            return False
        self._check_at = now + CHECK_EVERY
        return True
