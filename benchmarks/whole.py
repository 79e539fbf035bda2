"""Measures a whole fleet: its synchronisation from an empty hub, the memory that takes, and what idling costs."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import bare
from benchmarks.changes import PATIENCE, settled
from benchmarks.daemon import AdapterDaemon
from benchmarks.figures import MeasurementError, Row
from benchmarks.fleet import BARE_OPERATOR, OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.sizes import Sizes
from benchmarks.stores import Stores

IDLE_GOAL: Final = 0.02
"""Share of a core that an idle daemon may use."""

SWEEP_EVERY: Final = 10.0
"""Seconds between full comparisons while their cost is measured."""

USUAL_SWEEP: Final = 300.0
"""Seconds between full comparisons by default; their cost is spread over it."""

_BECOME_IDLE: Final = 3.0


def measure_whole(stores: Stores, sizes: Sizes, size: int, directory: Path) -> Iterator[Row]:
    """Yield the rows about one fleet on one kind of store."""
    fleet = Fleet(OPERATOR, size)
    with ExitStack() as stack:
        url, writer = stack.enter_context(stores.fresh(directory))
        writer.insert(fleet)
        hub = stack.enter_context(Hub(directory))
        with AdapterDaemon(directory, hub=hub, store_url=url) as daemon:
            hub.wait_for_records(size, patience=PATIENCE, daemon=daemon)
            equal_after = settled(writer, hub, fleet) - daemon.started_at
            ready_after, peak = daemon.ready_after, daemon.peak_memory()
            idles = size == sizes.syncs[-1]
            idle = _idle(daemon, sizes.idle) if idles else 0.0
        ceiling = bare.load(hub, Fleet(BARE_OPERATOR, size))
        yield Row(
            stores.name,
            f"{size:,} EVSEs to an empty hub: seconds from the daemon's start",
            f"{equal_after:.2f}",
            f"{ceiling:.2f}",
            details={"process_ready_after": ready_after, "equal_after": equal_after, "bare_seconds": ceiling},
        )
        yield Row(stores.name, f"{size:,} EVSEs: peak memory of the daemon, MiB", f"{peak:.0f}", details={"mib": peak})
        if idles:
            sweep = _sweep_cost(directory, hub, url, idle, sizes.idle) if sizes.sweeps else None
            yield _idle_row(stores.name, size, idle, sweep, sizes.idle)


def _idle(daemon: AdapterDaemon, seconds: float) -> float:
    """Return the share of a core that a daemon uses while nothing happens."""
    time.sleep(_BECOME_IDLE)
    used, began = daemon.processor_time(), time.perf_counter()
    time.sleep(seconds)
    return (daemon.processor_time() - used) / (time.perf_counter() - began)


def _sweep_cost(directory: Path, hub: Hub, url: str, idle: float, seconds: float) -> float:
    """Return the seconds of processor time of one full comparison that finds nothing."""
    with AdapterDaemon(directory, hub=hub, store_url=url, sweep_every=SWEEP_EVERY) as daemon:
        time.sleep(_BECOME_IDLE)
        used, began, swept = daemon.processor_time(), time.perf_counter(), _sweeps(daemon)
        time.sleep(max(seconds, 2.5 * SWEEP_EVERY))
        took, sweeps = time.perf_counter() - began, _sweeps(daemon) - swept
        if not sweeps:
            raise MeasurementError("no full comparison was seen in the daemon's log")
        return max(0.0, daemon.processor_time() - used - idle * took) / sweeps


def _sweeps(daemon: AdapterDaemon) -> int:
    return daemon.log_text().count("sweep.done")


def _idle_row(store: str, size: int, idle: float, sweep: float | None, seconds: float) -> Row:
    share = idle + (sweep or 0.0) / USUAL_SWEEP
    with_sweep = "" if sweep is None else f", {100 * share:.2f} with a sweep of {sweep:.2f} s each {USUAL_SWEEP:.0f} s"
    return Row(
        store,
        f"{size:,} EVSEs idle over {seconds:.0f} s: % of a core",
        f"{100 * idle:.2f}{with_sweep}",
        "",
        f"< {100 * IDLE_GOAL:.0f}",
        share < IDLE_GOAL,
        {"idle_share": idle, "sweep_seconds": sweep, "share_with_sweeps": share},
    )
