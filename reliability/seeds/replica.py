"""
Runs the real worker of a lane as one process of a deployment: it turns, waits, dies, is stopped and started again.

1. `turn` is the worker's own. Around it stands what `LaneThread` does: errors cost a wait, the rest is the schedule.
2. A process that dies loses its worker, its connection and its witness; the next one is another holder.
3. Between two transactions, and at each crash point of FAULTS.md §2, others may run and this one may die.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from sqlalchemy import Connection

from oicp_adapter.daemon.lane import LaneIdentity, LaneResources, Push
from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.daemon.worker import LaneWorker
from oicp_adapter.domain.errors import AdapterError, StoreUnavailableError
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.full_load import full_load_records
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Action, Intent, Policy, Record
from reliability.seeds.bench import Bench
from reliability.seeds.truth import LANES
from reliability.seeds.wire import Flight, Network, Wire, end_flight
from reliability.seeds.world import Actor, Crash, World

_SOON: Final = 0.001
_LONGEST_TROUBLE: Final = 5.0
"""Seconds that a lane waits after an error at most, as `LaneThread` does."""


class UnexpectedError(Exception):
    """An error of our own that nobody expected."""


@dataclass(slots=True)
class StoreTrouble:
    """
    What is wrong with the store, as one process or all of them meet it.

    Attributes:
        away_until: It cannot be reached, by process; `""`: by none.
        fail_next: So many transactions fail before anything was written.
        lost_next: So many commits are performed, and their answer is lost.
        busy_until: Outcomes cannot be recorded, for others hold the lock.
        bug_until: Each turn of a process raises an unexpected error.
    """

    away_until: dict[str, int] = field(default_factory=dict)
    fail_next: int = 0
    lost_next: int = 0
    busy_until: int = 0
    bug_until: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Deployment:
    """
    What all processes share.

    Attributes:
        fired: Called with the name of each fault when it takes effect.
        committed: Called with a process after each transaction of its lane.
        longest_idle: Seconds after which an idle process looks again; less than a lease.
    """

    world: World
    bench: Bench
    network: Network
    policy: Policy
    sweep_every: timedelta
    trouble: StoreTrouble
    fired: Callable[[str], None]
    committed: Callable[["Replica"], None]
    longest_idle: float


class StagedWorker(LaneWorker):
    """The worker, which also says in which step of a push it is, and trips over errors that nobody expected."""

    stage = ""

    trip: Callable[[], None]

    def prepare(self) -> Push | None:
        """Prepare a push as the worker does."""
        self.trip()
        self.stage = "prepare"
        push = super().prepare()
        self.stage = ""
        return push

    def record(self) -> None:
        """Record an outcome as the worker does."""
        self.trip()
        self.stage = "record"
        super().record()
        self.stage = ""


class BrittleLaneStore(LaneStore):
    """A lane's store that fails when it is told to, and lets others run before and after each transaction."""

    replica: "Replica"

    @contextmanager
    def writing_after(self, opening: Sequence[str] = ()) -> Iterator[tuple[Connection, Sequence[Sequence[Any]]]]:
        """Open a transaction that writes."""
        replica, stage = self.replica, self.replica.worker.stage
        replica.step({"prepare": "C0", "record": "C6"}.get(stage, "sweep"), replica.jitter())
        self._reach(stage)
        with super().writing_after(opening) as opened:
            yield opened
            if stage == "record":
                replica.die_at("C7")
        replica.deployment.committed(replica)
        trouble = replica.deployment.trouble
        if stage and trouble.lost_next:
            trouble.lost_next -= 1
            replica.deployment.fired("F32 commit answered by nobody")
            replica.die_at("C8")
            self.close()
            raise StoreUnavailableError("the commit's answer was lost", cure="wait")
        if stage == "record":
            replica.step("C8", _SOON)
        replica.step({"prepare": "C1", "record": "C9"}.get(stage, "sweep"), replica.jitter())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that reads."""
        self.replica.step("sweep", self.replica.jitter())
        self._reach("")
        with super().reading() as connection:
            yield connection

    def look(self) -> Any:
        """Look whether anything is to be done."""
        self._reach("")
        return super().look()

    def _reach(self, stage: str) -> None:
        replica, trouble = self.replica, self.replica.deployment.trouble
        now = replica.deployment.world.now
        reason = None
        if now < max(trouble.away_until.get(replica.name, 0), trouble.away_until.get("", 0)):
            reason = "the store is away"
        elif stage and trouble.fail_next:
            trouble.fail_next -= 1
            replica.deployment.fired("F31 transaction failed")
            reason = "the transaction failed"
        elif stage == "record" and now < trouble.busy_until:
            replica.deployment.fired("F48 busy while recording")
            reason = "the store is busy"
        if reason is not None:
            self.close()
            raise StoreUnavailableError(reason, cure="wait")


class Replica:
    """
    One process that may lead one lane.

    Attributes:
        flight: Its request under way.
        crash_at: The point at which it shall die next; empty: at none.
        crash_name: Of the injector; `Ca` to `Cc` say more about the point, see `_meant`.
        restart_after: Seconds from its death to its next start; None: it stays dead.
        deadly: Tells whether its request holds a record that kills whoever writes it.
        stopping: It shall end after the turn under way.
    """

    def __init__(self, deployment: Deployment, lane: str, name: str, *, drift: float) -> None:
        self.deployment = deployment
        self.lane = lane
        self.name = name
        self.flight: Flight | None = None
        self.crash_at = ""
        self.restart_after: float | None = 1.0
        self.crash_name = ""
        self.deadly: Callable[[Replica], bool] = lambda _replica: False
        self.stopping = False
        self._drift = drift
        self._starts = 0
        self.actor: Actor | None = None
        self.worker: StagedWorker
        self._store: BrittleLaneStore | None = None

    # its life

    def start(self, seconds: float = 0.0) -> None:
        """Start the process after a while, with nothing in memory."""
        self.actor = Actor(self.deployment.world, self.name, self._live)
        self.actor.begin(seconds)

    @property
    def alive(self) -> bool:
        """Whether the process runs, or is about to start."""
        return self.actor is not None and self.actor.alive

    @property
    def has_swept(self) -> bool:
        """Whether the process leads its lane and has compared the whole of it since it took it up."""
        worker = self.worker if self.alive and self._store is not None else None
        return worker is not None and worker._epoch is not None and not worker._sweep.under_way

    def kill(self, why: str) -> None:
        """Let the process die wherever it is; called by others."""
        if self.actor is not None and self.actor.alive:
            self.deployment.world.tell(self.name, f"killed: {why}")
            self.actor.kill()

    def pause(self, seconds: float) -> None:
        """Stop the process as SIGSTOP does; its clock goes on."""
        if self.actor is not None:
            self.actor.paused_until = self.deployment.world.now + round(seconds * 1e6)

    def trip(self) -> None:
        """Raise an error of our own that nobody expected, if that is the fault."""
        deployment = self.deployment
        if deployment.world.now < deployment.trouble.bug_until.get(self.name, 0):
            deployment.fired("F74 unexpected error")
            raise UnexpectedError

    def steady(self) -> float:
        """Return the process's own clock, which nobody sets."""
        return self._drift + self.deployment.world.seconds()

    def open_intent(self) -> Intent:
        """Return the intent that the worker has committed and now sends."""
        assert self.worker._exchange is not None
        return self.worker._exchange[0].intent

    def jitter(self) -> float:
        """Return how long a transaction takes: mostly a moment, sometimes long."""
        dice = self.deployment.world.dice
        return dice.uniform(0.05, 1.5) if dice.random() < 0.02 else dice.uniform(0.0001, 0.005)

    # points of a push

    def step(self, point: str, seconds: float) -> None:
        """Let time pass at a named point, at which the process may die."""
        self.die_at(point)
        assert self.actor is not None
        self.actor.park(seconds)

    def die_at(self, point: str) -> None:
        """Die if this is the point."""
        if point == "C3" and self.deadly(self):
            self._die(point)
        if self.crash_at == point and self._meant():
            self.deployment.fired(self.crash_name)
            self._die(point)

    def die_next(self, point: str, name: str) -> None:
        """Die when a point is reached next."""
        self.crash_at, self.crash_name = point, name

    def _die(self, point: str) -> None:
        self.crash_at = ""
        self.deployment.world.tell(self.name, f"dies at {point}")
        raise Crash

    def _meant(self) -> bool:
        """Tell whether this visit of a point is the one that the injector's name speaks of."""
        exchange = self.worker._exchange
        if self.crash_name.endswith("Ca"):
            look = LaneStore.look(self._open_store)
            return look.hinted or (look.due_at is not None and look.due_at <= look.now)
        if self.crash_name.endswith("Cb"):
            return exchange is not None and exchange[0].intent.action is Action.FULL_LOAD
        if self.crash_name.endswith("Cc"):
            return exchange is not None and exchange[1].http_status == HTTPStatus.BAD_REQUEST
        return True

    def _live(self) -> None:
        assert self.actor is not None
        try:
            if not self.actor.doomed:
                self._build()
                self._turns()
        finally:
            flight, self.flight = self.flight, None
            if flight is not None:
                end_flight(self.deployment.network, flight, answered=False)
            if self._store is not None:
                self._store.close()
            if self.restart_after is not None:
                self.start(self.restart_after)

    def _turns(self) -> None:
        assert self.actor is not None
        world, failures = self.deployment.world, 0
        while not self.stopping:
            try:
                pause = self.worker.turn()
                failures = 0
            except (AdapterError, UnexpectedError) as error:
                failures += 1
                world.tell(self.name, f"trouble: {str(error) or type(error).__name__}")
                wait = min(0.1 * 2.0**failures, _LONGEST_TROUBLE) * world.dice.random()
                self.actor.park(wait)
                continue
            self.actor.park(self._idle() if pause else world.dice.uniform(0.0001, 0.002), idle=bool(pause))
        self._release()

    def _release(self) -> None:
        try:
            self.worker.release()
            self.deployment.world.tell(self.name, "stopped")
            self.die_at("C10")
        except (AdapterError, UnexpectedError) as error:
            self.deployment.world.tell(self.name, f"stopped in trouble: {error}")

    def _idle(self) -> float:
        """Return how long nothing can be due, so that idle looks need not be simulated; changes poke."""
        deployment, worker = self.deployment, self.worker
        now = deployment.world.database_time()
        instants = [worker._due[what] for what in ("ready", "sweep") if what in worker._due]
        try:
            look = self._open_store.look()
        except AdapterError:
            return 0.1
        if look.hinted and "absorb" in worker._due:
            instants.append(worker._due["absorb"])
        if look.due_at is not None:
            instants.append(look.due_at)
        ahead = [(instant - now).total_seconds() for instant in instants if instant > now]
        longest = deployment.longest_idle * (0.5 + deployment.world.dice.random() / 2)
        return min([longest, *ahead]) + deployment.world.dice.uniform(0.001, 0.1)

    @property
    def _open_store(self) -> BrittleLaneStore:
        assert self._store is not None
        return self._store

    def _build(self) -> None:
        deployment = self.deployment
        self._starts += 1
        self.stopping = False
        mapping = StatusMapping()
        scope = LaneScope(operator_key(self.lane), frozenset(map(operator_key, LANES[self.lane])))
        store = self._store = BrittleLaneStore(deployment.bench.store, scope, mapping)
        store.replica = self
        began, started = deployment.world.database_time(), self.steady()
        self.worker = StagedWorker(
            LaneIdentity(
                self.lane,
                "Simulated",
                scope.operator_keys,
                scope.lane,
                served=frozenset({scope.lane}),
                holder=f"{self.name}#{self._starts}",
                sole=False,
            ),
            LaneResources(
                store=store,
                client=Wire(deployment.network, self, timeout=deployment.policy.request_timeout),  # type: ignore[arg-type]  # all that the worker asks of it
                telemetry=LaneTelemetry(self.lane, deployment.bench.metrics),
                full_load_records=partial(self._full_load, scope.lane),
                draw=deployment.world.dice.random,
                clock=self.steady,
                counted=lambda: began + timedelta(seconds=self.steady() - started),
            ),
            policy=deployment.policy,
            mapping=mapping,
            sweep_every=deployment.sweep_every,
        )
        self.worker.trip = self.trip

    def _full_load(self, lane: str) -> Iterator[Record]:
        self.step("C3", self.jitter())
        self._open_store._reach("")
        yield from full_load_records(self.deployment.bench.store, lane)
