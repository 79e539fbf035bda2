"""Measures full comparisons of store and ledger: what one costs, and what propagation suffers while one runs."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from benchmarks.changes import ROUND_TRIP, offer
from benchmarks.daemon import AdapterDaemon
from benchmarks.figures import MeasurementError, Row
from benchmarks.scene import Scene

SWEEP_EVERY: Final = 0.1
"""Seconds between two comparisons while they are measured: one after the other."""

_DONE: Final = "sweep.done"
_COUNTED: Final = 3
"""Comparisons over which the cost is told, and at least so many seconds: the clock of the kernel ticks every 10 ms."""

_COUNTED_FOR: Final = 3.0


def measure_sweeps(scene: Scene) -> Iterator[Row]:
    """Yield the rows about sweeps on a full ledger in which nothing differs."""
    scene.hub.answer_after(ROUND_TRIP)
    steady = scene.sizes.steady[0]
    with scene.daemon() as daemon:
        daemon.wait_until_quiet(within=scene.patience)
        calm, _ = offer(scene, daemon, steady.rate, steady.seconds)
    with scene.daemon(sweep_every=SWEEP_EVERY) as daemon:
        _wait(scene, daemon, 1)  # with which each daemon begins
        yield _cost_row(scene, daemon)
        busy, _ = offer(scene, daemon, steady.rate, steady.seconds)
        swept = len(daemon.told_at(_DONE))
    yield scene.row(
        f"{steady.rate:,} changes/s while sweeps run: p50 / p95 / p99 / max, ms (without)",
        str(busy),
        beside=str(calm),
        details={"busy": asdict(busy), "calm": asdict(calm), "added_p99_ms": busy.p99 - calm.p99, "sweeps": swept},
    )


def _cost_row(scene: Scene, daemon: AdapterDaemon) -> Row:
    """Return the row about the processor time of one sweep; the pauses between two cost next to nothing."""
    own, server, began = daemon.processor_time(), scene.stores.processor_time(), time.perf_counter()
    first = len(daemon.told_at(_DONE))
    sweeps = 0
    while sweeps < 1 or (sweeps < _COUNTED and time.perf_counter() - began < _COUNTED_FOR):
        _wait(scene, daemon, first + sweeps + 1)
        sweeps = len(daemon.told_at(_DONE)) - first
    took = (time.perf_counter() - began) / sweeps
    used = scene.stores.processor_time()
    cost = (daemon.processor_time() - own) / sweeps
    of_server = (used - server) / sweeps if used is not None and server is not None else None
    return scene.row(
        "one sweep: seconds of the daemon's processor time (of the database server's processes)",
        f"{cost:.2f}",
        beside="" if of_server is None else f"{of_server:.2f}",
        details={"processor_seconds": cost, "server_seconds": of_server, "seconds": took, "sweeps": sweeps},
    )


def _wait(scene: Scene, daemon: AdapterDaemon, count: int) -> None:
    end = time.monotonic() + scene.patience
    while len(daemon.told_at(_DONE)) < count:
        daemon.require_alive()
        if time.monotonic() > end:
            raise MeasurementError(f"no full comparison ended in {scene.patience:.0f} s:\n{daemon.log_end()}")
        time.sleep(0.02)
