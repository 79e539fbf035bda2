"""
Decides what the books say after an exchange with the hub.

Everything that turns a verdict into ledger rows and a lane's position lives in this file.

1. Only an acknowledgement writes `acknowledged`; it takes back a doubt, and a debt only if the push began after it.
2. An unknown outcome leaves doubt now and a debt for later: the lost request may land after its own correction.
3. A refusal that names nobody halves the request. A record alone in its request is refused twice, once for each belief
   about its existence, before it is called bad, and only if the hub took something else since it first failed and has
   not refused everything since: without that proof the lane is held instead. The belief itself changes by an
   acknowledgement alone, or when a delete is taken as done.
4. The hub's or the account's fault is the lane's to wait out, never a record's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.answers import Effect, ExistenceHint, Reason, Scope, Verdict
from oicp_adapter.sync.model import Acknowledgement, Action, Entry, Intent, Policy, Position, Presence, Record, Work
from oicp_adapter.sync.pacing import LONGEST_BACKOFF, LONGEST_QUARANTINE, backoff, longest_wait, quarantine

PATIENCE_WITH_SILENCE: Final = 3
"""Unknown outcomes in a row after which a record is suspected rather than the hub, and its request halved."""

SINGLE_SILENCES: Final = 2
"""So many while it was alone in its request before the record is called bad: a hub may fall silent by chance."""

EVERYTHING: Final = 8
"""Refusals in a row, none performed in between, after which the request is not to blame but something common."""

LONGEST_REFUSED: Final = timedelta(seconds=10)
"""While everything is refused one record is tried at least so often, since a healthy change waits behind it."""

PAUSE: Final = timedelta(seconds=1)
"""Between two attempts of a single record that nothing proves bad, or as long as it has been failing, to a minute."""

INSIST_FOR: Final = timedelta(hours=24)
"""A delete that was refused without a word is repeated every hour for so long, since a ghost would strand drivers."""


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
        return _after_refusal(rows, exchange, position)
    return Settled([_untouched(entry, exchange) for _, entry in rows], _after_trouble(exchange, position))


def needs_entries(exchange: Exchange) -> bool:
    """Tell whether the ledger's rows decide on what an outcome changes in them."""
    return exchange.verdict.effect is not Effect.APPLIED or exchange.intent.action is Action.DELETE


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
    doubted = [
        _abandoned(_doubted(entry, intent, now, policy), record, len(intent.records), position, now)
        for record, entry in _rows(intent, entries)
    ]
    position = replace(_with_full_load_doubt(position, intent, now, policy), silent_until=None)
    if intent.action is Action.FULL_LOAD:
        position = replace(position, full_load_tried_at=intent.started_at, full_load_requested_at=None)
    return Settled(doubted, position)


def late_until(intent: Intent, policy: Policy) -> datetime:
    """Return until when an unanswered request may still be applied: T_late after its first byte at the latest."""
    return intent.started_at + policy.send_within + policy.late_apply


def _rows(intent: Intent, entries: Mapping[CanonicalEvseId, Entry]) -> Sequence[tuple[Record, Entry]]:
    return [(r, entries.get(r.canonical) or Entry(r.canonical, r.evse_id)) for r in intent.records]


def _reached_the_hub(verdict: Verdict) -> bool:
    """Tell whether the hub dealt with the request itself, so that sending the same again makes no sense."""
    return verdict.effect is not Effect.NOT_APPLIED or verdict.scope is Scope.RECORD


def _acknowledgement(exchange: Exchange, position: Position) -> Acknowledgement:
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


def _withdrawn(record: Record, entry: Entry, exchange: Exchange, position: Position) -> Entry:
    """Turn the row of a deleted EVSE into a tombstone: what is owed and who approved it goes on."""
    gone = acknowledged(_acknowledgement(exchange, position), record, entry)
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


def _since(entry: Entry, acknowledged: OicpStatus | None, now: datetime) -> datetime:
    same = entry.acknowledged_at is not None and entry.acknowledged is acknowledged
    return (entry.acknowledged_since or now) if same else now


def _doubted(entry: Entry, intent: Intent, now: datetime, policy: Policy) -> Entry:
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


def _abandoned(entry: Entry, record: Record, size: int, position: Position, now: datetime) -> Entry:
    """Count a death as a failure: a record that kills the process must leave healthy company, and then wait alone."""
    failures, first_failed_at = entry.failures + 1, entry.first_failed_at or now
    entry = replace(entry, failures=failures, first_failed_at=first_failed_at, refused_status=record.status)
    if failures < PATIENCE_WITH_SILENCE:
        return entry
    entry = replace(entry, batch_cap=max(1, size // 2))
    if size > 1 or not _hub_takes_others(entry, position):
        return entry
    return _called_bad(entry, now, 0.0)


def _untouched(entry: Entry, exchange: Exchange) -> Entry:
    """Bring back a record whose request was not performed for a reason that is not its own."""
    return replace(_pending(entry, exchange), attempt=exchange.intent.attempt, due_at=exchange.now)


def _pending(entry: Entry, exchange: Exchange) -> Entry:
    """Note since when the hub differs, which a row whose record travelled was not given before."""
    if entry.pending_since is not None:
        return entry
    work = exchange.work.get(entry.canonical)
    if work is None:
        return replace(entry, pending_since=exchange.intent.started_at)
    return replace(entry, pending_since=work.since, pending_edge=work.edge)


def _after_success(exchange: Exchange, entries: Mapping[CanonicalEvseId, Entry], position: Position) -> Settled:
    flipped = position.flip_first or any(item.entry.flipped for item in exchange.work.values())
    after = replace(_performed(position, exchange), flip_first=flipped)
    match exchange.intent.action:
        case Action.FULL_LOAD:
            return Settled((), after)
        case Action.DELETE:
            rows = _rows(exchange.intent, entries)
            return Settled([_withdrawn(record, entry, exchange, position) for record, entry in rows], after)
        case _:
            return Settled((), after, acknowledged=_acknowledgement(exchange, position))


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
        failed = _failed(_doubted(_pending(entry, exchange), intent, now, policy), record, exchange)
        if len(rows) == 1:
            failed = replace(failed, failed_singly=entry.failed_singly + 1)
        if failed.failures >= PATIENCE_WITH_SILENCE:
            if len(rows) > 1:
                failed = replace(failed, batch_cap=len(rows) // 2)
            elif failed.failed_singly >= SINGLE_SILENCES and _hub_takes_others(failed, position):
                failed = _called_bad(failed, now, exchange.draw)
        saved.append(failed)
    to_blame = bool(saved) and all(_hub_takes_others(entry, position) for entry in saved)
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
    return Settled(saved, position, _bad(saved))


def _after_refusal(rows: Sequence[tuple[Record, Entry]], exchange: Exchange, position: Position) -> Settled:
    if len(rows) == 1 and _nothing_to_delete(rows[0][1], exchange, position):
        gone = [_taken_as_gone(_withdrawn(record, entry, exchange, position), exchange) for record, entry in rows]
        return Settled(gone, replace(position, silent_until=None))
    failed = [
        _failed(_untouched(_as_it_travelled(entry, exchange), exchange), record, exchange) for record, entry in rows
    ]
    position = replace(position, silent_until=None, refused_streak=position.refused_streak + 1)
    if len(failed) == 1:
        saved, position = _refused_single(failed[0], exchange, position)
    else:
        saved, position = _refused_batch(failed, exchange, position)
    if position.refused_streak < EVERYTHING:
        return Settled(saved, position, _bad(saved))
    released = [replace(entry, batch_cap=None) for entry in saved]
    failures = position.failures + 1
    held = replace(
        position,
        failures=failures,
        wait_until=exchange.now + backoff(failures, exchange.draw, longest=LONGEST_REFUSED),
        hold_reason=Reason.EVERYTHING_REFUSED,
        hold_detail=exchange.verdict.detail,
    )
    return Settled(released, held)


def _as_it_travelled(entry: Entry, exchange: Exchange) -> Entry:
    """Note under which belief it was sent, which the row of a record that travels was not given before."""
    work = exchange.work.get(entry.canonical)
    return entry if work is None else replace(entry, flipped=work.entry.flipped)


def _nothing_to_delete(entry: Entry, exchange: Exchange, position: Position) -> bool:
    """
    Tell whether a refused delete has reached its aim: the hub says so, or nobody knows that the EVSE was there.

    What is believed to be at the hub is insisted on for a day: a driver may stand before it.
    """
    if exchange.intent.action is not Action.DELETE:
        return False
    if exchange.verdict.existence is ExistenceHint.MISSING or entry.withdrawn_at is not None:
        return True
    if entry.failed_singly == 0 or not _hub_takes_others(entry, position):
        return False
    insisted = entry.first_failed_at is not None and exchange.now - entry.first_failed_at >= INSIST_FOR
    return insisted or entry.presence is not Presence.PRESENT


def _taken_as_gone(entry: Entry, exchange: Exchange) -> Entry:
    """Keep asking for a while when the hub did not say why it refused a delete: it need not be for existence."""
    again = exchange.now + LONGEST_QUARANTINE
    withdrawn_at = entry.withdrawn_at or exchange.now
    if exchange.verdict.existence is ExistenceHint.MISSING or again > withdrawn_at + INSIST_FOR:
        return entry
    return replace(entry, presence=Presence.UNKNOWN, debt_at=max(entry.debt_at or again, again))


def _refused_batch(
    entries: Sequence[Entry], exchange: Exchange, position: Position
) -> tuple[Sequence[Entry], Position]:
    """Take out the named records, or try the other belief, or halve."""
    verdict, action, half = exchange.verdict, exchange.intent.action, len(entries) // 2
    if verdict.bad_records:
        # A hub that names the wrong record must not lead us through the whole request one by one: so once only.
        rest = half if any(entry.failures > 1 for entry in entries) else None
        named = frozenset(verdict.bad_records)
        return [replace(entry, batch_cap=1 if at in named else rest) for at, entry in enumerate(entries)], position
    flipped_before = any(entry.flipped for entry in entries)
    if action is not Action.DELETE and not flipped_before and _existence_is_likely(entries, exchange, position):
        return [_to_try_the_other_way(entry) for entry in entries], position
    halved = [replace(entry, batch_cap=half, flipped=False) for entry in entries]
    return halved, replace(position, flip_first=position.flip_first and not flipped_before)


def _refused_single(entry: Entry, exchange: Exchange, position: Position) -> tuple[Sequence[Entry], Position]:
    """Try the other belief, then call the record bad; a later attempt begins with what is believed again."""
    about_existence = exchange.intent.action is not Action.DELETE and not exchange.verdict.bad_records
    tried = replace(
        entry,
        batch_cap=1,
        failed_singly=entry.failed_singly + 1,
        flipped=about_existence and not entry.flipped,
    )
    first_of_all = entry.failed_singly == 0 and not exchange.verdict.bad_records
    if tried.flipped:
        return [_to_try_the_other_way(tried)], position
    if first_of_all:
        return [tried], position
    # While a lost request may still land, its existence may change between two attempts, so they prove nothing.
    may_change = entry.debt_at is not None and entry.debt_at > exchange.intent.started_at
    if _hub_takes_others(entry, position) and not may_change:
        return [_called_bad(tried, exchange.now, exchange.draw)], position
    failing_for = exchange.now - (entry.first_failed_at or exchange.now)
    pause = min(max(PAUSE, failing_for), LONGEST_BACKOFF)
    return [replace(tried, due_at=exchange.now + pause)], position


def _to_try_the_other_way(entry: Entry) -> Entry:
    """Let the next attempt go against the belief; a refusal for existence is no silence that the record has caused."""
    return replace(entry, flipped=True, failures=1)


def _existence_is_likely(entries: Sequence[Entry], exchange: Exchange, position: Position) -> bool:
    """Tell whether a refused request should be tried whole under the other belief before it is halved."""
    if exchange.verdict.existence is not None or position.flip_first:
        return True
    return all(entry.presence is Presence.UNKNOWN for entry in entries)


def _failed(entry: Entry, record: Record, exchange: Exchange) -> Entry:
    return replace(
        entry,
        failures=entry.failures + 1,
        first_failed_at=entry.first_failed_at or exchange.now,
        retry_at=None,
        refusal=exchange.verdict.reason,
        refusal_detail=exchange.verdict.detail,
        refused_status=record.status,
    )


def _called_bad(entry: Entry, now: datetime, draw: float) -> Entry:
    """Give a record its own backoff, after which it is tried as it is believed to be."""
    retry_at = now + quarantine(now - (entry.first_failed_at or now), draw)
    return replace(entry, batch_cap=1, flipped=False, retry_at=retry_at, due_at=retry_at)


def _bad(entries: Sequence[Entry]) -> int:
    return sum(entry.retry_at is not None for entry in entries)


def _hub_takes_others(entry: Entry, position: Position) -> bool:
    """
    Tell whether the hub performed a request since this record first failed: then the record is to blame.

    A hub that has since refused one request after the other is no such proof any more.
    """
    if entry.first_failed_at is None or position.last_success_at is None or position.refused_streak >= EVERYTHING:
        return False
    return position.last_success_at > entry.first_failed_at


def _with_full_load_doubt(position: Position, intent: Intent, now: datetime, policy: Policy) -> Position:
    if intent.action is not Action.FULL_LOAD:
        return position
    debt = late_until(intent, policy)
    return replace(position, doubted_before=now, debt_at=max(position.debt_at or debt, debt))
