"""Runs seeds from the command line: one with its trace, or many over all processors, with what was seen at the end."""

import argparse
import sys
import time
from collections import Counter

from reliability.seeds.many import again, processors, run_seeds, spread, told
from reliability.seeds.run import NAMES

EVERY_FAULT_FIRES = 1000
"""Over so many seeds no injector may have stayed without effect."""


def main() -> int:
    """Run the seeds asked for; 1 if an invariant did not hold, or a fault never took effect over many of them."""
    parser = argparse.ArgumentParser(prog="python -m reliability.seeds", description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed; default 0")
    parser.add_argument("--count", type=int, default=1000, help="how many; 100000 takes hours; default 1000")
    parser.add_argument("--jobs", type=int, default=processors(), help="processes; default: all processors")
    parser.add_argument("--seed", type=int, help="run this seed only")
    parser.add_argument("--trace", action="store_true", help="print the trace of that seed")
    wanted = parser.parse_args()
    if wanted.seed is None:
        return report(wanted.first, wanted.count, wanted.jobs)
    (outcome,) = run_seeds([wanted.seed], traced=True)
    if wanted.trace or outcome.violation:
        print(told(outcome))
    print(outcome.violation or f"seed {wanted.seed}: all invariants hold; {', '.join(outcome.fired)}")
    return 1 if outcome.violation else 0


def report(first: int, count: int, jobs: int) -> int:
    """Run many seeds, tell of each that fails at once, and at the end what was seen."""
    began = time.monotonic()
    fired = Counter(dict.fromkeys(NAMES, 0))
    delays: Counter[str] = Counter()
    failed, requests, exceptions, slowest = 0, 0, 0, (0.0, 0.0, 0)
    for outcome in spread(range(first, first + count), jobs):
        fired.update(outcome.fired)
        requests += outcome.requests
        exceptions += outcome.exceptions > 0
        slowest = max(slowest, (outcome.healed / max(outcome.bound, 1.0), outcome.healed, outcome.seed))
        delays |= Counter(outcome.delays)
        if outcome.violation:
            failed += 1
            print(f"seed {outcome.seed}: {outcome.violation[:400]}\n  again: {again(outcome.seed)}", flush=True)
    took = time.monotonic() - began
    for name, times in sorted(fired.items()):
        print(f"{times:8} {name}")
    for kind, longest in sorted(delays.items()):
        print(f"healthy changes waited for poison {kind}: {longest:.1f} s at most")
    never = sorted(name for name, times in fired.items() if not times)
    print(f"healed after {slowest[1]:.0f} s at the slowest, {slowest[0]:.0%} of its bound (seed {slowest[2]})")
    print(f"with quarantined or held EVSEs at the end: {exceptions} seeds; faults that never took effect: {never}")
    print(f"{count} seeds, {requests} requests, {failed} violations, {took:.0f} s, {count / took:.1f} seeds/s")
    return 1 if failed or (never and count >= EVERY_FAULT_FIRES) else 0


if __name__ == "__main__":
    sys.exit(main())
