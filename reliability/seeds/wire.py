"""
Carries requests to the hub and answers back in virtual time, and notes what was seen on the way.

1. A request goes on by itself once its body is handed over: the hub performs it though its sender is dead or stopped.
2. The deadline is checked in the step in which the first byte leaves, as the real client does.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from oicp_adapter.domain.errors import StoreError
from oicp_adapter.oicp.body import PushRequest
from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import NO_EFFECT, Delivery, Effect, Request
from oicp_adapter.simulator.hub import Hub
from oicp_adapter.simulator.journal import Exchange
from oicp_adapter.simulator.wire import HubAnswer, read_push
from oicp_adapter.sync.answers import Answer, Progress, TransportFault
from oicp_adapter.sync.model import Intent, Record
from reliability.seeds.world import World

_ANSWER_LIMIT: Final = 64 * 1024
_FOREVER: Final = 1e6
_RESIDUE: Final = "F64 bytes leave after a pause, then death"


@dataclass(slots=True)
class Flight:
    """
    One request from its first byte.

    Attributes:
        began: First byte, in microseconds of true time.
        ended: When it was answered, given up, or its sender died; None: it is under way.
        handed_over: The whole body left.
        answered: The hub's answer was complete and on its way.
        residue: Its first byte left long after its deadline was checked: what DESIGN §7 leaves open.
        exchange: What the hub's own book says of it, from the first byte.
        effect: Of the fault that struck it.
        answer: Of the hub; None: it has not dealt with it.
        answer_at: When that answer arrives, in microseconds of true time; None as above.
    """

    lane: str
    intent: Intent
    records: Sequence[Record]
    began: int
    ended: int | None = None
    handed_over: bool = False
    answered: bool = False
    residue: bool = False
    exchange: Exchange | None = None
    effect: Effect = NO_EFFECT
    answer: HubAnswer | None = None
    answer_at: int | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the hub performed all of it, and its own answer, undistorted, said so."""
        answer, whole = self.answer, self.effect.delivery is not Delivery.ENORMOUS
        if not self.answered or answer is None or self.effect.answer is not None or not whole:
            return False
        return (answer.http_status, answer.code) == (200, "000")


@dataclass(slots=True)
class Network:
    """
    What lies between all lanes and the hub.

    Attributes:
        flights: All requests, in the order of their first bytes.
        refused_until: No connection can be made before this time, by lane.
        alert_until: The hub refuses the client certificate at the first read, by lane.
        cut_next: So many bodies are cut before their end.
        residue_next: So many first bytes leave late, after the deadline was checked.
        fired: Called with the name of each fault when it takes effect.
        changed: Called when a request may have changed what the hub holds.
        shifted: Called when that may have changed by itself, or by a request that was judged when it was sent.
    """

    world: World
    hub: Hub
    faults: FaultBook = field(default_factory=FaultBook)
    flights: list[Flight] = field(default_factory=list)
    latency: float = 0.05
    skew: timedelta = timedelta()
    refused_until: dict[str, int] = field(default_factory=dict)
    alert_until: dict[str, int] = field(default_factory=dict)
    cut_next: int = 0
    residue_next: int = 0
    fired: Callable[[str], None] = lambda _name: None
    changed: Callable[[], None] = lambda: None
    shifted: Callable[[], None] = lambda: None

    def due(self) -> None:
        """Let the hub apply what it was to apply late, and come back for what is left."""
        self.hub.due(self.world.true_time)
        self.shifted()
        self.expect()

    def expect(self) -> None:
        """Come back when the hub has something to apply late."""
        at = self.hub.next_due()
        if at is not None:
            self.world.after((at - self.world.true_time).total_seconds(), self.due)

    def of(self, lane: str) -> Sequence[Flight]:
        """Return the requests of one lane."""
        return [flight for flight in self.flights if flight.lane == lane]


class Sender(Protocol):
    """What the wire asks of the process that sends."""

    lane: str
    flight: Flight | None

    def step(self, point: str, seconds: float) -> None:
        """Let time pass at a named point, at which the process may die."""

    def die_next(self, point: str, name: str) -> None:
        """Die when a point is reached next."""

    def steady(self) -> float:
        """Return the process's own clock."""

    def open_intent(self) -> Intent:
        """Return the intent that the process has just committed."""


class Wire:
    """Stands in for the client of one lane in one process."""

    def __init__(self, network: Network, sender: Sender, *, timeout: timedelta) -> None:
        self._network = network
        self._world = network.world
        self._sender = sender
        self._timeout = timeout.total_seconds()

    def push(self, request: PushRequest, *, send_before: float) -> Answer:
        """Send one push and wait for its answer, the request's time-out at most."""
        world, network, sender = self._world, self._network, self._sender
        sender.step("C1", world.dice.uniform(0.0005, 0.02))
        if world.now < network.refused_until.get(sender.lane, 0):
            network.fired("F51 connection refused")
            sender.step("C1", 0.001)
            return Answer(Progress.NOT_SENT, TransportFault.CONNECT)
        sender.step("C2", network.latency * world.dice.random())
        if sender.steady() > send_before:
            return Answer(Progress.NOT_SENT, TransportFault.DEADLINE_BEFORE_SEND)
        if world.now < network.alert_until.get(sender.lane, 0):
            network.fired("F57 certificate refused")
            sender.step("C2", 0.01)
            return Answer(Progress.SENT, TransportFault.TLS_ALERT)
        flight = self._first_byte(sender.open_intent())
        return self._converse(flight, request)

    def _converse(self, flight: Flight, request: PushRequest) -> Answer:
        """Hand the body over and wait for the answer."""
        world, network, sender = self._world, self._network, self._sender
        give_up = world.now + round(self._timeout * 1e6)
        sender.step("C3", 0.001 + network.latency * world.dice.random() / 4)
        try:
            flight.records = list(request.records)
        except StoreError:
            self._end(flight, answered=False)
            raise
        if network.cut_next > 0:
            network.cut_next -= 1
            network.fired("F52 cut in the body")
            self._end(flight, answered=False)
            return Answer(Progress.PARTLY_SENT, TransportFault.CUT)
        flight.handed_over = True
        delay = 0.0005 + network.latency * world.dice.random()
        world.after(delay, lambda: self._perform(flight, request))
        sender.step("C4", delay + 0.000001)
        until = give_up if flight.answer_at is None else min(give_up, flight.answer_at + 1)
        sender.step("C5", max(0, until - world.now) / 1e6)
        if flight.ended is None:
            self._end(flight, answered=False)
            return Answer(Progress.SENT, TransportFault.TIMEOUT)
        sender.step("C6", 0.0005)
        if not flight.answered or flight.answer is None:
            return Answer(Progress.SENT, TransportFault.CUT)
        return self._read(flight.answer, flight.effect)

    def _first_byte(self, intent: Intent) -> Flight:
        """Note the first byte; under F64 it leaves long after the deadline was checked, and its sender dies soon."""
        network, sender = self._network, self._sender
        residue = network.residue_next > 0
        if residue:
            network.residue_next -= 1
            sender.step("residue", 60.0)
            sender.die_next("C4", _RESIDUE)
        flight = Flight(sender.lane, intent, intent.records, self._world.now, residue=residue)
        flight.exchange = network.hub.begin(sender.lane, self._world.true_time)
        network.flights.append(flight)
        sender.flight = flight
        return flight

    def _perform(self, flight: Flight, request: PushRequest) -> None:
        """Let the hub deal with a request, whoever still waits for it."""
        network, world = self._network, self._world
        body = _body(request, flight.records)
        limit = network.hub.options.max_body
        if limit is not None and len(body) > limit:
            answer, effect = HubAnswer(413, b"", {}), NO_EFFECT
            network.fired("F38 full load too large")
        else:
            push = read_push(body)
            effect = network.faults.strike(Request(flight.lane, push))
            assert flight.exchange is not None
            answer = network.hub.perform(
                flight.exchange, None, push, world.true_time, process_id=f"p{len(network.flights)}", effect=effect
            )
        flight.effect, flight.answer = effect, answer
        (network.changed if effect.afterwards is None else network.shifted)()
        if effect.late_by:
            network.expect()
        said = f"{effect.kind or '-'} {answer.http_status}/{answer.code}"
        world.tell(flight.lane, f"hub {request.action} x{len(flight.records)} {said}")
        wait = network.latency * (0.5 + world.dice.random()) + effect.answer_after.total_seconds()
        if effect.delivery is Delivery.DRIP:
            wait += effect.pace.total_seconds() * (len(answer.body) + 200)
        if effect.delivery is Delivery.SILENT:
            wait = _FOREVER
        flight.answer_at = world.now + round(wait * 1e6)
        world.after(wait, lambda: self._answered(flight))

    def _answered(self, flight: Flight) -> None:
        if flight.ended is None:
            whole = flight.effect.delivery in {Delivery.WHOLE, Delivery.DRIP, Delivery.ENORMOUS}
            flight.answered = whole
            self._end(flight, answered=whole)

    def _read(self, answer: HubAnswer, effect: Effect) -> Answer:
        return Answer(
            Progress.SENT,
            http_status=answer.http_status,
            body=b"0" * _ANSWER_LIMIT if effect.delivery is Delivery.ENORMOUS else answer.body[:_ANSWER_LIMIT],
            truncated=effect.delivery is Delivery.ENORMOUS,
            retry_after=answer.headers.get("Retry-After"),
            date=self._world.true_time + self._network.skew,
            process_id=answer.headers.get("Process-ID"),
        )

    def _end(self, flight: Flight, *, answered: bool) -> None:
        end_flight(self._network, flight, answered=answered)
        self._sender.flight = None


def end_flight(network: Network, flight: Flight, *, answered: bool) -> None:
    """Note that a request is answered, given up, or that its sender is dead."""
    if flight.ended is None:
        flight.ended = network.world.now
        if flight.exchange is not None:
            network.hub.end(flight.exchange, network.world.true_time, answered=answered)


def _body(request: PushRequest, records: Sequence[Record]) -> bytes:
    inner = {
        "OperatorID": request.operator_id,
        "OperatorName": request.operator_name,
        "EvseStatusRecord": [{"EvseID": each.evse_id, "EvseStatus": each.status.value} for each in records],
    }
    return json.dumps({"ActionType": request.action.value, "OperatorEvseStatus": inner}).encode()
