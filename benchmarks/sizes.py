"""Says how much is measured: in a full run, and in a quick one that fits into CI."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    How much is measured.

    Attributes:
        fleet: EVSEs while changes are measured; no change is measured twice on one of them.
        runs: Runs of each measurement that has several.
        propagation: Seconds of one run at 100 changes a second.
        sustained: Changes a second that are offered, and for how many seconds.
        burst: Changes in one transaction.
        syncs: Fleets whose full synchronisation is measured; the last one idles afterwards.
        idle: Seconds over which an idle daemon is watched.
        sweeps: Whether the cost of a full comparison is measured too.
    """

    fleet: int
    runs: int
    propagation: float
    sustained: tuple[tuple[int, float], ...]
    burst: int
    syncs: tuple[int, ...]
    idle: float
    sweeps: bool


FULL: Final = Sizes(
    fleet=50_000,
    runs=3,
    propagation=20.0,
    sustained=((1000, 8.0), (5000, 8.0)),
    burst=50_000,
    syncs=(10_000, 100_000),
    idle=30.0,
    sweeps=True,
)

QUICK: Final = Sizes(
    fleet=5_000,
    runs=1,
    propagation=3.0,
    sustained=(),
    burst=5_000,
    syncs=(5_000,),
    idle=5.0,
    sweeps=False,
)
