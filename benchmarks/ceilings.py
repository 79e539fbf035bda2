"""
Measures what this machine, its database and the hub can do without an adapter: what its figures are compared with.

Everything happens in a store and at a hub of their own, filled as the adapter's will be, and before it starts.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import bare
from benchmarks.figures import MeasurementError
from benchmarks.fleet import BARE_OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.prototype import Database, database, drain, read_all
from benchmarks.sizes import Sizes
from benchmarks.stores import Stores, Writer

DELAYS: Final = (0.0, 0.020)
"""Seconds after which the hub answers: at once, and as a real one."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """
    The ceilings of one fleet on one store.

    Attributes:
        read: Seconds to read all rows, two columns, with the driver alone.
        post: Seconds in which the bare client posts them all in one prepared body.
        ledger: Seconds of one statement that writes the ledger, and its commit.
        socket: Records a second of a burst from the bare client, by the hub's delay.
        prototype: The same from a loop that takes its changes from the store and keeps books.
    """

    read: float
    post: float
    ledger: float
    socket: Mapping[float, float]
    prototype: Mapping[float, float]

    @property
    def full_load(self) -> float:
        """Seconds that a full load takes at least."""
        return self.read + self.post + self.ledger

    def as_json(self) -> dict[str, object]:
        """Return all of it for the JSON."""
        return asdict(self)


def measure_ceilings(stores: Stores, sizes: Sizes, size: int, directory: Path) -> Ceilings:
    """Measure all of them for a fleet of this size."""
    fleet, burst = Fleet(BARE_OPERATOR, size), min(size, sizes.burst)
    with (
        stores.fresh(directory) as (url, writer),
        Hub(directory) as hub,
        database(url) as rows,
    ):
        writer.insert(fleet)
        read = median(read_all(rows) for _ in range(sizes.runs))
        ledger = _seconds(rows.write_ledger)
        rows.prepare()
        post = bare.load(hub, fleet)
        prototype = {delay: burst / _drained(hub, fleet, writer, rows, sizes, delay=delay) for delay in DELAYS}
        hub.wait_until_equal(BARE_OPERATOR, fleet.expected(), within=10.0)
        socket = {delay: burst / _posted(hub, fleet, sizes, delay=delay) for delay in DELAYS}
    return Ceilings(read, post, ledger, socket, prototype)


def _drained(hub: Hub, fleet: Fleet, writer: Writer, rows: Database, sizes: Sizes, *, delay: float) -> float:
    """Return the median seconds that the prototype needs for a burst."""
    burst = min(len(fleet.evse_ids), sizes.burst)
    hub.answer_after(delay)
    took = []
    for _ in range(sizes.runs):
        writer.update(fleet.change(burst))
        with bare.BareClient(hub) as client:
            began = time.perf_counter()
            pushed = drain(rows, client)
            took.append(time.perf_counter() - began)
        if pushed != burst:
            raise MeasurementError(f"the prototype pushed {pushed} of {burst} changes")
    return median(took)


def _posted(hub: Hub, fleet: Fleet, sizes: Sizes, *, delay: float) -> float:
    hub.answer_after(delay)
    burst = min(len(fleet.evse_ids), sizes.burst)
    took: Sequence[float] = [bare.drain(hub, fleet, burst) for _ in range(sizes.runs)]
    return median(took)


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
