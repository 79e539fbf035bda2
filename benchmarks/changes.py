"""
Measures how changes travel: their propagation at a steady rate, and how fast a burst drains.

The simulator notes the instant at which it performed each record; the writer notes the instant after its commit; both
read the clock of this host.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Final

from benchmarks import bare
from benchmarks.ceilings import DELAYS, Ceilings
from benchmarks.children import Child
from benchmarks.daemon import AdapterDaemon
from benchmarks.figures import Latencies, Row, quantile, typical
from benchmarks.fleet import BARE_OPERATOR, Fleet
from benchmarks.hub import times
from benchmarks.scene import Scene
from benchmarks.sizes import Steady

ROUND_TRIP: Final = DELAYS[-1]
"""Seconds after which the hub answers where a real one is imitated."""

BURST_GOALS: Final = {0.0: 40_000, ROUND_TRIP: 20_000}
"""Records a second that a burst should reach on PostgreSQL, by the hub's delay."""

BURST: Final = 200
"""Requests that the daemon's pacing lets go at once; each one used comes back after `INTERVAL`."""

INTERVAL: Final = 0.034
"""Seconds between two requests of a daemon whose burst is used up."""

COMMITS: Final = 100
"""Transactions a second that the writer makes; at higher rates each holds several changes."""

_LEAST_JUDGED: Final = 10_000
"""Changes that a burst must hold for its goal to mean anything."""


def measure_changes(scene: Scene, ceilings: Ceilings, daemon: AdapterDaemon) -> Iterator[Row]:
    """Yield the rows about propagation and bursts."""
    scene.hub.answer_after(ROUND_TRIP)
    bare_fleet = Fleet(BARE_OPERATOR, min(scene.size, scene.sizes.burst))
    bare.load(scene.hub, bare_fleet)
    for steady in scene.sizes.steady:
        yield from _steady(scene, daemon, bare_fleet, steady)
    for delay in reversed(DELAYS):
        scene.hub.answer_after(delay)
        yield _burst(scene, ceilings, daemon, delay)


def offer(scene: Scene, child: Child, rate: int, seconds: float) -> tuple[Latencies, Sequence[float]]:
    """Commit changes at a steady rate; return how they travelled, and the milliseconds of the commits, ordered."""
    total, each = int(rate * seconds), max(1, rate // COMMITS)
    before = scene.hub.counters()["records"]
    committed: dict[str, float] = {}
    commits: list[float] = []
    started = time.time() + 0.05
    for number in range(total // each):
        time.sleep(max(0.0, started + number / COMMITS - time.time()))
        changes = scene.fleet.change(each)
        began = time.perf_counter()
        at = scene.writer.update(changes)
        commits.append(1000 * (time.perf_counter() - began))
        committed.update(dict.fromkeys((evse_id for evse_id, _, _ in changes), at))
    scene.hub.wait_for_records(before + len(committed), patience=scene.patience, daemon=child)
    return Latencies.of(committed, times(scene.settled(), committed)), sorted(commits)


def drain(scene: Scene, child: Child, count: int) -> float:
    """Commit changes in one transaction; return the seconds from its commit to the hub's receipt of the last."""
    before = scene.hub.counters()["records"]
    changes = scene.fleet.change(count)
    committed = scene.writer.update(changes)
    scene.hub.wait_for_records(before + len(changes), patience=scene.patience, daemon=child)
    return max(times(scene.settled(), [evse_id for evse_id, _, _ in changes]).values()) - committed


def rest(scene: Scene) -> None:
    """Let the daemon's pacing have its whole burst back, so that measurements do not depend on their order."""
    time.sleep(INTERVAL * min(BURST, scene.requests))
    scene.requests = 0


def _steady(scene: Scene, daemon: AdapterDaemon, bare_fleet: Fleet, steady: Steady) -> Iterator[Row]:
    """Yield rows about how changes travel at a steady rate, what that costs, and what the writer feels of it."""
    rest(scene)
    requests, used = scene.hub.counters()["requests"], daemon.processor_time()
    outcomes = [offer(scene, daemon, steady.rate, steady.seconds) for _ in range(scene.sizes.runs)]
    scene.requests = scene.hub.counters()["requests"] - requests
    cost = 1000 * (daemon.processor_time() - used) / scene.requests
    sockets = [
        bare.propagation(scene.hub, bare_fleet, rate=steady.rate, seconds=steady.seconds)
        for _ in range(scene.sizes.runs)
    ]
    runs, limit = [run for run, _ in outcomes], 1000 * (2 * ROUND_TRIP + steady.allowance)
    offered, ours = f"{steady.rate:,} changes/s, hub {1000 * ROUND_TRIP:.0f} ms", typical(runs)
    yield scene.row(
        f"{offered}: p50 / p95 / p99 / max, ms (bare socket)",
        str(ours),
        beside=str(typical(sockets)),
        goal=f"p99 < {limit:.0f}",
        met=ours.p99 < limit,
        details={"runs": [asdict(run) for run in runs], "sockets": [asdict(run) for run in sockets]},
    )
    commits = sorted(took for _, of_run in outcomes for took in of_run)
    yield scene.row(
        f"{offered}: the daemon's processor time a request, ms",
        f"{cost:.1f}",
        details={"requests": scene.requests, "processor_ms": cost},
    )
    yield scene.row(
        f"{offered}: the writer's own commits, p50 / p99, ms",
        f"{quantile(commits, 0.5):.1f} / {quantile(commits, 0.99):.1f}",
    )


def _burst(scene: Scene, ceilings: Ceilings, daemon: AdapterDaemon, delay: float) -> Row:
    count, took = min(scene.size, scene.sizes.burst), []
    for _ in range(scene.sizes.runs):
        rest(scene)
        requests = scene.hub.counters()["requests"]
        took.append(drain(scene, daemon, count))
        scene.requests = scene.hub.counters()["requests"] - requests
    speed, goal = count / median(took), BURST_GOALS[delay]
    socket, prototype = ceilings.socket[delay], ceilings.prototype[delay]
    judged = scene.stores.processor_time() is not None and count >= _LEAST_JUDGED
    return scene.row(
        f"burst of {scene.sizes.burst:,} (or the fleet), hub {'at once' if not delay else f'{1000 * delay:.0f} ms'}:"
        " records/s (prototype, bare socket)",
        f"{speed:,.0f}",
        beside=f"{prototype:,.0f}, {socket:,.0f}",
        goal=f"at least {goal:,}" if judged else "",
        met=speed >= goal if judged else None,
        details={"seconds": took, "share_of_prototype": speed / prototype, "share_of_socket": speed / socket},
    )
