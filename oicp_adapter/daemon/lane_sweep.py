"""
Runs the sweep of one lane: a page between two pushes, over and over, and anew where a page failed.

1. A sweep is whole only if all of its pages were read: what no hint announced is found by it alone.
2. After a full load that was lost only a sweep can bring every EVSE of the lane back, so it begins at once.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.sweep import SweepPage

SWEEP_AGAIN: Final = timedelta(seconds=5)
"""After this a sweep of which a page failed begins anew."""


class LaneSweep:
    """Compares a whole lane with its ledger, again and again."""

    def __init__(self, store: LaneStore, telemetry: LaneTelemetry, every: timedelta) -> None:
        """
        Begin with nothing; `advance` starts the first sweep.

        Args:
            every: Between the end of a whole sweep and the beginning of the next.
        """
        self._store = store
        self._telemetry = telemetry
        self._every = every
        self._pages: Iterator[SweepPage] | None = None
        self._doubted_before: datetime | None = None
        self._next_at: datetime | None = None
        self._failed = False

    @property
    def under_way(self) -> bool:
        """Whether a sweep has begun, or failed, and none has ended whole since."""
        return self._pages is not None or self._failed

    def begin(self, doubted_before: datetime | None) -> None:
        """
        Begin anew with the next page.

        Args:
            doubted_before: `Position.doubted_before`: what was asserted before it becomes due.
        """
        self._doubted_before = doubted_before
        self._pages = self._store.sweep(asserted_before=doubted_before)

    def doubt(self, doubted_before: datetime | None) -> None:
        """Begin anew if this is not what the last sweep began with."""
        if doubted_before != self._doubted_before:
            self.begin(doubted_before)

    def stop(self) -> None:
        """Give up the sweep under way: another process has the lane."""
        self._pages = None

    def forget_schedule(self) -> None:
        """Let the next sweep be due: the clock was set back."""
        self._next_at = None

    def advance(self, now: datetime) -> bool:
        """
        Compare one more page, or begin the next sweep when that is due; False: neither.

        Raises:
            StoreError: A page failed; a new sweep begins five seconds later.
        """
        if self._pages is None:
            if self._next_at is not None and self._next_at > now:
                return False
            self.begin(self._doubted_before)
            self._store.recognised = False  # behind a pooler another server may have taken over unseen
            if self._store.hintless is not None:
                self._store.close()  # the next connection finds out whether the hints were repaired
        try:
            page = next(self._pages, None) if self._pages is not None else None
        except Exception:
            self._pages, self._failed = None, True  # else its end would be taken for that of a whole one
            self._next_at = now + SWEEP_AGAIN
            raise
        if page is not None:
            self._telemetry.swept_page(page)
            return True
        self._pages, self._failed = None, False
        self._next_at = now + self._every
        self._telemetry.swept(now)
        return True
