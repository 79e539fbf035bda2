"""
Holds what the decisions of a lane are made of: its ledger, its position, what was seen in the store, one push.

1. All instants are aware, UTC and read from the database's clock.
2. Everything here is immutable; a decision returns the new state, the store writes it.
3. What is made for each EVSE of each push is a named tuple: it costs a fifth of a frozen dataclass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.domain.windows import Window


class Action(StrEnum):
    """ActionType of a push. Source: OICP 2.3 CPO, eRoamingPushEvseStatus."""

    FULL_LOAD = "fullLoad"
    """Replaces everything that the hub holds for the operator."""

    UPDATE = "update"
    """Changes EVSEs that the hub is believed to have."""

    INSERT = "insert"
    """Adds EVSEs that the hub is believed not to have."""

    DELETE = "delete"
    """Withdraws EVSEs."""


class Presence(StrEnum):
    """What is believed about the existence of an EVSE at the hub."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Rejection(StrEnum):
    """Why a row of the store never leaves the house."""

    MALFORMED_EVSE_ID = "malformed_evse_id"
    """`evse_id` follows neither grammar of an EvseID."""

    FOREIGN_OPERATOR = "foreign_operator"
    """The EvseID names another operator than those of the lane, so the hub would refuse the whole request."""

    DUPLICATE = "duplicate"
    """Another row names the same charging spot in another spelling."""

    OPERATOR_NOT_SERVED = "operator_not_served"
    """No `[[operators]]` entry pushes the EVSEs of the row's operator."""


class WorkReason(StrEnum):
    """Why an EVSE is in a request."""

    NEW = "new"
    """The hub was never told of it."""

    CHANGED = "changed"
    """The effective status is not what the hub acknowledged last."""

    IN_DOUBT = "in_doubt"
    """A request with it is unanswered, so the hub may hold either."""

    DEBT = "debt"
    """An unanswered request may still be applied late, so it is asserted once more."""

    REASSERTED = "reasserted"
    """`push.reassert_every` has passed since it was asserted last."""

    WITHDRAWN = "withdrawn"
    """Its row is gone or says Removed."""


CHANGES: Final = frozenset({WorkReason.NEW, WorkReason.CHANGED, WorkReason.WITHDRAWN, WorkReason.IN_DOUBT})
"""Reasons for which somebody waits: a change or a boundary, not a repetition of our own."""


class WindowEdge(StrEnum):
    """Which boundary of a window led to a change, also the metric label."""

    START = "start"
    """The window began."""

    END = "end"
    """The window ended."""


class LaneState(StrEnum):
    """What a lane is doing, as the metric `lane_state` shows it."""

    ACTIVE = "active"
    """This process leads the lane, and it pushes."""

    STANDBY = "standby"
    """Another process leads the lane."""

    SETTLING = "settling"
    """It waits until an unanswered request cannot overtake the next one any more."""

    BACKING_OFF = "backing_off"
    """It waits after an answer that said no, or none."""

    HELD = "held"
    """It pushes nothing, or one record at a time, until the cause is gone; the log names the reason."""


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The settings that decisions depend on.

    Attributes:
        max_withdrawn_share: Of a lane, 0 to 1, that may disappear within 24 hours without a person's approval.
        send_within: From the commit of an intent to the first byte of its request; later, nothing is sent.
        full_load_at: Local time of the daily full load, `HH:MM`; empty: never.
        full_load_zone: The IANA's name of its time zone.
    """

    max_records: int = 1000
    requests_per_minute: int = 1800
    max_withdrawn_share: float = 0.10
    request_timeout: timedelta = timedelta(seconds=60)
    send_within: timedelta = timedelta(seconds=10)
    settle: timedelta = timedelta(seconds=10)
    late_apply: timedelta = timedelta(seconds=600)
    reassert_every: timedelta = timedelta(seconds=21600)
    lease: timedelta = timedelta(seconds=20)
    full_load_at: str = "03:00"
    full_load_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One row of a lane's ledger: what the hub has acknowledged of one EVSE, and what is owed.

    Attributes:
        canonical: Its key, together with the lane.
        evse_id: The spelling last pushed, or about to be.
        acknowledged: What the hub confirmed last; None: nothing yet, or withdrawn.
        acknowledged_at: When that answer was recorded.
        acknowledged_since: When the first answer was recorded that confirmed this value; for people.
        asserted_at: When the push that was acknowledged last started.
        presence: Belief about its existence at the hub.
        doubted_at: Since when a request with this EVSE is unanswered; None: no doubt.
        debt_at: A push that starts at this instant or later must be acknowledged; None: no debt.
        pending_since: Since when the hub is known to differ; None: it does not, as far as known.
        pending_edge: The boundary of a window since which it differs; None: somebody's change made it differ, or it
            does not.
        withdrawn_at: When the hub confirmed its deletion; the row is then a tombstone.
        held_since: Since when its withdrawal waits for a person.
        approved_at: When a person approved its withdrawal.
        approved_by: Who did.
        failures: Failed attempts in a row.
        first_failed_at: When the first of them failed; its own backoff is as long as it has been failing since.
        retry_at: Not pushed again before this instant; None: no such wait.
        refusal: Why the last attempt failed, a value of `Reason`; None: it did not.
        refusal_detail: The hub's own words, cut.
        refused_status: The value that failed last, so that another one can be tried before the backoff ends.
        batch_cap: Largest request it may travel in while a bad record is looked for; None: no limit.
        flipped: The next attempt goes against the belief about its existence, since a refusal cast doubt on it.
        failed_singly: Times it failed while it was alone in its request, since it was last acknowledged.
        attempt: The last attempt it was part of, 0: none.
        due_at: Next instant at which it must be looked at; None: only when something changes.
    """

    canonical: CanonicalEvseId
    evse_id: EvseId
    acknowledged: OicpStatus | None = None
    acknowledged_at: datetime | None = None
    acknowledged_since: datetime | None = None
    asserted_at: datetime | None = None
    presence: Presence = Presence.UNKNOWN
    doubted_at: datetime | None = None
    debt_at: datetime | None = None
    pending_since: datetime | None = None
    pending_edge: WindowEdge | None = None
    withdrawn_at: datetime | None = None
    held_since: datetime | None = None
    approved_at: datetime | None = None
    approved_by: str | None = None
    failures: int = 0
    first_failed_at: datetime | None = None
    retry_at: datetime | None = None
    refusal: str | None = None
    refusal_detail: str | None = None
    refused_status: OicpStatus | None = None
    batch_cap: int | None = None
    flipped: bool = False
    failed_singly: int = 0
    attempt: int = 0
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """
    The row of a lane: who leads it, where it stands, what it waits for.

    Attributes:
        epoch: Counts the holders of the lease; an intent carries it.
        holder: Who holds the lease (host, process, start); None: nobody.
        expires_at: When the lease ends unless renewed.
        attempt: Number of the last request, over all epochs.
        silent_until: No first byte before this instant, whatever happened to the last request.
        wait_until: The end of the present backoff or hold.
        failures: Failed requests in a row that were the hub's or the account's fault.
        hold_reason: An account fault, or that everything is refused, holds the lane; a value of `Reason`.
        hold_detail: The hub's own words about it, cut.
        last_success_at: When the hub last performed a request.
        refused_streak: Requests refused in a row, none performed in between.
        flip_first: The last refusal that was cleared up was about existence, so try that first.
        after_suspect: The last request carried suspects, so healthy records go first now.
        doubted_before: An unanswered full load puts in doubt whatever was asserted before this instant.
        debt_at: That full load may land until this instant; whatever was asserted before is owed again after it.
        paced_at: State of the pacing: when the next request would be due at the sustained rate.
        full_load_at: When the last acknowledged full load started.
        full_load_tried_at: When a full load was last sent or given up, so that the daily one is tried once a day.
        full_load_requested_at: A person asked for one; None: nobody did.
        full_load_requested_by: Who did.
        wanted_by: A process that leads fewer lanes and asks for this one; None: nobody asks.
        wanted_at: When it asked; what it asked for long ago counts no more.
        distrusted_at: When the books were found to have lost a part, or were adopted from elsewhere: since then no full
            load goes out unless a person asks for it. None: nothing is missing.
    """

    epoch: int = 0
    holder: str | None = None
    expires_at: datetime | None = None
    attempt: int = 0
    silent_until: datetime | None = None
    wait_until: datetime | None = None
    failures: int = 0
    hold_reason: str | None = None
    hold_detail: str | None = None
    last_success_at: datetime | None = None
    refused_streak: int = 0
    flip_first: bool = False
    after_suspect: bool = False
    doubted_before: datetime | None = None
    debt_at: datetime | None = None
    paced_at: datetime | None = None
    full_load_at: datetime | None = None
    full_load_tried_at: datetime | None = None
    full_load_requested_at: datetime | None = None
    full_load_requested_by: str | None = None
    distrusted_at: datetime | None = None
    wanted_by: str | None = None
    wanted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatusRow:
    """
    One row of `evse_status`, in the lane that looks at it.

    Attributes:
        status: The charger's word.
        changed_at: When its writer says that it changed, for people; None: it does not say.
    """

    evse_id: EvseId
    operator_id: OperatorId
    status: str
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Observation:
    """
    What the store holds about one EVSE, read in one statement.

    Attributes:
        canonical: The key under which all of it was found.
        rows: Its rows of `evse_status` that belong to this lane, one a spelling, ordered by spelling; empty: withdrawn
            or moved to another lane.
        windows: Its windows that apply or will, whatever their spelling.
        entry: Its row of this lane's ledger.
        changed_at: When the oldest change that led here was made; None: no hint led here.
    """

    canonical: CanonicalEvseId
    rows: Sequence[StatusRow]
    windows: Sequence[Window]
    entry: Entry | None
    changed_at: datetime | None


class Steady(NamedTuple):
    """
    An EVSE of whose state the charger's own word alone decides, as most are most of the time.

    One row of the store speaks for it and no window is ahead; the hub holds it, as spelled there; its ledger row has no
    doubt, refusal, hold or pending change, and nothing of it is due but its re-assertion.

    Attributes:
        status: The charger's word.
        again: Its re-assertion is due.
        changed_at: When the oldest change that led here was made; None: no hint led here.
    """

    canonical: CanonicalEvseId
    evse_id: EvseId
    status: str
    acknowledged: OicpStatus
    again: bool
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of the store that never leaves the house, with the reason in words that an operator can act on."""

    evse_id: EvseId
    canonical: CanonicalEvseId
    operator_id: OperatorId
    reason: Rejection
    detail: str


class Record(NamedTuple):
    """One record of a request: the spelling and the value that the hub is told."""

    canonical: CanonicalEvseId
    evse_id: EvseId
    status: OicpStatus


class Work(NamedTuple):
    """
    One EVSE that must be pushed.

    Attributes:
        record: What the hub must be told; for a delete the status has no meaning.
        action: How.
        reason: Why.
        since: Since when the hub differs; orders the work.
        urgent: It becomes less usable, or has waited long.
        entry: Its ledger row as it is; of a steady EVSE `STEADY`, which says all that matters of it.
        valid_until: When the value must be looked at again; None: no window is ahead.
        edge: The boundary of a window that led here; None: somebody's change did, or an assertion of our own.
    """

    record: Record
    action: Action
    reason: WorkReason
    since: datetime
    urgent: bool
    entry: Entry
    valid_until: datetime | None = None
    edge: WindowEdge | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """
    The durable note that a push is about to start.

    Attributes:
        epoch: Of the lease under which it was written.
        attempt: Its number.
        action: Of the request.
        records: All of the request; empty for a full load, whose records the store keeps.
        started_at: When it was committed.
        silent_until: Until when the lane stays silent if no answer comes.
        suspect: A bad record is being looked for among these.
    """

    epoch: int
    attempt: int
    action: Action
    records: Sequence[Record]
    started_at: datetime
    silent_until: datetime
    suspect: bool = False


STEADY: Final = Entry(CanonicalEvseId(""), EvseId(""))
"""What a plan needs of the ledger row of any steady EVSE: nothing ever failed."""
