"""
Decides what an exchange with the hub changes in one row of the ledger.

1. Only an acknowledgement writes `acknowledged`; it takes back a doubt, and a debt only if the push began after it.
2. An unknown outcome leaves doubt now and a debt for later: the lost request may land after its own correction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.exchange import Acknowledgement, Exchange, late_until
from oicp_adapter.sync.model import Action, Entry, Intent, Policy, Position, Presence, Record
from oicp_adapter.sync.pacing import quarantine

EVERYTHING: Final = 8
"""Refusals in a row, none performed in between, after which the request is not to blame but something common."""


def acknowledged(done: Acknowledgement, record: Record, entry: Entry) -> Entry:
    """
    Begin a new row for an EVSE that the hub has acknowledged: of the old one only what is still owed goes on.

    The store does the same to all rows of a request in one statement; a contract test compares the two.
    """
    owed = entry.debt_at
    debts = [min(owed, done.furthest)] if owed is not None and owed > done.intent.started_at else []
    debts += [done.debt_at] if done.debt_at is not None else []
    until = done.valid_until.get(record.canonical)
    due_at = min(*debts, done.again_at, until or done.again_at)
    rested = entry.held_since is None and entry.failures == 0
    if rested and entry.due_at is not None and done.now < entry.due_at <= due_at:
        due_at = entry.due_at  # early is well enough, and a row whose index stays as it is costs half
    return Entry(
        record.canonical,
        evse_id=record.evse_id,
        acknowledged=record.status,
        acknowledged_at=done.now,
        acknowledged_since=_since(entry, record.status, done.now),
        asserted_at=done.intent.started_at,
        presence=Presence.PRESENT,
        debt_at=max(debts, default=None),
        attempt=done.intent.attempt,
        due_at=due_at,
    )


def acknowledgement(exchange: Exchange, position: Position) -> Acknowledgement:
    """Return what an acknowledged request changes in the rows of all its records."""
    intent, now, policy = exchange.intent, exchange.now, exchange.policy
    # No debt reaches further than one made now would; a clock that was set back may have left more.
    furthest = now + policy.send_within + policy.late_apply
    owed = position.debt_at
    return Acknowledgement(
        intent=intent,
        valid_until={key: work.valid_until for key, work in exchange.work.items() if work.valid_until is not None},
        now=now,
        debt_at=min(owed, furthest) if owed is not None and owed > intent.started_at else None,
        furthest=furthest,
        again_at=intent.started_at + policy.reassert_every,
    )


def withdrawn(record: Record, entry: Entry, exchange: Exchange, position: Position) -> Entry:
    """Turn the row of a deleted EVSE into a tombstone: what is owed and who approved it goes on."""
    gone = acknowledged(acknowledgement(exchange, position), record, entry)
    return replace(
        gone,
        acknowledged=None,
        acknowledged_since=_since(entry, None, exchange.now),
        presence=Presence.ABSENT,
        withdrawn_at=entry.withdrawn_at or exchange.now,
        approved_at=entry.approved_at,
        approved_by=entry.approved_by,
        due_at=exchange.now,
    )


def doubted(entry: Entry, intent: Intent, now: datetime, policy: Policy) -> Entry:
    """Put one record in doubt; what was not sure to exist is no longer sure either way."""
    debt = late_until(intent, policy)
    return replace(
        entry,
        doubted_at=entry.doubted_at or now,
        debt_at=max(entry.debt_at or debt, debt),
        presence=entry.presence if intent.action is Action.UPDATE else Presence.UNKNOWN,
        pending_since=entry.pending_since or intent.started_at,
        flipped=False,  # the request itself may have changed its existence, so that the next refusal is news
        attempt=intent.attempt,
        due_at=now,
    )


def untouched(entry: Entry, exchange: Exchange) -> Entry:
    """Bring back a record whose request was not performed for a reason that is not its own."""
    return replace(pending(entry, exchange), attempt=exchange.intent.attempt, due_at=exchange.now)


def pending(entry: Entry, exchange: Exchange) -> Entry:
    """Note since when the hub differs, which a row whose record travelled was not given before."""
    if entry.pending_since is not None:
        return entry
    work = exchange.work.get(entry.canonical)
    if work is None:
        return replace(entry, pending_since=exchange.intent.started_at)
    return replace(entry, pending_since=work.since, pending_edge=work.edge)


def failed(entry: Entry, record: Record, exchange: Exchange) -> Entry:
    """Count one more failure of a record, with what was said about it; it may go again at once unless `called_bad`."""
    return replace(
        entry,
        failures=entry.failures + 1,
        first_failed_at=entry.first_failed_at or exchange.now,
        retry_at=None,
        refusal=exchange.verdict.reason,
        refusal_detail=exchange.verdict.detail,
        refused_status=record.status,
    )


def called_bad(entry: Entry, now: datetime, draw: float) -> Entry:
    """Give a record its own backoff, after which it is tried as it is believed to be."""
    retry_at = now + quarantine(now - (entry.first_failed_at or now), draw)
    return replace(entry, batch_cap=1, flipped=False, retry_at=retry_at, due_at=retry_at)


def count_bad(entries: Sequence[Entry]) -> int:
    """Return how many of the records that just `failed` were called bad."""
    return sum(entry.retry_at is not None for entry in entries)


def hub_takes_others(entry: Entry, position: Position) -> bool:
    """
    Tell whether the hub performed a request since this record first failed: then the record is to blame.

    A hub that has since refused one request after the other is no such proof any more.
    """
    if entry.first_failed_at is None or position.last_success_at is None or position.refused_streak >= EVERYTHING:
        return False
    return position.last_success_at > entry.first_failed_at


def _since(entry: Entry, status: OicpStatus | None, now: datetime) -> datetime:
    """Return when the hub first confirmed this value, of those confirmations without another value in between."""
    same = entry.acknowledged_at is not None and entry.acknowledged is status
    return (entry.acknowledged_since or now) if same else now
