"""
Holds what a state is made of; each part is a value that occurs in many states, so that a state is a tuple of numbers.

1. `NOW` never moves. Time that passes brings every instant nearer, so equal situations at different times are one.
2. The lane's epoch and attempt always read `COUNTED`; older ones keep their distance, as far as it can be told apart.
"""

from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, NamedTuple, TypeVar

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId, evse_key
from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.answers import Verdict
from oicp_adapter.sync.model import Action, Entry, Intent, Position

NOW: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
COUNTED: Final = 1000
OPERATOR: Final = OperatorId("DE*ABC")
KEYS: Final = frozenset({"DEABC"})
GONE: Final = "gone"
"""The holder of a lease whose process died."""

MOST: Final = 8
EVSES: Final = tuple(EvseId(f"DE*ABC*E{number}") for number in range(MOST))
CANONICAL: Final[tuple[CanonicalEvseId, ...]] = tuple(evse_key(evse) for evse in EVSES)
NUMBER: Final = {key: number for number, key in enumerate(CANONICAL)}

# How far a process is in a push.
IDLE, READING, COMMITTED, SENT, ANSWERED = range(5)

Rows = tuple[str | None, ...]
"""The technical status of each EVSE, None: it has no row."""

Value = TypeVar("Value", bound=Hashable)


class Table(Generic[Value]):
    """Numbers values in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}
        self.values: list[Value] = []

    def number(self, value: Value) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


class Shop(NamedTuple):
    """What other programs write: rows, windows that are not over, and the hints that the triggers left."""

    rows: Rows
    windows: tuple[tuple[Window, ...], ...]
    hints: tuple[int, ...]
    hinted_at: tuple[datetime | None, ...]
    planned: frozenset[int]


class Books(NamedTuple):
    """What the lane keeps in the store."""

    entries: tuple[Entry | None, ...]
    position: Position
    intent: Intent | None
    full_load: tuple[tuple[int, str], ...] = ()


class Push(NamedTuple):
    """
    A request in the memory of a process.

    Attributes:
        notes: Of each record since when it differs, until when its value is valid, and whether it goes against the
            belief about its existence, as the plan knew it.
        send_before: Its first byte leaves by then or never.
        body: What travels; for a full load not the same as the intent's records.
        deadline: When the client gives up; None: not sent yet.
        lands_by: T_late after its first byte.
        reply: What the hub's answer means, while it travels; None: the hub has not performed it, and if `lands_by` is
            None as well, it never will.
    """

    intent: Intent
    notes: tuple[tuple[datetime, datetime | None, bool], ...]
    send_before: datetime
    body: tuple[tuple[int, str], ...]
    deadline: datetime | None = None
    lands_by: datetime | None = None
    reply: Verdict | None = None


class Process(NamedTuple):
    """One replica: how far it is in a push, what it remembers of it, whether it is stopped (SIGSTOP)."""

    phase: int = IDLE
    push: Push | None = None
    verdict: Verdict | None = None
    stopped: bool = False
    hints: tuple[int, ...] = ()
    rows: Rows = ()


class Floating(NamedTuple):
    """A request that nobody waits for and that the hub may perform until `lands_by`, or never."""

    lands_by: datetime
    action: Action
    body: tuple[tuple[int, str], ...]


class Ghost(NamedTuple):
    """
    History that only the invariants need.

    Attributes:
        quiet_until: Of each replica's last request, before when no other first byte may come; None: it was answered.
        starts: First bytes within the last minute.
        waited: Requests that an EVSE other than the poison has been waiting for.
        approved: Withdrawals that a person approved.
    """

    quiet_until: tuple[datetime | None, ...] = ()
    starts: tuple[datetime, ...] = ()
    waited: tuple[int, ...] = ()
    approved: frozenset[int] = frozenset()


class State(NamedTuple):
    """A state: the numbers of its parts."""

    shop: int
    books: int
    hub: int
    net: int
    processes: int
    ghost: int
    budget: int


def holder(which: int) -> str:
    return f"p{which}"


def earlier(instant: datetime | None, by: timedelta) -> datetime | None:
    return None if instant is None else instant - by
