"""Measures re-assertion at its worst, the whole fleet due at once, and what propagation suffers meanwhile."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from benchmarks.changes import ROUND_TRIP, offer, rest
from benchmarks.figures import Row
from benchmarks.scene import Scene

LEAST: Final = 50_000
"""EVSEs; a smaller fleet is asserted anew before a change could meet it."""


def measure_reassertion(scene: Scene) -> Iterator[Row]:
    """Yield the rows about a fleet of which every EVSE is due to be asserted anew."""
    if scene.size < LEAST:
        return
    scene.hub.answer_after(ROUND_TRIP)
    rest(scene)
    steady = scene.sizes.steady[0]
    with scene.daemon() as daemon:
        daemon.wait_until_quiet(within=scene.patience)  # the sweep with which it begins is over
        before = scene.hub.counters()["records"]
        scene.writer.make_due()
        scene.hub.wait_for_records(before + 1, patience=scene.patience, daemon=daemon)
        began, first, used = time.perf_counter(), scene.hub.counters(), daemon.processor_time()
        busy, _ = offer(scene, daemon, steady.rate, min(steady.seconds, scene.size / LEAST))  # over before the fleet is
        took, last, used = time.perf_counter() - began, scene.hub.counters(), daemon.processor_time() - used
    records, requests = (last[name] - first[name] for name in ("records", "requests"))
    limit = 1000 * (2 * ROUND_TRIP + steady.allowance)
    yield scene.row(
        f"{steady.rate:,} changes/s while every EVSE is asserted anew: p50 / p95 / p99 / max, ms (records/s meanwhile)",
        str(busy),
        beside=f"{records / took:,.0f}",
        goal=f"p99 < {limit:.0f}",
        met=busy.p99 < limit,
        details={"busy": asdict(busy), "seconds": took, "records": records, "requests": requests, "processor": used},
    )
