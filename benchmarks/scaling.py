"""
Says what a lane and a process can carry, and checks it in virtual time: `python -m benchmarks.scaling`.

Prints Markdown. The exit code is 1 when what was seen is worse than what was computed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Final

from benchmarks.capacity import Capacity, Costs
from benchmarks.figures import quantile
from benchmarks.virtual import SWEEP_EVERY, VirtualSite
from oicp_adapter.sync.model import Policy
from reliability.seeds.bench import Bench, bench

TOLERANCE: Final = 1.10
"""What is seen may be worse than what was computed by so much: lanes look, renew and assert anew in between."""

CHANGES_A_DAY: Final = 20
"""Changes of one EVSE in a day, for how many EVSEs a rate stands: some five sessions, four words each."""

USUAL_RATE: Final = 100
"""Changes a second of a large lane: of half a million EVSEs."""

DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was computed, and seen in virtual time; both in seconds."""

    what: str
    computed: float
    seen: float

    @property
    def holds(self) -> bool:
        """Whether what was seen is no worse than what was computed."""
        return self.seen <= self.computed * TOLERANCE


def check(made: Bench, capacity: Capacity, *, evses: int, seconds: float) -> Iterator[Check]:
    """Yield what one lane does at a tenth and at most of what it can carry, then what several do in one process."""
    policy = Policy(
        max_records=capacity.max_records,
        requests_per_minute=capacity.requests_per_minute,
        full_load_at="03:00",
        reassert_every=timedelta(days=1),
    )
    one = VirtualSite(made, capacity.costs, policy, lanes=1, evses=evses)
    one.settle()
    most = capacity.changes_per_second
    for offered in (0.1 * most, 0.9 * most):
        del one.sweeps[:]
        took = one.offer(offered, max(seconds, 3 * (SWEEP_EVERY.total_seconds() + capacity.swept(evses, offered))))
        what = f"one lane, {evses:,} EVSEs, {offered:,.0f} changes/s"
        yield Check(f"{what}: p99 of the propagation", capacity.longest_wait(offered), quantile(took, 0.99))
        yield Check(f"{what}: a whole sweep", capacity.swept(evses, offered), median(one.sweeps))
    burst = min(evses, round(50 * most))
    yield Check(f"one lane, {burst:,} changes in one transaction", capacity.drained(burst), one.drain(burst))
    one.close()

    lanes = max(2, int(capacity.lanes(USUAL_RATE) / 2))
    several = VirtualSite(made, capacity.costs, policy, lanes=lanes, evses=evses // lanes)
    several.settle()
    yield Check(
        f"{lanes} lanes in a process, {evses // lanes:,} EVSEs and {USUAL_RATE} changes/s each: p99 of the propagation",
        capacity.longest_wait(USUAL_RATE, lanes=lanes),
        quantile(several.offer(USUAL_RATE, seconds), 0.99),
    )
    several.close()


def tables(costs: Costs, *, limit: int) -> Iterator[str]:
    """Yield the lines of what is computed for round trips and batches."""
    heads = (
        "round trip, ms", "records in a request", "changes/s of a lane", "EVSEs that change 20 times a day",
        "1 M changes at once, s", f"lanes of a core at {USUAL_RATE} changes/s",
    )  # fmt: skip
    yield f"| {' | '.join(heads)} |"
    yield "|---:" * len(heads) + "|"
    for round_trip in (0.02, 0.1, 0.5):
        for records in (100, 1000, 10_000):
            capacity = Capacity(Costs(round_trip, costs.request, costs.record, costs.page), limit, records)
            rate = capacity.changes_per_second
            yield (
                f"| {round_trip * 1000:.0f} | {records:,} | {rate:,.0f} | {rate * DAY / CHANGES_A_DAY / 1e6:,.0f} M"
                f" | {capacity.drained(1_000_000):,.0f} | {capacity.lanes(USUAL_RATE):,.0f} |"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--evses", type=int, default=100_000, help="EVSEs of the fleet; default 100000")
    parser.add_argument("--seconds", type=float, default=20, help="of virtual time for each rate; default 20")
    parser.add_argument("--limit", type=int, default=1800, help="requests a minute; default 1800")
    parser.add_argument("--round-trip", type=float, default=0.02, help="seconds; default 0.02")
    parser.add_argument("--request", type=float, default=0.007, help="seconds of work a request; default 0.007")
    parser.add_argument("--record", type=float, default=0.00007, help="the same a record; default 0.00007")
    parser.add_argument("--page", type=float, default=0.012, help="the same a page of a sweep; default 0.012")
    given = parser.parse_args(arguments)
    costs = Costs(given.round_trip, given.request, given.record, given.page)
    print(*tables(costs, limit=given.limit), sep="\n")
    print("\n| in virtual time | computed, s | seen, s | |\n|---|---:|---:|---|")
    failed = False
    with bench() as made:
        capacity = Capacity(costs, given.limit, 1000)
        for each in check(made, capacity, evses=given.evses, seconds=given.seconds):
            print(
                f"| {each.what} | {each.computed:.3f} | {each.seen:.3f} | {'' if each.holds else 'MISSED'} |",
                flush=True,
            )
            failed = failed or not each.holds
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
