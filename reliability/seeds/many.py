"""Runs many seeds over one bench a process, and knows which of them failed in development."""

import gc
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final

from reliability.seeds.bench import Bench, bench
from reliability.seeds.poison import POISON_EVERY, PoisonRun
from reliability.seeds.run import NAMES, Outcome, Run

COLLECT_EVERY: Final = 20
"""Seeds between two collections of garbage."""

SLICE: Final = 50
"""Seeds that one call of a process runs over one bench."""


def run_seed(made: Bench, seed: int) -> Outcome:
    """Run one seed; each tenth is about nothing but bad records."""
    kind = PoisonRun if seed % POISON_EVERY == POISON_EVERY - 1 else Run
    return kind(made, seed).perform()


def run_seeds(seeds: Iterable[int], *, traced: bool = False) -> list[Outcome]:
    """
    Run seeds in this process.

    Args:
        traced: Keep the trace of each; else only of those that fail.
    """
    outcomes = []
    with bench() as made, _uncollected():
        for number, seed in enumerate(seeds):
            if number % COLLECT_EVERY == 0:
                gc.collect()
            outcome = run_seed(made, seed)
            if not (traced or outcome.violation):
                outcome.lines = ()
            outcomes.append(outcome)
    return outcomes


def spread(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Run seeds over several processes, in order."""
    slices = list(_slices(seeds))
    if jobs < 2 or len(slices) < 2:
        for each in slices:
            yield from run_seeds(each)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for done in pool.map(run_seeds, slices):
            yield from done


def own_seeds(part: int, parts: int, total: int) -> list[int]:
    """Return the seeds of one of several parts: each injector's own seeds are in one part only, see `own_names`."""
    return [seed for seed in range(total) if seed % len(NAMES) % parts == part]


def own_names(part: int, parts: int) -> list[str]:
    """Return the injectors that take part in the runs of a part for certain, each in a tenth of them or so."""
    return NAMES[part::parts]


def again(seed: int) -> str:
    """Return the command that reproduces a seed."""
    return f"python -m reliability.seeds --seed {seed} --trace"


def told(outcome: Outcome) -> str:
    """Return all that is known of a failure: what is violated, how to see it again, and the whole trace."""
    return "\n".join([*outcome.lines, f"seed {outcome.seed}: {outcome.violation}", f"again: {again(outcome.seed)}"])


def processors() -> int:
    """Return how many processes make sense here."""
    return os.cpu_count() or 1


def _slices(seeds: Iterable[int]) -> Iterator[list[int]]:
    every = list(seeds)
    for at in range(0, len(every), SLICE):
        yield every[at : at + SLICE]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage: a run leaves little, and looking for it costs a tenth of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
