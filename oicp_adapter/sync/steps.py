"""
Takes the steps of one push, each as one pure function; the daemon runs them inside the store's transactions.

The order is: `clear` what an earlier holder left open, `look_at` what is hinted or due, `commit_to` a request, send it,
`record` what came of it. A crash between any two of them loses nothing.

1. Whatever `look_at` was shown leaves it in a ledger row that brings it back, in the intent, or needs nothing; so its
   hints may go.
2. `record` writes nothing unless the very intent is still open: its epoch and attempt are the fence, not the lease.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.sync.assess import Assessment, Circumstances, assess
from oicp_adapter.sync.exchange import Exchange, Settled
from oicp_adapter.sync.guard import WithdrawalCount, must_hold, must_stay_held
from oicp_adapter.sync.lease import covers_push, longest_silence, uncovers_push
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Intent,
    Observation,
    Policy,
    Position,
    Presence,
    Record,
    Rejected,
    Work,
)
from oicp_adapter.sync.pacing import paced
from oicp_adapter.sync.settle import abandon, settle

HELD_LOOK: Final = timedelta(minutes=5)
"""A held withdrawal is weighed again this often: others may have come back."""


@dataclass(frozen=True, slots=True)
class Round:
    """
    What one look at the store came to.

    Attributes:
        work: What may be pushed now.
        save: Ledger rows that differ from what the store has; those that go into an intent need not be saved.
        forget: Ledger rows that have served their time.
        rejected: Rows of the store that never leave the house.
        unmapped: EVSEs whose word the table does not know, with the word.
        held: Withdrawals newly held for a person's approval.
    """

    work: Sequence[Work]
    save: Sequence[Entry]
    forget: Collection[CanonicalEvseId]
    rejected: Sequence[Rejected]
    unmapped: Mapping[CanonicalEvseId, str]
    held: int


def clear(
    intent: Intent, entries: Mapping[CanonicalEvseId, Entry], position: Position, *, now: datetime, policy: Policy
) -> Settled | None:
    """Write off an intent that nobody will record; None while its silence lasts."""
    if intent.silent_until > now:
        return None
    return abandon(intent, entries, position, now=now, policy=policy)


def look_at(seen: Sequence[Observation], at: Circumstances, withdrawals: Callable[[], WithdrawalCount]) -> Round:
    """
    Bring the ledger up to date with what was seen, and return the work it makes.

    Args:
        seen: Each EVSE once.
        withdrawals: Counts the lane's withdrawals; asked only if there are any among these.
    """
    assessments = [(item, assess(item, at)) for item in seen]
    deletes = [result for _, result in assessments if _is_withdrawal(result)]
    unapproved = _to_hold(
        [result.work.entry for result in deletes if result.work and not result.work.entry.approved_at],
        at.policy,
        withdrawals,
    )
    work: list[Work] = []
    save: list[Entry] = []
    held = 0
    for item, result in assessments:
        entry = result.entry
        if entry is None or result.forget:
            continue
        if item.canonical in unapproved:
            held += entry.held_since is None
            entry = replace(entry, held_since=entry.held_since or at.now, due_at=at.now + HELD_LOOK)
        elif result.work is not None:
            work.append(result.work)
        if entry != item.entry:
            save.append(entry)
    return Round(
        work=work,
        save=save,
        forget=[item.canonical for item, result in assessments if result.forget],
        rejected=[rejected for _, result in assessments for rejected in result.rejected],
        unmapped={item.canonical: result.unmapped for item, result in assessments if result.unmapped is not None},
        held=held,
    )


def _to_hold(
    entries: Sequence[Entry], policy: Policy, withdrawals: Callable[[], WithdrawalCount]
) -> Collection[CanonicalEvseId]:
    """Return which of these withdrawals must wait for a person."""
    if not entries:
        return ()
    count = withdrawals()
    if must_hold(count, policy):
        return {entry.canonical for entry in entries}
    stay = must_stay_held(count, policy)
    return {entry.canonical for entry in entries if stay and entry.held_since is not None}


def commit_to(
    action: Action,
    records: Sequence[Record],
    position: Position,
    *,
    now: datetime,
    policy: Policy,
    suspect: bool = False,
) -> tuple[Intent, Position]:
    """
    Return the intent of the next request, and the lane's position once it is committed.

    Args:
        records: All of the request; empty for a full load.
        now: By the database's clock, read before the sender started its own watch.
    """
    attempt = position.attempt + 1
    intent = Intent(position.epoch, attempt, action, records, now, now + longest_silence(policy), suspect)
    taken = replace(
        covers_push(position, now, policy),
        attempt=attempt,
        after_suspect=suspect,
        paced_at=paced(position.paced_at, now, policy.requests_per_minute),
    )
    return intent, taken


def record(
    stored: Intent | None, exchange: Exchange, entries: Mapping[CanonicalEvseId, Entry], position: Position
) -> Settled | None:
    """
    Write the outcome of a request into the books.

    Args:
        stored: The intent that stands open now.

    Returns:
        The rows to save; None when the intent is no longer this one: a successor has put it in doubt, or this very
        outcome was recorded already and only the commit's answer was lost.
    """
    sent = exchange.intent
    if stored is None or (stored.epoch, stored.attempt) != (sent.epoch, sent.attempt):
        return None
    return settle(exchange, entries, uncovers_push(position, sent, exchange.now, exchange.policy))


def _is_withdrawal(result: Assessment) -> bool:
    """Tell whether an EVSE would disappear from the hub; one that is gone already cannot."""
    work = result.work
    if work is None or work.action is not Action.DELETE or work.entry.withdrawn_at is not None:
        return False
    return work.entry.presence is not Presence.ABSENT
