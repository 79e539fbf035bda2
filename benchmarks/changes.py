"""
Measures how changes travel: their propagation at a steady rate, and how fast a burst drains.

One store, one hub and one daemon for all of it. The simulator notes the instant at which it performed each record; the
writer notes the instant after its commit; both read the clock of this host.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import bare
from benchmarks.daemon import AdapterDaemon
from benchmarks.figures import Latencies, Row, quantile, typical
from benchmarks.fleet import BARE_OPERATOR, OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.sizes import Sizes
from benchmarks.stores import Stores, Writer, wait_for_no_hints

ROUND_TRIP: Final = 0.020
"""Seconds after which the hub answers where a real one is imitated."""

ALLOWANCE: Final = 0.060
"""What the goal allows beyond two round trips, in seconds."""

BURST: Final = 200
"""Requests that the daemon's pacing lets go at once; each one used comes back after `INTERVAL`."""

INTERVAL: Final = 0.034
"""Seconds between two requests of a daemon whose burst is used up."""

COMMITS: Final = 100
"""Transactions a second that the writer makes; at higher rates each holds several changes."""

_WITHIN: Final = 300.0


class Changes:
    """A daemon at work, a hub, and a bare client beside it."""

    def __init__(self, stores: Stores, sizes: Sizes, directory: Path, stack: ExitStack) -> None:
        """Start everything and load both fleets; *stack* ends it."""
        self._store = stores.name
        self._sizes = sizes
        self._used = 0
        url, self._writer = stack.enter_context(stores.fresh(directory))
        self._fleet, self._bare_fleet = Fleet(OPERATOR, sizes.fleet), Fleet(BARE_OPERATOR, sizes.fleet)
        self._writer.insert(self._fleet)
        self._hub = stack.enter_context(Hub(directory))
        self._daemon = stack.enter_context(AdapterDaemon(directory, hub=self._hub, store_url=url))
        self._hub.wait_for_records(sizes.fleet, within=_WITHIN, alive=self._daemon.require_alive)
        self._settle()
        self._bare = stack.enter_context(bare.BareClient(self._hub))
        bare.load(self._bare, self._bare_fleet)

    def rows(self) -> Sequence[Row]:
        """Measure all of it."""
        self._hub.answer_after(ROUND_TRIP)
        measured = [self._steady(COMMITS, self._sizes.propagation, self._sizes.runs)]
        measured += [self._burst(delay) for delay in (ROUND_TRIP, 0.0)]
        self._hub.answer_after(ROUND_TRIP)
        measured += [self._steady(rate, seconds, 1) for rate, seconds in self._sizes.sustained]
        self._hub.answer_after(0.0)
        measured += [self._steady(rate, seconds, 1, delay=0.0) for rate, seconds in self._sizes.sustained]
        return measured

    def _steady(self, rate: int, seconds: float, runs: int, *, delay: float = ROUND_TRIP) -> Row:
        self._rest()
        requests, used, began = self._hub.counters()["requests"], self._daemon.processor_time(), time.perf_counter()
        outcomes = [self._offer(rate, seconds) for _ in range(runs)]
        busy = (self._daemon.processor_time() - used) / (time.perf_counter() - began)
        self._used = self._hub.counters()["requests"] - requests
        ceilings = [
            bare.propagation(self._bare, self._hub, self._bare_fleet, rate=rate, seconds=seconds) for _ in range(runs)
        ]
        ours, theirs = typical([outcome for outcome, _ in outcomes]), typical(ceilings)
        limit = 1000 * (2 * delay + ALLOWANCE)
        judged = rate == COMMITS
        return Row(
            self._store,
            f"{rate} changes/s, hub {1000 * delay:.0f} ms: p50 / p95 / p99 / max, ms",
            str(ours),
            str(theirs),
            f"p99 < {limit:.0f}" if judged else "",
            ours.p99 < limit if judged else None,
            {
                "runs": [asdict(outcome) for outcome, _ in outcomes],
                "ceilings": [asdict(ceiling) for ceiling in ceilings],
                "commit_ms": [{"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)} for _, took in outcomes],
                "requests": self._used,
                "daemon_core_share": busy,
            },
        )

    def _offer(self, rate: int, seconds: float) -> tuple[Latencies, Sequence[float]]:
        """Commit changes at a steady rate; return how they travelled, and the milliseconds of the commits, ordered."""
        total = int(rate * seconds)
        before = self._hub.counters()["records"]
        committed: dict[str, float] = {}
        commits: list[float] = []
        each = rate // COMMITS
        started = time.time() + 0.05
        for number in range(total // each):
            changes = self._fleet.change(each)
            time.sleep(max(0.0, started + number / COMMITS - time.time()))
            began = time.perf_counter()
            at = self._writer.update(changes)
            commits.append(1000 * (time.perf_counter() - began))
            committed.update((evse_id, at) for evse_id, _, _ in changes)
        self._hub.wait_for_records(before + len(committed), within=_WITHIN, alive=self._daemon.require_alive)
        self._settle()
        return Latencies.of(committed, bare.received(self._hub, OPERATOR, committed)), sorted(commits)

    def _burst(self, delay: float) -> Row:
        self._hub.answer_after(delay)
        took = [self._drain() for _ in range(self._sizes.runs)]
        best = [bare.drain(self._bare, self._bare_fleet, self._sizes.burst) for _ in range(self._sizes.runs)]
        speed, ceiling = self._sizes.burst / median(took), self._sizes.burst / median(best)
        return Row(
            self._store,
            f"burst of {self._sizes.burst:,}, hub {'at once' if not delay else f'{1000 * delay:.0f} ms'}: records/s",
            f"{speed:,.0f}",
            f"{ceiling:,.0f}",
            details={"seconds": took, "bare_seconds": best, "share_of_ceiling": speed / ceiling},
        )

    def _drain(self) -> float:
        """Commit a burst in one transaction; return the seconds from its commit to the hub's receipt of the last."""
        self._rest()
        before = self._hub.counters()
        changes = self._fleet.change(self._sizes.burst)
        committed = self._writer.update(changes)
        self._hub.wait_for_records(before["records"] + len(changes), within=_WITHIN, alive=self._daemon.require_alive)
        self._settle()
        self._used = self._hub.counters()["requests"] - before["requests"]
        arrived = bare.received(self._hub, OPERATOR, [evse_id for evse_id, _, _ in changes])
        return max(arrived.values()) - committed

    def _rest(self) -> None:
        """Let the daemon's pacing have its whole burst back, so that measurements do not depend on their order."""
        time.sleep(INTERVAL * min(BURST, self._used))

    def _settle(self) -> None:
        wait_for_no_hints(self._writer, within=_WITHIN)
        self._hub.wait_until_equal(OPERATOR, self._fleet.expected(), within=30.0)


def measure_changes(stores: Stores, sizes: Sizes, directory: Path) -> Sequence[Row]:
    """Return the rows about propagation, sustained load and bursts on one kind of store."""
    with ExitStack() as stack:
        return Changes(stores, sizes, directory, stack).rows()


def settled(writer: Writer, hub: Hub, fleet: Fleet) -> float:
    """Wait until nothing is left to look at and the hub equals the store; return the hub's last receipt."""
    wait_for_no_hints(writer, within=_WITHIN)
    held = hub.wait_until_equal(OPERATOR, fleet.expected(), within=30.0)
    return max(one.received_at for one in held.values())
