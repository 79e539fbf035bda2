"""Builds exchanges with the hub and ledger rows, for the tests of what the books say afterwards."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, evse_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.answers import Effect, Reason, Scope, Verdict
from oicp_adapter.sync.exchange import Exchange, Settled
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Intent,
    Policy,
    Position,
    Presence,
    Record,
    Work,
    WorkReason,
)
from oicp_adapter.sync.settle import in_full, settle

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
POLICY = Policy()
DONE = Verdict(Effect.APPLIED, code="000")
SILENCE = Verdict(Effect.UNKNOWN, Scope.HUB, Reason.TIMEOUT)
REFUSED = Verdict(Effect.NOT_APPLIED, Scope.RECORD, Reason.INVALID_RECORD, "022", "Data error")
FULL = Verdict(Effect.NOT_APPLIED, Scope.HUB, Reason.RATE_LIMITED, retry_after=timedelta(seconds=90))
EXPIRED = Verdict(Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.UNAUTHORIZED, "017", "Unauthorized Access")
PROVEN = Position(last_success_at=NOON - SECOND)
"""A lane whose hub performed something a second ago."""


def evse(number: int) -> EvseId:
    return EvseId(f"DE*ABC*E{number}")


def present(number: int, **changes: object) -> Entry:
    entry = Entry(
        evse_key(evse(number)),
        evse(number),
        OicpStatus.AVAILABLE,
        acknowledged_at=NOON - HOUR,
        acknowledged_since=NOON - HOUR,
        asserted_at=NOON - HOUR,
        presence=Presence.PRESENT,
    )
    return replace(entry, **changes)  # type: ignore[arg-type]  # a test's shorthand


def request(action: Action, *entries: Entry) -> Intent:
    records = tuple(Record(entry.canonical, entry.evse_id, OicpStatus.OCCUPIED) for entry in entries)
    return Intent(1, 9, action, records, NOON - SECOND, NOON + 80 * SECOND)


def after(
    verdict: Verdict,
    *entries: Entry,
    action: Action = Action.UPDATE,
    position: Position = Position(),  # noqa: B008 - frozen
    work: Mapping[CanonicalEvseId, Work] | None = None,
) -> Settled:
    exchange = Exchange(request(action, *entries), verdict, NOON, POLICY, 0.5, work or {})
    books = {entry.canonical: entry for entry in entries}
    return in_full(settle(exchange, books, position), books)


def sent_for(entry: Entry, **facts: object) -> Mapping[CanonicalEvseId, Work]:
    record = Record(entry.canonical, entry.evse_id, OicpStatus.OCCUPIED)
    work = Work(record, Action.UPDATE, WorkReason.CHANGED, NOON, urgent=False, entry=entry)
    return {entry.canonical: work._replace(**facts)}  # type: ignore[arg-type]  # a test's shorthand


def batch(size: int, **changes: object) -> list[Entry]:
    return [present(number, **changes) for number in range(size)]


def one(settled: Settled) -> Entry:
    (entry,) = settled.entries
    return entry
