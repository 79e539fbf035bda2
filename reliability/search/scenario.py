"""Describes a small world to be searched: its fleet, its hub, its replicas, and how often what may go wrong."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.sync.model import Policy

SECOND = timedelta(seconds=1)

TINY = Policy(
    max_records=10,
    requests_per_minute=100_000_000,
    request_timeout=2 * SECOND,
    send_within=SECOND,
    settle=SECOND,
    late_apply=6 * SECOND,
    lease=3 * SECOND,
    full_load_at="",
)
"""Durations so short, and so few, that few instants exist; the rate stands in nobody's way."""


class Budget(NamedTuple):
    """How often each kind of thing may still happen."""

    writes: int = 0
    faults: int = 0
    crashes: int = 0
    pauses: int = 0
    handovers: int = 0
    approvals: int = 0
    full_loads: int = 0


class WindowPlan(NamedTuple):
    """A window that somebody may set: of which EVSE, of which kind, from when to when after it is set."""

    evse: int
    kind: TemporaryStatus
    start: timedelta
    end: timedelta | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    A world to be searched.

    Attributes:
        rows: The technical status of each EVSE at the beginning, None: it has no row. All of it is in sync at first.
        words: What a writer may write.
        writable: EVSEs that a writer touches.
        removable: EVSEs whose rows a writer may delete, those of one group in one transaction.
        windows: What may be set, each once; ending one before its time is a write as well.
        budget: How often each kind of thing may happen.
        quota: Distinct states after which the search of it ends; None: when all are reached.
        least: Distinct states that must have been reached by then.
        replicas: Processes of the lane.
        sole: Only one process can exist (SQLite), so it takes a dead one's lease at once.
        strict: The hub refuses the insert of what exists and the update of what does not.
        explain: The hub says that a refusal is about existence.
        refuse_unknown_deletes: The strict hub refuses to delete what it does not hold.
        split_read: Hints and statuses are read in two steps, as on PostgreSQL, so that a writer may commit in between.
        answers: Error answers that the hub may give instead of performing a request.
        poison: The EVSE of which the hub refuses every request.
        patience: Requests with the poison in them that another EVSE may have to wait for.
        draw: What the dice of the backoffs show.
        slow: What the rate limit and the backoffs of this scenario add to the time in which it converges.
    """

    name: str
    rows: tuple[str | None, ...]
    budget: Budget
    words: tuple[str, ...] = ("Available", "Charging", "Faulted")
    writable: tuple[int, ...] = (0,)
    removable: tuple[tuple[int, ...], ...] = ()
    windows: tuple[WindowPlan, ...] = ()
    quota: int | None = 100_000
    least: int = 100_000
    policy: Policy = TINY
    replicas: int = 1
    sole: bool = False
    strict: bool = True
    explain: bool = False
    refuse_unknown_deletes: bool = False
    split_read: bool = False
    answers: tuple[str, ...] = ()
    poison: int | None = None
    patience: int = 0
    draw: float = 0.0
    slow: timedelta = timedelta()
