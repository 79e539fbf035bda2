"""
Runs lanes in virtual time: the real workers, the real store, the simulator's hub; only time is made.

Each piece of work takes as long as `Costs` says, and all lanes of a process share one processor, as its interpreter has
it. So ten times the fleet, the rate and the lanes of any machine can be looked at on this one.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from benchmarks.capacity import Costs
from benchmarks.figures import MeasurementError
from oicp_adapter.daemon.lane import LaneIdentity, LaneResources
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.daemon.worker import LaneWorker
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.oicp.client import PushRequest
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.store.full_load import full_load_records
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.sweep import SweepPage
from oicp_adapter.sync.answers import Answer, Progress
from oicp_adapter.sync.model import Policy
from reliability.seeds.bench import Bench
from reliability.seeds.world import Actor, World

_TICK: Final = 0.01
"""Seconds between two transactions of the writer."""

SWEEP_EVERY: Final = timedelta(seconds=5)
"""Far more often than anybody would: so all that is seen is seen beside a sweep."""

_LONGEST: Final = 36_000.0
"""Seconds of virtual time after which nothing more is waited for."""

_MOMENT: Final = 1e-6
"""Seconds that a turn takes beside what costs something."""

_MAPPING: Final = StatusMapping()


class Processor:
    """The one processor of a process, which its lanes use one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._free_at = 0.0

    def work(self, actor: Actor, seconds: float) -> None:
        """Use it for so long, after all who asked before."""
        self._free_at = max(self._free_at, self._world.seconds()) + seconds
        actor.park(self._free_at - self._world.seconds())


@dataclass(slots=True)
class Fleet:
    """
    The EVSEs of one lane, and who changes them.

    Attributes:
        waits: By EVSE, when the change was committed that the hub does not know yet.
        took: Seconds from each change's commit to the hub.
    """

    operator: str
    size: int
    connection: sqlite3.Connection
    world: World
    waits: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    _changed: int = 0

    def fill(self) -> None:
        """Write the fleet in one transaction, as a first import does."""
        rows = ((self.name(number), self.operator, "Available") for number in range(self.size))
        with self._transaction():
            self.connection.executemany("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)", rows)

    def change(self, count: int) -> None:
        """Let so many chargers say something else, in one transaction."""
        numbers = range(self._changed, self._changed + count)
        self._changed += count
        rows = [(self._word(number), self.name(number % self.size)) for number in numbers]
        with self._transaction():
            self.connection.executemany("UPDATE evse_status SET status = ? WHERE evse_id = ?", rows)
        for _, evse in rows:
            self.waits.setdefault(evse, self.world.seconds())

    def name(self, number: int) -> str:
        return f"{self.operator}*E{number:08d}"

    def performed(self, evses: Sequence[str]) -> None:
        """Note that the hub knows of these EVSEs."""
        now = self.world.seconds()
        self.took.extend(now - self.waits.pop(evse) for evse in evses if evse in self.waits)

    def _word(self, number: int) -> str:
        return "Charging" if number // self.size % 2 == 0 else "Available"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        yield
        self.connection.execute("COMMIT")


class VirtualClient:
    """Carries requests to the hub in virtual time."""

    actor: Actor

    def __init__(self, site: "VirtualSite", fleet: Fleet) -> None:
        self._site = site
        self._fleet = fleet

    def push(self, request: PushRequest, *, send_before: float) -> Answer:
        """Let the hub perform a request in the middle of its round trip."""
        site, costs = self._site, self._site.costs
        records = [(record.evse_id, record.status.value) for record in request.records]
        site.processor.work(self.actor, costs.request)
        if site.world.seconds() > send_before:
            raise MeasurementError("a request was not sent in time")
        site.processor.work(self.actor, len(records) * costs.record)  # the body is streamed, once its first byte is out
        self.actor.park(costs.round_trip / 2)
        rows = [{"EvseID": evse, "EvseStatus": status} for evse, status in records]
        inner = {"OperatorID": request.operator_id, "EvseStatusRecord": rows}
        body = json.dumps({"ActionType": request.action, "OperatorEvseStatus": inner}).encode()
        answer = site.hub.push(request.operator_id, None, body, site.world.true_time, process_id="virtual")
        self._fleet.performed([evse for evse, _ in records])
        self.actor.park(costs.round_trip / 2)
        return Answer(Progress.SENT, http_status=answer.http_status, body=answer.body, process_id="virtual")


class VirtualStore(LaneStore):
    """
    A lane's store whose pages of a sweep take time.

    Attributes:
        clock: Seconds of virtual time.
        paged: Called after each page.
        swept: Called with the seconds that a whole sweep took.
    """

    clock: Callable[[], float]
    paged: Callable[[], None]
    swept: Callable[[float], None]

    def sweep(self, *, asserted_before: datetime | None = None, page: int | None = None) -> Iterator[SweepPage]:
        """Do what a sweep does, and let it take its time."""
        began = self.clock()
        for each in super().sweep(asserted_before=asserted_before, page=page):
            self.paged()
            yield each
        self.paged()
        self.swept(self.clock() - began)


class VirtualSite:
    """
    One process with lanes, their store and their hub.

    Attributes:
        sweeps: The seconds that each whole sweep took.
    """

    def __init__(self, bench: Bench, costs: Costs, policy: Policy, *, lanes: int, evses: int) -> None:
        self.world = World(seed=0)
        self.costs = costs
        self.hub = Hub(HubOptions(journal=10, history=0, arrivals=0))
        self.processor = Processor(self.world)
        self.sweeps: list[float] = []
        self._over = False
        connection = bench.renew(self.world.database_time)
        operators = [f"DE*{chr(65 + lane // 26)}{chr(65 + lane % 26)}X" for lane in range(lanes)]
        self.fleets = [Fleet(operator, evses, connection, self.world) for operator in operators]
        for fleet in self.fleets:
            fleet.fill()
            self._employ(fleet, bench, policy, Metrics([fleet.operator]))

    def settle(self) -> None:
        """Let time pass until the hub knows of every EVSE."""

        def known() -> bool:
            return all(len(self.hub.held(fleet.operator)) == fleet.size for fleet in self.fleets)

        self._until(known)
        self.world.run(5)

    def offer(self, rate: float, seconds: float) -> Sequence[float]:
        """Let each fleet change at this rate; return the seconds that each change took, in order of size."""
        owed = 0.0

        def tick() -> None:
            nonlocal owed
            owed += rate * _TICK
            count, owed = int(owed), owed % 1
            for fleet in self.fleets:
                if count:
                    fleet.change(count)
            if self.world.seconds() < end:
                self.world.after(_TICK, tick)

        for fleet in self.fleets:
            fleet.took.clear()
        end = self.world.seconds() + seconds
        tick()
        self.world.run(seconds)
        self._until(self._all_is_known)
        return sorted(took for fleet in self.fleets for took in fleet.took)

    def drain(self, changes: int) -> float:
        """Let each fleet change so often in one transaction; return the seconds until the hub knows of all."""
        self.world.run(60)
        began = self.world.seconds()
        for fleet in self.fleets:
            fleet.change(changes)
        self._until(self._all_is_known)
        return self.world.seconds() - began

    def close(self) -> None:
        """End the lanes."""
        self._over = True
        self.world.run(1)

    def _employ(self, fleet: Fleet, bench: Bench, policy: Policy, metrics: Metrics) -> None:
        """Let a worker begin to carry a fleet's changes."""
        key, client = operator_key(fleet.operator), VirtualClient(self, fleet)
        scope = LaneScope(key, frozenset({key}))
        store = VirtualStore(bench.store, scope, _MAPPING)
        worker = LaneWorker(
            LaneIdentity(
                fleet.operator,
                "Virtual",
                scope.operator_keys,
                key,
                served=frozenset({key}),
                holder="virtual",
                sole=True,
            ),
            LaneResources(
                store=store,
                client=client,  # type: ignore[arg-type]  # all that the worker asks of it
                telemetry=LaneTelemetry(fleet.operator, metrics),
                full_load_records=partial(full_load_records, bench.store, key),
                draw=lambda: 0.5,
                clock=self.world.seconds,
            ),
            policy=policy,
            mapping=_MAPPING,
            sweep_every=SWEEP_EVERY,
        )

        def live() -> None:
            while not self._over:
                client.actor.park(max(worker.turn().total_seconds(), _MOMENT))
            store.close()

        actor = client.actor = Actor(self.world, fleet.operator, live)
        store.clock = self.world.seconds
        store.paged = partial(self.processor.work, actor, self.costs.page)
        store.swept = self.sweeps.append
        actor.begin(0)

    def _all_is_known(self) -> bool:
        return not any(fleet.waits for fleet in self.fleets)

    def _until(self, reached: Callable[[], bool]) -> None:
        if not self.world.run(_LONGEST, until=reached):
            raise MeasurementError("the hub was not told of everything")
