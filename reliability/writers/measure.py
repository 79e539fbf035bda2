"""
Measures what the adapter costs a writer: the same transactions in three stores, in turns, by the same writers.

1. The rounds of all variants alternate, each round with its own seed, which is the same for all of them: what disturbs
   the machine disturbs all alike. The order of the variants turns from round to round.
2. Before a store's turn ends the daemon has caught up, so that its work falls into its own store's turn alone.
3. A ratio is the median over the rounds of (this variant's quantile / that of the bare store in the same round).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from reliability.writers.crew import Crew, Written

VARIANTS: Final = ("bare", "triggers", "adapter")
SHARES: Final = (0.50, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Load:
    """
    What writers do in a round.

    Attributes:
        writers: How many write at once.
        transactions: Of each of them.
        pause: Seconds between the beginnings of two transactions of one writer.
    """

    name: str
    kind: str
    writers: int
    transactions: int
    pause: float
    order: str = "sorted"

    def shortened(self, share: float) -> "Load":
        return Load(self.name, self.kind, self.writers, max(5, int(self.transactions * share)), self.pause, self.order)


LOADS: Final = (
    Load("one row, 1 writer", "single", 1, 100, 0.02),
    Load("1-6 rows of each table, 8 writers", "storm", 8, 30, 0.1),
    Load("all statuses in one statement, 1 writer", "bulk", 1, 15, 0.1),
)


@dataclass(slots=True)
class Figures:
    """What was measured of one load in one variant, a quantile of each round in milliseconds."""

    transactions: int = 0
    errors: int = 0
    rounds: Mapping[float, list[float]] = field(default_factory=lambda: {share: [] for share in SHARES})

    def add(self, written: Written) -> None:
        self.transactions += len(written.took)
        self.errors += len(written.errors)
        ordered = sorted(written.took)
        for share, values in self.rounds.items():
            values.append(ordered[min(len(ordered) - 1, int(share * len(ordered)))])

    def typical(self, share: float) -> float:
        """Return the median of a quantile over the rounds."""
        return median(self.rounds[share])

    def ratio(self, bare: "Figures", share: float) -> float:
        """Return by how much a quantile is longer than in the bare store."""
        return median(mine / other for mine, other in zip(self.rounds[share], bare.rounds[share], strict=True))


def measure(
    urls: Mapping[str, str], crew: Crew, *, fleet: int, rounds: int, share: float, caught_up: Callable[[], None]
) -> Iterator[tuple[Load, Mapping[str, Figures]]]:
    """
    Measure each load in each variant.

    Args:
        urls: Of the store of each variant.
        share: Of each load's transactions that a round has.
        caught_up: Returns when the daemon has nothing more to do.
    """
    for load in LOADS:
        now = load.shortened(share)
        found = {name: Figures() for name in VARIANTS}
        for number in range(-1, rounds):  # the first one warms up
            for turn in range(len(VARIANTS)):
                name = VARIANTS[(turn + number) % len(VARIANTS)]
                written = crew.write(
                    urls[name],
                    kind=now.kind,
                    seed=f"{now.kind}/{number}",
                    fleet=fleet,
                    transactions=now.transactions,
                    order=now.order,
                    pause=now.pause,
                    writers=now.writers,
                )
                if name == "adapter":
                    caught_up()
                if number >= 0:
                    found[name].add(written)
        yield load, found
