"""Says how much is measured: in a full run, and in a quick one that fits into CI."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Steady:
    """
    Changes at a steady rate.

    Attributes:
        rate: Changes a second.
        seconds: Of one run.
        allowance: What the goal for the p99 allows beyond two round trips, in seconds.
    """

    rate: int
    seconds: float
    allowance: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    How much is measured.

    Attributes:
        fleets: EVSEs; everything is measured with each, in a store and at a hub of its own.
        runs: Runs of what varies; the median is told.
        steady: Rates at which the propagation is measured.
        burst: Most changes in one transaction; a smaller fleet changes whole.
        restarts: Starts of a daemon with a full ledger.
        idle: Seconds over which an idle daemon is watched.
        sweeps: Whether the cost of a full comparison is measured too.
        peer_fleet: EVSEs of which a peer keeps the hub informed.
        peer_steady: Rate and time at which it is offered changes.
        peer_at_once: Changes that it then gets in one transaction.
    """

    fleets: tuple[int, ...]
    runs: int
    steady: tuple[Steady, ...]
    burst: int
    restarts: int
    idle: float
    sweeps: bool
    peer_fleet: int
    peer_steady: Steady
    peer_at_once: int


FULL: Final = Sizes(
    fleets=(10_000, 100_000, 1_000_000),
    runs=3,
    steady=(Steady(100, 20.0, 0.025), Steady(1000, 8.0, 0.050)),
    burst=50_000,
    restarts=3,
    idle=30.0,
    sweeps=True,
    peer_fleet=10_000,
    peer_steady=Steady(100, 20.0, 0.025),
    peer_at_once=1000,
)

QUICK: Final = Sizes(
    fleets=(5_000,),
    runs=1,
    steady=(Steady(100, 2.0, 0.025), Steady(1000, 1.0, 0.050)),
    burst=5_000,
    restarts=1,
    idle=2.0,
    sweeps=False,
    peer_fleet=5_000,
    peer_steady=Steady(100, 1.0, 0.025),
    peer_at_once=50,
)
