"""
Measures how changes travel: their propagation at a steady rate, and how fast a burst drains.

One store, one hub and one daemon for all of it. The simulator notes the instant at which it performed each record; the
writer notes the instant after its commit; both read the clock of this host.
"""

import time
from collections.abc import Iterator, Sequence
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

PATIENCE: Final = 60.0
"""Seconds without progress after which a measurement is given up."""

_WITHIN: Final = 300.0


class Changes:
    """A daemon at work, a hub, and a bare client beside it."""

    def __init__(self, stores: Stores, sizes: Sizes, directory: Path, stack: ExitStack) -> None:
        """Start everything and load both fleets; *stack* ends it."""
        self._store = stores.name
        self._sizes = sizes
        self._used = 0
        self._alone: Sequence[float] = ()
        url, self._writer = stack.enter_context(stores.fresh(directory))
        self._fleet, self._bare_fleet = Fleet(OPERATOR, sizes.fleet), Fleet(BARE_OPERATOR, sizes.fleet)
        self._writer.insert(self._fleet)
        self._alone = sorted(self._commit(1)[2] for _ in range(COMMITS))
        self._hub = stack.enter_context(Hub(directory))
        self._daemon = stack.enter_context(AdapterDaemon(directory, hub=self._hub, store_url=url))
        self._hub.wait_for_records(sizes.fleet, patience=PATIENCE, daemon=self._daemon)
        self._settle()
        bare.load(self._hub, self._bare_fleet)

    def rows(self) -> Iterator[Row]:
        """Measure all of it, one after the other."""
        self._hub.answer_after(ROUND_TRIP)
        yield from self._steady(COMMITS, self._sizes.propagation, self._sizes.runs)
        for delay in (ROUND_TRIP, 0.0):
            self._hub.answer_after(delay)
            yield self._burst(delay)
        for delay in (ROUND_TRIP, 0.0):
            self._hub.answer_after(delay)
            for rate, seconds in self._sizes.sustained:
                yield self._steady(rate, seconds, 1, delay=delay)[0]

    def _steady(self, rate: int, seconds: float, runs: int, *, delay: float = ROUND_TRIP) -> Sequence[Row]:
        """Return rows about how changes travel at a steady rate, what that costs, and what the writer feels of it."""
        self._rest()
        requests, used = self._hub.counters()["requests"], self._daemon.processor_time()
        outcomes = [self._offer(rate, seconds) for _ in range(runs)]
        self._used = self._hub.counters()["requests"] - requests
        cost = 1000 * (self._daemon.processor_time() - used) / self._used
        ceilings = [bare.propagation(self._hub, self._bare_fleet, rate=rate, seconds=seconds) for _ in range(runs)]
        commits = sorted(took for _, all_of_run in outcomes for took in all_of_run)
        offered = f"{rate:,} changes/s, hub {1000 * delay:.0f} ms"
        return [
            _travel_row(self._store, offered, [run for run, _ in outcomes], ceilings, delay, judged=rate == COMMITS),
            Row(
                self._store,
                f"{offered}: the daemon's processor time a request, ms",
                f"{cost:.1f}",
                details={"requests": self._used, "processor_ms": cost},
            ),
            Row(
                self._store,
                f"{offered}: the writer's own commits, p50 / p99, ms (ceiling: without a daemon)",
                _commits(commits),
                _commits(self._alone),
            ),
        ]

    def _offer(self, rate: int, seconds: float) -> tuple[Latencies, Sequence[float]]:
        """Commit changes at a steady rate; return how they travelled, and the milliseconds of the commits, ordered."""
        total = int(rate * seconds)
        before = self._hub.counters()["records"]
        committed: dict[str, float] = {}
        commits: list[float] = []
        each = rate // COMMITS
        started = time.time() + 0.05
        for number in range(total // each):
            time.sleep(max(0.0, started + number / COMMITS - time.time()))
            changed, at, took = self._commit(each)
            commits.append(took)
            committed.update(dict.fromkeys(changed, at))
        self._hub.wait_for_records(before + len(committed), patience=PATIENCE, daemon=self._daemon)
        self._settle()
        return Latencies.of(committed, bare.received(self._hub, OPERATOR, committed)), sorted(commits)

    def _commit(self, count: int) -> tuple[Sequence[str], float, float]:
        """Commit changes; return the EVSEs, the instant just after, and the milliseconds that the writer waited."""
        changes = self._fleet.change(count)
        began = time.perf_counter()
        at = self._writer.update(changes)
        return [evse_id for evse_id, _, _ in changes], at, 1000 * (time.perf_counter() - began)

    def _burst(self, delay: float) -> Row:
        took = [self._drain() for _ in range(self._sizes.runs)]
        best = [bare.drain(self._hub, self._bare_fleet, self._sizes.burst) for _ in range(self._sizes.runs)]
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
        self._hub.wait_for_records(before["records"] + len(changes), patience=PATIENCE, daemon=self._daemon)
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


def _travel_row(
    store: str, offered: str, runs: Sequence[Latencies], ceilings: Sequence[Latencies], delay: float, *, judged: bool
) -> Row:
    ours, limit = typical(runs), 1000 * (2 * delay + ALLOWANCE)
    return Row(
        store,
        f"{offered}: p50 / p95 / p99 / max, ms",
        str(ours),
        str(typical(ceilings)),
        f"p99 < {limit:.0f}" if judged else "",
        ours.p99 < limit if judged else None,
        {"runs": [asdict(run) for run in runs], "ceilings": [asdict(run) for run in ceilings]},
    )


def _commits(ordered: Sequence[float]) -> str:
    return f"{quantile(ordered, 0.5):.1f} / {quantile(ordered, 0.99):.1f}"


def measure_changes(stores: Stores, sizes: Sizes, directory: Path) -> Iterator[Row]:
    """Yield the rows about propagation, sustained load and bursts on one kind of store."""
    with ExitStack() as stack:
        yield from Changes(stores, sizes, directory, stack).rows()


def settled(writer: Writer, hub: Hub, fleet: Fleet) -> float:
    """Wait until nothing is left to look at and the hub equals the store; return the hub's last receipt."""
    wait_for_no_hints(writer, within=_WITHIN)
    held = hub.wait_until_equal(OPERATOR, fleet.expected(), within=30.0)
    return max(one.received_at for one in held.values())
