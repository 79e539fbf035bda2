"""
Decides what the books say after an exchange with the hub: which rows of the ledger change, and what the lane waits for.

What an outcome does to a row is decided in `entries`, the search for a record at fault in `refusals`. The hub's or the
account's fault is the lane's to wait out, never a record's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.sync.answers import Effect, Reason, Scope, Verdict
from oicp_adapter.sync.entries import (
    acknowledged,
    acknowledgement,
    called_bad,
    count_bad,
    doubted,
    failed,
    hub_takes_others,
    pending,
    untouched,
    withdrawn,
)
from oicp_adapter.sync.exchange import Exchange, Settled, late_until
from oicp_adapter.sync.model import Action, Entry, Intent, Policy, Position, Record
from oicp_adapter.sync.pacing import backoff, longest_wait
from oicp_adapter.sync.refusals import after_refusal

PATIENCE_WITH_SILENCE: Final = 3
"""Unknown outcomes in a row after which a record is suspected rather than the hub, and its request halved."""

SINGLE_SILENCES: Final = 2
"""So many while it was alone in its request before the record is called bad: a hub may fall silent by chance."""


def settle(exchange: Exchange, entries: Mapping[CanonicalEvseId, Entry], position: Position) -> Settled:
    """
    Write the outcome of a request into the books.

    Args:
        entries: The ledger rows of its records as they are now; not asked for unless `needs_entries`.
        position: The lane's row as it is now.

    Returns:
        All rows to save. What an acknowledged insert, update or full load does to its rows is the store's to write in
        one statement, so its `entries` are empty.
    """
    verdict = exchange.verdict
    if exchange.intent.action is Action.FULL_LOAD and _reached_the_hub(verdict):
        position = replace(position, full_load_tried_at=exchange.intent.started_at, full_load_requested_at=None)
    if verdict.effect is Effect.APPLIED:
        return _after_success(exchange, entries, position)
    rows = _rows(exchange.intent, entries)
    if verdict.effect is Effect.UNKNOWN:
        return _after_silence(rows, exchange, position)
    if verdict.scope is Scope.RECORD:
        return after_refusal(rows, exchange, position)
    return Settled([untouched(entry, exchange) for _, entry in rows], _after_trouble(exchange, position))


def needs_entries(exchange: Exchange) -> bool:
    """Tell whether the ledger's rows decide on what an outcome changes in them."""
    return exchange.verdict.effect is not Effect.APPLIED or exchange.intent.action is Action.DELETE


def in_full(settled: Settled, entries: Mapping[CanonicalEvseId, Entry]) -> Settled:
    """Return an outcome with every row that it changes, for those who keep a ledger of their own."""
    done = settled.acknowledged
    if done is None:
        return settled
    rows = [acknowledged(done, record, entry) for record, entry in _rows(done.intent, entries)]
    return replace(settled, entries=rows, acknowledged=None)


def abandon(
    intent: Intent, entries: Mapping[CanonicalEvseId, Entry], position: Position, *, now: datetime, policy: Policy
) -> Settled:
    """
    Write off a request whose outcome nobody will ever record, because its process died or lost the lane.

    The caller has waited out `intent.silent_until`. A full load's rows are the store's to put in doubt.
    """
    saved = [
        _abandoned(doubted(entry, intent, now, policy), record, len(intent.records), position, now)
        for record, entry in _rows(intent, entries)
    ]
    position = replace(_with_full_load_doubt(position, intent, now, policy), silent_until=None)
    if intent.action is Action.FULL_LOAD:
        position = replace(position, full_load_tried_at=intent.started_at, full_load_requested_at=None)
    return Settled(saved, position)


def _rows(intent: Intent, entries: Mapping[CanonicalEvseId, Entry]) -> Sequence[tuple[Record, Entry]]:
    return [(r, entries.get(r.canonical) or Entry(r.canonical, r.evse_id)) for r in intent.records]


def _reached_the_hub(verdict: Verdict) -> bool:
    """Tell whether the hub dealt with the request itself, so that sending the same again makes no sense."""
    return verdict.effect is not Effect.NOT_APPLIED or verdict.scope is Scope.RECORD


def _after_success(exchange: Exchange, entries: Mapping[CanonicalEvseId, Entry], position: Position) -> Settled:
    flipped = position.flip_first or any(item.entry.flipped for item in exchange.work.values())
    after = replace(_performed(position, exchange), flip_first=flipped)
    match exchange.intent.action:
        case Action.FULL_LOAD:
            return Settled((), after)
        case Action.DELETE:
            rows = _rows(exchange.intent, entries)
            return Settled([withdrawn(record, entry, exchange, position) for record, entry in rows], after)
        case _:
            return Settled((), after, acknowledged=acknowledgement(exchange, position))


def _performed(position: Position, exchange: Exchange) -> Position:
    proven = exchange.intent.action is Action.FULL_LOAD
    return replace(
        position,
        silent_until=None,
        wait_until=None,
        failures=0,
        hold_reason=None,
        hold_detail=None,
        last_success_at=exchange.now,
        refused_streak=0,
        full_load_at=exchange.intent.started_at if proven else position.full_load_at,
        distrusted_at=None if proven else position.distrusted_at,
    )


def _after_trouble(exchange: Exchange, position: Position) -> Position:
    """Let the lane wait: it is held by an account fault, else it backs off; what was never sent waits for nothing."""
    verdict = exchange.verdict
    if verdict.reason is None or verdict.reason is Reason.NOT_SENT:
        return replace(position, silent_until=None)
    failures = position.failures + 1
    pause = backoff(failures, exchange.draw, longest=longest_wait(verdict.reason))
    held = verdict.scope is Scope.ACCOUNT
    return replace(
        position,
        silent_until=None,
        wait_until=exchange.now + max(pause, verdict.retry_after or timedelta()),
        failures=failures,
        hold_reason=verdict.reason if held else None,
        hold_detail=verdict.detail if held else None,
    )


def _after_silence(rows: Sequence[tuple[Record, Entry]], exchange: Exchange, position: Position) -> Settled:
    intent, now, policy = exchange.intent, exchange.now, exchange.policy
    saved: list[Entry] = []
    for record, entry in rows:
        row = failed(doubted(pending(entry, exchange), intent, now, policy), record, exchange)
        if len(rows) == 1:
            row = replace(row, failed_singly=row.failed_singly + 1)
        if row.failures >= PATIENCE_WITH_SILENCE:
            if len(rows) > 1:
                row = replace(row, batch_cap=len(rows) // 2)
            elif row.failed_singly >= SINGLE_SILENCES and hub_takes_others(row, position):
                row = called_bad(row, now, exchange.draw)
        saved.append(row)
    to_blame = bool(saved) and all(hub_takes_others(entry, position) for entry in saved)
    failures = position.failures + (0 if to_blame else 1)
    pause = timedelta() if to_blame else backoff(failures, exchange.draw)
    wait = max(policy.settle, pause, exchange.verdict.retry_after or timedelta())
    position = replace(
        _with_full_load_doubt(position, intent, now, policy),
        silent_until=now + policy.settle,
        wait_until=now + wait,
        failures=failures,
        hold_reason=None,
        hold_detail=None,
    )
    return Settled(saved, position, count_bad(saved))


def _abandoned(entry: Entry, record: Record, size: int, position: Position, now: datetime) -> Entry:
    """Count a death as a failure: a record that kills the process must leave healthy company, and then wait alone."""
    failures, first_failed_at = entry.failures + 1, entry.first_failed_at or now
    entry = replace(entry, failures=failures, first_failed_at=first_failed_at, refused_status=record.status)
    if failures < PATIENCE_WITH_SILENCE:
        return entry
    entry = replace(entry, batch_cap=max(1, size // 2))
    if size > 1 or not hub_takes_others(entry, position):
        return entry
    return called_bad(entry, now, 0.0)


def _with_full_load_doubt(position: Position, intent: Intent, now: datetime, policy: Policy) -> Position:
    if intent.action is not Action.FULL_LOAD:
        return position
    debt = late_until(intent, policy)
    return replace(position, doubted_before=now, debt_at=max(position.debt_at or debt, debt))
