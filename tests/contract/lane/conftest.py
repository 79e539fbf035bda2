"""Runs the real worker of a lane over a store of each kind, with a hub in memory and a clock that the test moves."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from structlog.testing import capture_logs

from oicp_adapter.daemon.lane import LaneIdentity, LaneResources
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.daemon.worker import LaneWorker
from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.oicp.client import PushRequest
from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import Delivery, Fault, Request
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.simulator.wire import read_push
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.full_load import full_load_records
from oicp_adapter.store.lane_transaction import LaneTransaction
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.answers import Answer, Progress, TransportFault
from oicp_adapter.sync.model import Action, Entry, Policy, Position
from reliability.real.machine import run_sql, written

REQUEST_TIMEOUT = timedelta(seconds=30)
POLICY: Mapping[str, Any] = {
    "request_timeout": REQUEST_TIMEOUT,
    "settle": timedelta(seconds=10),
    "late_apply": timedelta(seconds=300),
    "lease": timedelta(seconds=20),
    "full_load_at": "",
}
TURNS = 2000


@dataclass(slots=True)
class MovedClock:
    """
    The host's time plus what the test let pass.

    Attributes:
        moved: Called with the shift after each move, since a database has a clock of its own.
    """

    shift: timedelta = timedelta()
    moved: Callable[[timedelta], None] = lambda _shift: None

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def advance(self, **duration: float) -> None:
        self.shift += timedelta(**duration)
        self.moved(self.shift)

    def advance_to(self, instant: datetime) -> None:
        self.advance(seconds=max(0.0, (instant - self.now()).total_seconds()))


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it left."""

    at: datetime
    action: Action
    statuses: Mapping[str, str]


@dataclass(slots=True)
class Wire:
    """
    Stands in for the client: carries a request to the hub in memory, and what comes back.

    Attributes:
        sent: Every request that left.
        meanwhile: Called once while a request is out, after the hub has dealt with it.
    """

    hub: Hub
    clock: MovedClock
    faults: FaultBook = field(default_factory=FaultBook)
    sent: list[Sent] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None

    def push(self, request: PushRequest, *, send_before: float) -> Answer:
        assert time.monotonic() <= send_before
        records = {record.evse_id: record.status.value for record in request.records}
        assert len(records) == request.count
        now = self.clock.now()
        self.sent.append(Sent(now, request.action, records))
        rows = [{"EvseID": evse, "EvseStatus": status} for evse, status in records.items()]
        inner = {"OperatorID": request.operator_id, "EvseStatusRecord": rows}
        body = json.dumps({"ActionType": request.action, "OperatorEvseStatus": inner}).encode()
        effect = self.faults.strike(Request(request.operator_id, read_push(body)))
        process_id = f"process-{len(self.sent)}"
        answer = self.hub.push(request.operator_id, None, body, now, process_id=process_id, effect=effect)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        if effect.delivery is Delivery.SILENT:
            self.clock.advance(seconds=REQUEST_TIMEOUT.total_seconds())
            return Answer(Progress.SENT, TransportFault.TIMEOUT)
        if effect.delivery is not Delivery.WHOLE:
            return Answer(Progress.SENT, TransportFault.CUT)
        return Answer(Progress.SENT, http_status=answer.http_status, body=answer.body, process_id=process_id)

    def will(self, kind: str, *, count: int | None = 1, **fault: Any) -> None:
        """Let a fault strike the next request, or as many as *count* says."""
        self.faults.add(Fault.model_validate({"kind": kind, "count": count, **fault}))

    def since(self, number: int) -> Sequence[Sent]:
        return self.sent[number:]


class BrittleLaneStore(LaneStore):
    """
    A lane's store that can be told to fail.

    Attributes:
        fail_before: So many of the next transactions fail before anything was written.
        fail_after: So many of the next transactions commit, but the commit's answer is lost.
    """

    fail_before = 0
    fail_after = 0

    @contextmanager
    def transaction(self) -> Iterator[LaneTransaction]:
        if self.fail_before:
            self.fail_before -= 1
            raise StoreUnavailableError("the store is away", cure="wait")
        with super().transaction() as books:
            yield books
        if self.fail_after:
            self.fail_after -= 1
            raise StoreUnavailableError("the commit's answer was lost", cure="wait")


@dataclass(slots=True)
class Lane:
    """One worker with all that it works with."""

    worker: LaneWorker
    store: BrittleLaneStore
    wire: Wire
    metrics: Metrics
    operator: str

    def quiet(self) -> None:
        """Turn until nothing can be done at this instant."""
        idle = 0
        for _ in range(TURNS):
            idle = idle + 1 if self.worker.turn() else 0
            if idle > 1:
                return
        raise AssertionError("the lane spins")

    def pass_time(self, *, step: float = 15.0, **duration: float) -> None:
        """Let time pass, turning whenever something is due, and every *step* seconds at least."""
        clock = self.wire.clock
        end = clock.now() + timedelta(**duration)
        while (now := clock.now()) < end:
            due = [instant for instant in self._instants() if instant > now]
            clock.advance_to(min([end, now + timedelta(seconds=step), *due]) + timedelta(milliseconds=1))
            self.quiet()

    def _instants(self) -> Sequence[datetime]:
        expires_at = self.position().expires_at if self.worker._epoch is None else None
        instants = [self.store.look().due_at, self.worker._due.get("ready"), expires_at]
        return [instant for instant in instants if instant is not None]

    def entry(self, evse_id: str) -> Entry | None:
        with self.store.transaction() as books:
            return books.entries([evse_key(evse_id)]).get(evse_key(evse_id))

    def position(self) -> Position:
        return self.store.position()[0]

    def at_hub(self) -> Mapping[str, str]:
        """What the hub holds of the lane's operator, by canonical EvseID."""
        self.wire.hub.due(self.wire.clock.now())
        return self.wire.hub.statuses(self.operator)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"oicp_adapter_{name}", {"operator": self.operator, **labels})


@dataclass(slots=True)
class Bench:
    """
    A store, a hub and a clock, and the workers that share them.

    Attributes:
        log: Every log event, in order.
    """

    store: Store
    clock: MovedClock
    log: list[Any]
    hub: Hub = field(default_factory=lambda: Hub(HubOptions(strict=True, history=50)))
    opened: ExitStack = field(default_factory=ExitStack)

    def lane(
        self,
        operator: str = "DE*ABC",
        *,
        holder: str = "one",
        sub_operators: Sequence[str] = (),
        served: frozenset[str] | None = None,
        sole: bool = False,
        shadow: bool = False,
        sweep_every: float = 3600.0,
        mapping: StatusMapping | None = None,
        hub_url: str | None = None,
        counted: Callable[[], datetime] | None = None,
        **policy: Any,
    ) -> Lane:
        """Start a worker; what was in the memory of an earlier one is not in this one's."""
        known = mapping or StatusMapping()
        scope = LaneScope(operator_key(operator), frozenset(map(operator_key, (operator, *sub_operators))))
        lane_store = BrittleLaneStore(self.store, scope, known, hub_url=hub_url)
        self.opened.callback(lane_store.close)
        wire = Wire(self.hub, self.clock)
        metrics = Metrics([operator])
        worker = LaneWorker(
            LaneIdentity(
                operator,
                "ABC technologies",
                scope.operator_keys,
                scope.lane,
                served or frozenset({scope.lane}),
                holder,
                sole,
            ),
            LaneResources(
                store=lane_store,
                client=wire,
                telemetry=LaneTelemetry(operator, metrics),
                full_load_records=partial(full_load_records, self.store, scope.lane),
                draw=lambda: 0.5,
                clock=time.monotonic,
                counted=counted,
            ),
            policy=Policy(**{**POLICY, **policy}),
            mapping=known,
            sweep_every=timedelta(seconds=sweep_every),
            shadow=shadow,
        )
        return Lane(worker, lane_store, wire, metrics, operator)

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        """Run a statement as another program would, in a transaction of its own."""
        return run_sql(self.store, statement, values)

    def write(self, evse_id: str, status: str = "Available", operator: str = "DE*ABC") -> None:
        self.sql(
            "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)"
            " ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status, operator_id = excluded.operator_id",
            evse=evse_id,
            operator=operator,
            status=status,
        )

    def fleet(self, size: int, status: str = "Available") -> None:
        with self.store.writing() as connection:
            connection.execute(
                text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, 'DE*ABC', :status)"),
                [{"evse": f"DE*ABC*E{number}", "status": status} for number in range(size)],
            )

    def window(self, evse_id: str, kind: str, start: datetime, end: datetime | None = None) -> None:
        self.sql(
            "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to) VALUES (:evse, :kind, :start, :end)",
            evse=evse_id,
            kind=kind,
            start=written(self.store, start),
            end=written(self.store, end),
        )

    def without_triggers(self, statement: str) -> None:
        """Change the shared tables so that no hint tells of it."""
        self.sql(statement)
        self.sql("DELETE FROM oicp_hint")

    def hints(self) -> int:
        return int(self.sql("SELECT count(*) FROM oicp_hint")[0][0])

    def events(self, name: str) -> Sequence[Any]:
        return [event for event in self.log if event["event"] == name]


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A migrated store of each kind whose clock the test moves."""
    clock = MovedClock()
    with ExitStack() as opened, capture_logs() as log:
        if request.param == "sqlite":
            path = tmp_path / "store.db"
            shutil.copy(request.getfixturevalue("migrated_file"), path)
            url = f"sqlite:///{path}"
        else:
            url = request.getfixturevalue("pg_url")
            clock.moved = opened.enter_context(_moved_server_clock(url))
        store = opened.enter_context(open_store(url, clock=clock.now))
        if store.dialect == "sqlite":  # no test here is about the loss of power, and a sync costs more than a turn
            event.listen(store._own, "connect", lambda driver, _: driver.execute("PRAGMA synchronous = OFF").close())
        yield Bench(store, clock, log, opened=opened)


@contextmanager
def _moved_server_clock(url: str) -> Iterator[Callable[[timedelta], None]]:
    """Put a `clock_timestamp` that the test moves before the server's own in the search path of this database."""
    with closing(psycopg.connect(url, autocommit=True)) as admin:
        admin.execute("CREATE SCHEMA moved")
        admin.execute("CREATE TABLE moved.clock (shift interval)")
        admin.execute("INSERT INTO moved.clock VALUES ('0')")
        admin.execute(
            "CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
            " 'SELECT pg_catalog.clock_timestamp() + shift FROM moved.clock'"
        )
        row = admin.execute("SELECT current_database()").fetchone()
        assert row is not None
        admin.execute(f"ALTER DATABASE {row[0]} SET search_path = moved, public, pg_catalog")
        admin.execute(f"ALTER DATABASE {row[0]} SET synchronous_commit = off")
        yield lambda shift: admin.execute("UPDATE moved.clock SET shift = %s", (shift,)) and None
