"""Measures everything about one fleet on one kind of store, in the order in which it is the least disturbed."""

import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.ceilings import measure_ceilings
from benchmarks.changes import measure_changes
from benchmarks.figures import Row
from benchmarks.fleet import OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.reasserting import measure_reassertion
from benchmarks.scene import Scene
from benchmarks.sizes import Sizes
from benchmarks.stores import Stores
from benchmarks.sweeping import measure_sweeps
from benchmarks.whole import measure_full_load, measure_idle, measure_memory, measure_restarts


def measure_fleet(stores: Stores, sizes: Sizes, size: int, directory: Path) -> Iterator[Row]:
    """Yield all rows of one size; the ceilings come first, in a store and at a hub of their own."""
    apart = directory / "ceilings"
    apart.mkdir()
    ceilings = measure_ceilings(stores, sizes, size, apart)
    fleet = Fleet(OPERATOR, size)
    with ExitStack() as stack:
        url, writer = stack.enter_context(stores.fresh(directory))
        scene = Scene(stores, sizes, directory, url, writer, stack.enter_context(Hub(directory)), fleet)
        began = time.perf_counter()
        writer.insert(fleet)
        filled_in = time.perf_counter() - began
        gc.freeze()  # a collection that walks a million strings would stand in the latencies
        yield from measure_full_load(scene, ceilings, filled_in=filled_in)
        yield measure_restarts(scene)
        with scene.daemon() as daemon:
            yield measure_idle(scene, daemon)
            yield from measure_changes(scene, ceilings, daemon)
            yield measure_memory(scene, daemon)
        if sizes.sweeps:
            yield from measure_sweeps(scene)
            yield from measure_reassertion(scene)
