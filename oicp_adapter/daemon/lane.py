"""Holds what a lane works with: who pushes, by which means, and one push."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.daemon.witness import MemoryWitness, Witness
from oicp_adapter.oicp.client import HubClient, PushRequest
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.sync.model import Action, Intent, Record, Work


@dataclass(frozen=True, slots=True)
class LaneIdentity:
    """
    Who pushes: the hub account of a lane, and this process as a holder of leases.

    Attributes:
        operator_id: As the settings spell it.
        operator_keys: Canonical OperatorIDs whose EVSEs the account may push.
        lane: The lane's key.
        served: The keys of all lanes of this process.
        holder: What this process is called in leases.
        sole: No other process can lead the lane.
    """

    operator_id: str
    operator_name: str
    operator_keys: frozenset[str]
    lane: str
    served: frozenset[str]
    holder: str
    sole: bool

    def request(self, action: Action, records: Iterable[Record], count: int) -> PushRequest:
        """Return a request of this account, with so many records."""
        return PushRequest(
            action=action,
            operator_id=self.operator_id,
            operator_name=self.operator_name,
            records=records,
            count=count,
        )


@dataclass(frozen=True, slots=True)
class LaneResources:
    """
    What a worker works with.

    Attributes:
        full_load_records: Streams the records of the full load in flight.
        draw: Uniform in [0, 1).
        clock: Seconds that go on while the host sleeps; the client compares `send_before` with the same.
        counted: What the time should be by the clock that this host started with; None: the store's is believed.
        witness: Remembers outside of the store how far the lane had come.
    """

    store: LaneStore
    client: HubClient
    telemetry: LaneTelemetry
    full_load_records: Callable[[], Iterator[Record]]
    draw: Callable[[], float]
    clock: Callable[[], float]
    counted: Callable[[], datetime] | None = None
    witness: Witness = field(default_factory=MemoryWitness)


@dataclass(frozen=True, slots=True)
class Push:
    """
    A request whose intent is committed.

    Attributes:
        intent: As written.
        request: What the client sends.
        send_before: On the client's clock; later, nothing is sent.
        work: What it is made of; empty for a full load.
    """

    intent: Intent
    request: PushRequest
    send_before: float
    work: Sequence[Work]
