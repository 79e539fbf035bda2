"""
Decides for a lane's worker whether it may believe its store: the clock, the identity, and that nothing was forgotten.

Judging is pure and done in `sync`; here the facts are brought together, and what follows is told.
"""

from collections.abc import Callable
from datetime import datetime

from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.daemon.witness import Sighting, Witness
from oicp_adapter.domain.errors import ForeignStoreError, StoreClockError
from oicp_adapter.store.lane_transaction import LaneTransaction
from oicp_adapter.sync.clock import intent_within_reach, is_astray, within_reach
from oicp_adapter.sync.identity import StoreIdentity, differences, distrust, merged, went_back
from oicp_adapter.sync.lease import longest_silence
from oicp_adapter.sync.model import LaneState, Policy, Position


class StoreTrust:
    """What one lane believes of its store."""

    def __init__(
        self,
        operator_id: str,
        *,
        policy: Policy,
        telemetry: LaneTelemetry,
        witness: Witness,
        counted: Callable[[], datetime] | None,
        sole: bool,
    ) -> None:
        """
        Believe nothing yet.

        Args:
            counted: What the time should be by the clock that this host started with; None: the store's is believed.
            sole: No other process can push for the lane.
        """
        self._operator_id = operator_id
        self._policy = policy
        self._telemetry = telemetry
        self._witness = witness
        self._counted = counted
        self._sole = sole

    def heed_clock(self, now: datetime) -> None:
        """
        Refuse to judge anything by a clock that is absurdly far away.

        Raises:
            StoreClockError: It is.
        """
        counted = self._counted() if self._counted is not None else now
        if is_astray(now, counted):
            error = StoreClockError(now=now, counted=counted)
            self._telemetry.state(LaneState.HELD, error.reason, str(error))
            raise error

    def position(self, books: LaneTransaction, found: StoreIdentity | None, *, epoch: int) -> Position:
        """
        Return the lane's position as far as it can be believed; the caller saves it.

        When the store has lost what it had committed, everything in it is in doubt and nobody leads the lane.

        Args:
            found: What the store is now; None: nothing was looked at.
            epoch: Under which this process leads the lane; 0: it does not.

        Raises:
            ForeignStoreError: The store is not the one that the lane knows.
        """
        known = self._recognised(books, found)
        intent, now = books.intent, books.now
        if intent is not None and intent != (cut := intent_within_reach(intent, now, self._policy)):
            books.write_intent(cut)
        position, seen = within_reach(books.position, now, self._policy), self._witness.seen
        if not went_back(position, seen.attempt, known, found):
            return position
        self._telemetry.distrusted(attempt=position.attempt, witnessed=seen.attempt)
        # Where other processes may push, one of them may have sent what this store has forgotten, too.
        silent_until = (seen.silent_until or now) if self._sole else now + longest_silence(self._policy)
        return distrust(
            position, witnessed=seen.attempt, epoch=epoch, silent_until=silent_until, now=now, policy=self._policy
        )

    def committed(self, books: LaneTransaction) -> None:
        """Remember how far the lane has come; to be called once the transaction's commit has returned."""
        if books.position.attempt < self._witness.seen.attempt:
            return  # the store went back; that is for `position` to find, not for us to forget
        silent_until = books.intent.silent_until if books.intent is not None else books.position.silent_until
        self._witness.note(Sighting(books.position.attempt, silent_until))

    def _recognised(self, books: LaneTransaction, found: StoreIdentity | None) -> StoreIdentity | None:
        """Compare the store with the one that the lane knows, remember what is new, return what was known before."""
        if found is None:
            return None
        known = books.known_identity()
        if known is not None and (different := differences(known, found)):
            error = ForeignStoreError(self._operator_id, different)
            self._telemetry.state(LaneState.HELD, error.reason, str(error))
            raise error
        if merged(known, found) != known:
            books.remember_identity(merged(known, found))
        return known
