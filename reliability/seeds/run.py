"""
Runs one seed: a deployment, writers and faults at random, then healing, then the judgement.

1. The bound of I1 is stated from the faults that took effect: see `bound`.
2. What is quarantined or held when the bound is over is an exception with a reason; once a person has released and
   approved it, nothing may be left over.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.sync.lease import longest_lease, longest_silence
from oicp_adapter.sync.model import Policy
from reliability.seeds import hub_faults, process_faults, store_faults
from reliability.seeds.bench import Bench
from reliability.seeds.faults import INJECTORS, bound_of
from reliability.seeds.judge import Judge, ViolationError
from reliability.seeds.replica import Deployment, Replica, StoreTrouble
from reliability.seeds.truth import LANES, key
from reliability.seeds.wire import Network
from reliability.seeds.world import World
from reliability.seeds.writers import Writers

NAMES: Final = sorted(INJECTORS)
"""All injectors; that of a seed's own number takes part in its run for certain."""

CATALOGUE: Final = (hub_faults, process_faults, store_faults)
"""The modules whose import registers them."""

LONGEST_BACKOFF: Final = 60.0
LONGEST_HOLD: Final = 300.0
LONGEST_RETRY_AFTER: Final = 900.0
"""B of FAULTS.md, for the hub's trouble, for an account fault, and for what a hub may ask for."""

DRAIN: Final = 60.0
"""Q: no backlog here takes longer at the lowest rate."""

SWEEP_EVERY: Final = timedelta(seconds=120)
"""S."""

CHECK_EVERY: Final = 250_000
"""Microseconds between two comparisons of the hub with the store while healing is waited for."""

APPROVED_EVERY: Final = 10
"""Seconds after which a person approves withdrawals again, once the faults are over."""


@dataclass(slots=True)
class Outcome:
    """
    What came of one run.

    Attributes:
        violation: The first invariant that did not hold; empty: all did.
        fired: How often each fault took effect.
        bound: Seconds within which all had to be equal again.
        healed: Seconds that it took.
        exceptions: EVSEs that were quarantined or held then.
        requests: How many reached the hub.
        armed: The injectors that took part.
        delays: Longest wait of a healthy change by the kind of poison, where that was measured.
    """

    seed: int
    violation: str = ""
    fired: Counter[str] = field(default_factory=Counter)
    lines: Sequence[str] = ()
    bound: float = 0.0
    healed: float = 0.0
    exceptions: int = 0
    requests: int = 0
    armed: Sequence[str] = ()
    delays: Mapping[str, float] = field(default_factory=dict)


class Run:
    """One deployment from its first row to its judgement; a `Stage` for injectors."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(f"scenario {seed}")
        self.world = World(seed)
        self.connection = bench.renew(self.world.database_time)
        self.outcome = Outcome(seed)
        self.policy = _policy(self.dice)
        self.hub = Hub(_hub_options(self.dice))
        self.network = Network(self.world, self.hub, FaultBook(), fired=self.fired)
        self.network.latency = self.dice.choice([0.01, 0.05, 0.2])
        self.network.skew = timedelta(seconds=self.dice.uniform(-5, 5))
        self.judge = Judge(self.world, self.network, self.policy, self.connection)
        self.network.changed, self.network.shifted = self.judge.hub_changed, self.judge.hub_shifted
        self.trouble = StoreTrouble()
        self.deployment = Deployment(
            self.world, bench, self.network, self.policy, SWEEP_EVERY, self.trouble, self.fired,
            self.judge.committed, self.policy.lease.total_seconds() * 0.6,
        )  # fmt: skip
        self.replicas = [
            Replica(self.deployment, lane, f"{key(lane)[2:]}.{number}", drift=self.dice.uniform(0, 1e5))
            for lane in LANES
            for number in range(self.dice.choice([1, 1, 2]))
        ]
        self.writers = Writers(self.world, self.connection, bench.store, self.judge, self.dice, self._poke)
        self._struck: list[tuple[int, str]] = []
        self._busy_until = 0

    # a stage for injectors

    def fired(self, name: str) -> None:
        """Count that a fault took effect."""
        self.outcome.fired[name] += 1

    def strike(self, name: str, kind: str, *, lasts: float | None = None, **fault: Any) -> None:
        """Inject a fault into the hub's book; it is counted when it strikes."""
        number = self.network.faults.add(Fault.model_validate({"kind": kind, **fault}))
        self._struck.append((number, name))
        if lasts is not None:
            self.busy(lasts)
            self.world.after(lasts, lambda: self._withdraw(number, name))

    def busy(self, seconds: float) -> None:
        """Let nothing be healed before a fault has run for so long."""
        self._busy_until = max(self._busy_until, self.world.now + round(seconds * 1e6))

    def _withdraw(self, number: int, name: str) -> None:
        if (number, name) in self._struck:
            self._struck.remove((number, name))
            self.outcome.fired[name] += self.network.faults.struck(number)
            self.network.faults.remove(number)

    def _poke(self) -> None:
        for replica in self.replicas:
            if replica.actor is not None:
                replica.actor.poke(self.world.dice.uniform(0.001, 0.1))

    # the run

    def perform(self) -> Outcome:
        """Do all of it; what is violated stands in the outcome."""
        try:
            self._live()
            self._heal()
            self._judge()
        except ViolationError as violation:
            self.outcome.violation = str(violation)
        finally:
            for replica in self.replicas:
                replica.restart_after = None
                replica.kill("the run is over")
            self.connection.close()
        self.outcome.lines = self.world.lines
        self.outcome.requests = len(self.network.flights)
        return self.outcome

    def _live(self) -> None:
        length = self.dice.uniform(10, 28)
        self.writers.begin(self.dice.choice([3, 6, 9, 14, 20]))
        for replica in self.replicas:
            replica.start(self.dice.choice([0.0, self.dice.uniform(0, 2)]))
        names = [NAMES[self.seed % len(NAMES)], *self.dice.sample(NAMES, self.dice.randint(1, 4))]
        self.outcome.armed = names
        for name in names:
            self.world.after(self.dice.uniform(0.5, length * 0.8), self._arm(name))
        for _ in range(self.dice.randint(4, 14)):
            self.world.after(self.dice.uniform(0.2, length), self.writers.at_random)
        for act in (self.writers.approve, self.writers.release, self.writers.ask_for_full_load):
            if self.dice.random() < 0.25:
                self.world.after(self.dice.uniform(1, length), act)
        for _ in range(3):
            self.world.after(self.dice.uniform(1, length), lambda: self.judge.nothing_lost(self.replicas))
        self.world.run(length)
        while self.world.now < self._busy_until:
            self.world.run((self._busy_until - self.world.now) / 1e6)

    def _arm(self, name: str) -> Callable[[], None]:
        def arm() -> None:
            self.world.tell("fault", name)
            self.judge.blind = self.judge.blind or INJECTORS[name].blind
            INJECTORS[name].arm(self)

        return arm

    def _heal(self) -> None:
        """End all faults and stop all writers; what waits for a moment of its own waits no longer."""
        self.writers.stopped = True
        for number, name in list(self._struck):
            self._withdraw(number, name)
        self.network.faults.clear()
        network, trouble = self.network, self.trouble
        network.refused_until, network.alert_until, network.cut_next, network.residue_next = {}, {}, 0, 0
        trouble.away_until, trouble.bug_until = {}, {}
        trouble.fail_next, trouble.lost_next, trouble.busy_until = 0, 0, 0
        for replica in self.replicas:
            replica.crash_at, replica.deadly = "", lambda _replica: False
        if sum(bool(count) for count in self.outcome.fired.values()) >= 3:
            self.fired("F77 three faults and more")
        self.world.tell("judge", "all faults are over")

    def _judge(self) -> None:
        self.outcome.bound = self.bound()
        began = self.world.now
        equal = self.world.run(self.outcome.bound, until=self._quiet(exceptions=True))
        self.outcome.healed = (self.world.now - began) / 1e6
        excepted = self._excepted(exceptions=True)
        self.outcome.exceptions = len(excepted)
        if not equal:
            self._explain("I1", excepted)
        self.writers.release()
        for at in range(0, round(self.outcome.bound), APPROVED_EVERY):
            self.world.after(at, self.writers.approve)  # also what is withdrawn, and held, only once it was released
        self.world.run(0.2)
        if not self.world.run(self.outcome.bound, until=self._quiet(exceptions=False)):
            self._explain("I1 once released", self._excepted(exceptions=False))
        self.judge.single_flight()
        self.judge.rate_kept()

    def bound(self) -> float:
        """
        Return the seconds after which hub and store must be equal: Sure, and what the faults of this run add.

        Sure = B + the silence of a lost request + the lease of a dead process + T_late + Q + an idle look.
        """
        policy, fired = self.policy, [name for name, count in self.outcome.fired.items() if count]
        parts = bound_of([*fired, *self.outcome.armed])
        sure = LONGEST_BACKOFF + longest_silence(policy).total_seconds() + longest_lease(policy).total_seconds()
        sure += (policy.send_within + policy.late_apply).total_seconds() + DRAIN + 2 * self.deployment.longest_idle
        extra = {
            "sweep": self.deployment.sweep_every.total_seconds(),
            "reassert": policy.reassert_every.total_seconds(),
            "hold": LONGEST_HOLD,
            "retry_after": LONGEST_RETRY_AFTER,
        }
        return sure + sum(extra[part] for part in parts)

    def _quiet(self, *, exceptions: bool) -> Callable[[], bool]:
        """Return the question whether all is equal and nothing is owed, which is looked into from time to time."""
        asked = -CHECK_EVERY

        def quiet() -> bool:
            nonlocal asked
            if self.world.now < asked + CHECK_EVERY:
                return False
            asked = self.world.now
            if self.hub.next_due() is not None:
                return False
            open_ones = {left.split()[0] for left in self.judge.leftovers()} | self.judge.differences().keys()
            return not open_ones or not open_ones - self._excepted(exceptions=exceptions)

        return quiet

    def _excepted(self, *, exceptions: bool) -> frozenset[str]:
        """
        Return lane and EVSE of what may differ now, each for a reason.

        Args:
            exceptions: Also what is quarantined or held, with its reason in the ledger.
        """
        excepted = self.judge.insisted() | self.judge.strangers()
        if exceptions:
            excepted |= self._rows("(retry_at IS NOT NULL AND refusal IS NOT NULL) OR held_since IS NOT NULL")
        return excepted

    def _rows(self, condition: str) -> frozenset[str]:
        found = self.connection.execute(f"SELECT lane, canonical FROM oicp_ledger WHERE {condition}")
        return frozenset(f"{lane}/{evse}" for lane, evse in found)

    def _explain(self, invariant: str, excepted: frozenset[str]) -> None:
        differing = {evse: both for evse, both in self.judge.differences().items() if evse not in excepted}
        left = [each for each in self.judge.leftovers() if each.split()[0] not in excepted]
        self.judge.fail(
            invariant, f"after {self.outcome.bound:.0f} s: hub and store differ in {differing}; left: {left}"
        )


def _policy(dice: random.Random) -> Policy:
    return Policy(
        max_records=dice.choice([2, 5, 1000]),
        requests_per_minute=dice.choice([60, 120, 1800]),
        request_timeout=timedelta(seconds=5),
        send_within=timedelta(seconds=2),
        settle=timedelta(seconds=2),
        late_apply=timedelta(seconds=30),
        reassert_every=timedelta(seconds=240),
        lease=timedelta(seconds=dice.choice([10, 20])),
        full_load_at=dice.choice(["", "03:00"]),
    )


def _hub_options(dice: random.Random) -> HubOptions:
    return HubOptions(
        strict=dice.random() < 0.7,
        partners={lane: frozenset(operators[1:]) for lane, operators in LANES.items()},
        explain_refusals=dice.random() < 0.5,
        refuse_unknown_deletes=dice.random() < 0.3,
        rate_limit=100_000,
    )
