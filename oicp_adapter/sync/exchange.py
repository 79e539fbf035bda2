"""Holds one request and what came of it, before and after it is in the books."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.sync.answers import Verdict
from oicp_adapter.sync.model import Entry, Intent, Policy, Position, Work


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    One request and what came of it.

    Attributes:
        intent: The request; its epoch and attempt are those of the lane's open intent.
        verdict: What the answer meant.
        now: By the database's clock, when the outcome is recorded.
        draw: Uniform in [0, 1), for the jitter of waits.
        work: What each record was sent for, as the plan knew it; empty for a full load.
    """

    intent: Intent
    verdict: Verdict
    now: datetime
    policy: Policy
    draw: float
    work: Mapping[CanonicalEvseId, Work]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """
    What an acknowledged insert or update changes in the ledger, the same for all of its records.

    Attributes:
        intent: The request.
        valid_until: By record that has one, the next boundary of a window.
        now: When the answer is recorded.
        debt_at: The lane's own debt, if the request began before it; None: there is none.
        furthest: No debt reaches further; a clock that was set back may have left more.
        again_at: When its records are asserted again at the latest.
    """

    intent: Intent
    valid_until: Mapping[CanonicalEvseId, datetime]
    now: datetime
    debt_at: datetime | None
    furthest: datetime
    again_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """
    The books after an exchange.

    Attributes:
        entries: Ledger rows to save.
        position: The lane's row to save.
        quarantined: How many records were called bad just now.
        acknowledged: What to do to the rows of all records, in one statement; None: `entries` says all.
    """

    entries: Sequence[Entry]
    position: Position
    quarantined: int = 0
    acknowledged: Acknowledgement | None = None


def late_until(intent: Intent, policy: Policy) -> datetime:
    """Return until when an unanswered request may still be applied: T_late after its first byte at the latest."""
    return intent.started_at + policy.send_within + policy.late_apply
