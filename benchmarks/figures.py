"""
Holds what is measured, in the form in which it is printed and written.

1. Latencies are in milliseconds, durations in seconds, memory in megabytes of a million bytes.
2. Of several runs the one with the median p99 is told, whole; all of them stand in the JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median_low
from typing import Final, Self

MEASUREMENT_FAILED: Final = 1
"""Exit code when something could not be measured, or the hub did not become equal to the store."""


class MeasurementError(Exception):
    """A figure that would mean nothing: something did not start, did not end, or did not become equal."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """
    How long changes took, in milliseconds.

    Attributes:
        changes: How many were measured.
        late: When the last one arrived after the last one was committed; a growing backlog shows here.
    """

    changes: int
    p50: float
    p95: float
    p99: float
    most: float
    late: float

    @classmethod
    def of(cls, committed: Mapping[str, float], received: Mapping[str, float]) -> Self:
        """
        Compare instants, both in seconds since 1970 by one host's clock.

        Raises:
            MeasurementError: A change never arrived.
        """
        missing = committed.keys() - received.keys()
        if missing or not committed:
            raise MeasurementError(f"{len(missing)} of {len(committed)} changes never arrived")
        took = sorted(1000 * (received[evse] - at) for evse, at in committed.items())
        late = max(received[evse] for evse in committed) - max(committed.values())
        p50, p95, p99 = (quantile(took, share) for share in (0.5, 0.95, 0.99))
        return cls(len(took), p50, p95, p99, took[-1], 1000 * late)

    def __str__(self) -> str:
        return " / ".join(f"{value:.0f}" for value in (self.p50, self.p95, self.p99, self.most))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that *share* of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def typical(runs: Sequence[Latencies]) -> Latencies:
    """Return the run whose p99 is the median."""
    wanted = median_low(run.p99 for run in runs)
    return next(run for run in runs if run.p99 == wanted)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One cell of the table: what was measured of one store with a fleet of one size.

    Attributes:
        beside: What the ceiling, or the peer, reached in the same run; empty: there is none to compare with.
        goal: In words; empty: none was set.
        met: Whether the goal was reached; None: there is none.
        details: Everything behind it, for the JSON.
    """

    store: str
    size: int
    what: str
    measured: str
    beside: str = ""
    goal: str = ""
    met: bool | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the row as it is written."""
        return asdict(self)
