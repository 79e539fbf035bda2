"""
Runs a deployment in which nothing is wrong but bad records, and measures how long healthy changes wait for them (I5).

The bounds are those of FAULTS.md §2, in requests: an attempt of a suspect and one of healthy records take turns, so a
change waits for twice the requests of the hunt at most; where the hub falls silent each of them costs its silence.
"""

import math
from typing import Final

from reliability.seeds.hub_faults import POISON_LASTS, POISONS
from reliability.seeds.run import Run
from reliability.seeds.truth import key

POISON_EVERY: Final = 10
"""One in so many seeds is such a run."""

SILENT: Final = ("500", "hang")
"""These cost the lane its silence, and its backoff, each time."""

PATIENCE: Final = 3
"""Silences in a row before a record is suspected: k of F20."""

REQUEST: Final = 0.3
"""Seconds that one push takes at most here, both transactions included."""

LATENCY: Final = 0.02
EVERY: Final = 0.7
"""Seconds between two changes of healthy EVSEs."""


class PoisonRun(Run):
    """A run whose only fault is one bad record, or three of them."""

    def _live(self) -> None:
        name, self.kind = list(POISONS.items())[self.seed // POISON_EVERY % len(POISONS)]
        self.network.latency = LATENCY
        size, number = self.dice.choice([8, 16, 20]), self.dice.choice([1, 1, 3])
        self.writers.begin(size)
        for replica in self.replicas:
            replica.start()
        self.world.run(8)
        bad = self.dice.sample(self.writers.fleet(), min(number, size))
        self.bad = frozenset(key(evse) for evse, *_ in bad)
        self.judge.delays = {}
        for evse, *_ in bad:
            self.strike(name, "poison", lasts=POISON_LASTS, evse_id=evse, poison=self.kind)
        self.writers.change_many()
        for evse, *_ in bad:
            self.writers.change(evse, self.dice.choice(["Faulted", "Charging"]))
        healthy = [evse for evse, *_ in self.writers.fleet() if key(evse) not in self.bad]
        for at in range(round(POISON_LASTS / EVERY)):
            self.world.after(at * EVERY, lambda: self.writers.change(self.dice.choice(healthy)))
        self.world.run(POISON_LASTS)
        delays = self.judge.delays
        self.judge.delays = None
        waited = {evse: took for evse, took in delays.items() if evse.partition("/")[2] not in self.bad}
        self.outcome.delays = {self.kind: max(waited.values(), default=0.0)}
        late = {evse: took for evse, took in waited.items() if took > self._longest(size, len(bad))}
        if late:
            self.judge.fail("I5", f"poison {self.kind} x{len(bad)} of {size}: healthy changes waited {late}")

    def _longest(self, size: int, bad: int) -> float:
        """Return how long a healthy change may wait, in seconds."""
        if self.kind not in SILENT:
            return 2 * REQUEST * (2 * math.log2(size) * bad + 4)
        silence = self.policy.settle.total_seconds()
        if self.kind == "hang":
            silence += self.policy.request_timeout.total_seconds()
        attempts = PATIENCE + 2
        return attempts * (silence + 2 * REQUEST) + sum(2.0**number for number in range(attempts - 1))
