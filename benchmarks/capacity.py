"""
Computes what a lane and a process can carry from what bounds them: round trip, the hub's limit, batch, cost.

A lane has one request in flight. So a change waits for the request under way and travels in the next one, with all that
came meanwhile: the batch grows with the rate until it is as large as it may be, and that is the end.
"""

import math
from dataclasses import dataclass
from typing import Final

from oicp_adapter.store.sweep import PAGE
from oicp_adapter.sync.pacing import BURST_SHARE

MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Costs:
    """
    What the work costs, in seconds.

    Attributes:
        round_trip: To the hub and back, the hub's own time included.
        request: Processor time of the process for one request, whatever is in it.
        record: The same for each record, the database's own time included where it must be waited for.
        page: The same for one page of a sweep.
    """

    round_trip: float
    request: float
    record: float
    page: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one lane can carry, and a process with several of them."""

    costs: Costs
    requests_per_minute: int
    max_records: int

    @property
    def burst(self) -> int:
        """How many requests may go at once after a quiet time."""
        return max(1, self.requests_per_minute // BURST_SHARE)

    @property
    def interval(self) -> float:
        """Seconds between two requests once that is used up."""
        return MINUTE / (self.requests_per_minute - self.burst - 1)

    def request(self, records: float) -> float:
        """Return the seconds that a request takes, from the first statement to the last."""
        return self.costs.round_trip + self.costs.request + records * self.costs.record

    def cycle(self, records: float) -> float:
        """Return the seconds from one request's start to the next one's while there is always something to do."""
        return max(self.request(records) + self.costs.page, self.interval)

    @property
    def changes_per_second(self) -> float:
        """The most that one lane can carry for as long as one likes, while it also sweeps."""
        return self.max_records / self.cycle(self.max_records)

    def batch(self, rate: float) -> float:
        """Return how many records a request has at a steady rate of changes a second; at least one."""
        if rate >= self.changes_per_second:
            return self.max_records
        unpaced = rate * self.cycle(0) / (1 - rate * self.costs.record)
        return max(1.0, rate * self.interval, unpaced)

    def longest_wait(self, rate: float, *, lanes: int = 1) -> float:
        """
        Return the seconds within which the hub knows of a change: a request before it, a page, and its own.

        Args:
            rate: Changes a second of each lane.
            lanes: Of the process; each of the others may take its turn at the processor before both requests.
        """
        batch = self.batch(rate)
        turn = self.costs.request + batch * self.costs.record + self.costs.page
        return self.cycle(batch) + self.request(batch) + 2 * (lanes - 1) * turn

    def drained(self, changes: int) -> float:
        """Return the seconds in which the hub knows of so many changes of one transaction, after a quiet time."""
        requests, took = math.ceil(changes / self.max_records), self.request(self.max_records) + self.costs.page
        if took >= self.interval:
            return requests * took
        at_once = min(requests, math.floor(self.burst / (1 - took / self.interval)))
        return at_once * took + (requests - at_once) * self.interval

    def swept(self, evses: int, rate: float) -> float:
        """Return the seconds that a comparison of the whole lane takes while it also carries so many changes."""
        pages = 2 * math.ceil(evses / PAGE) + 1  # the store with the ledger, the ledger with the store, the end
        request = self.request(self.batch(rate))
        busy = request / self.cycle(self.batch(rate))
        return pages * min(self.costs.page / (1 - busy), self.costs.page + request)

    def lanes(self, rate: float) -> float:
        """Return how many lanes with this rate of changes a process has the processor time for."""
        return 1 / (self.costs.request * rate / self.batch(rate) + self.costs.record * rate)
