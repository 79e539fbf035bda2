"""
Decides what a refused request leaves in the books: looks for the record that is at fault.

1. A refusal that names nobody halves the request. A record alone in its request is refused twice, once for each belief
   about its existence, before it is called bad, and only if the hub took something else since it first failed and has
   not refused everything since: without that proof the lane is held instead.
2. The belief itself changes by an acknowledgement alone, or when a delete is taken as done.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from oicp_adapter.sync.answers import ExistenceHint, Reason
from oicp_adapter.sync.entries import (
    EVERYTHING,
    called_bad,
    count_bad,
    failed,
    hub_takes_others,
    untouched,
    withdrawn,
)
from oicp_adapter.sync.exchange import Exchange, Settled
from oicp_adapter.sync.model import Action, Entry, Position, Presence, Record
from oicp_adapter.sync.pacing import LONGEST_BACKOFF, backoff, quarantine

LONGEST_REFUSED: Final = timedelta(seconds=10)
"""While everything is refused one record is tried at least so often, since a healthy change waits behind it."""

PAUSE: Final = timedelta(seconds=1)
"""Between two attempts of a single record that nothing proves bad, or as long as it has been failing, to a minute."""

INSIST_FOR: Final = timedelta(hours=24)
"""A delete that was refused without a word is repeated for so long, since a ghost would strand drivers."""


def after_refusal(rows: Sequence[tuple[Record, Entry]], exchange: Exchange, position: Position) -> Settled:
    """
    Write into the books that the hub refused a request for its records.

    Args:
        rows: Its records in their order, each with its row of the ledger.
    """
    if len(rows) == 1 and _nothing_to_delete(rows[0][1], exchange, position):
        gone = [_taken_as_gone(withdrawn(record, entry, exchange, position), exchange) for record, entry in rows]
        return Settled(gone, replace(position, silent_until=None))
    refused = [
        failed(untouched(_as_it_travelled(entry, exchange), exchange), record, exchange) for record, entry in rows
    ]
    position = replace(position, silent_until=None, refused_streak=position.refused_streak + 1)
    if len(refused) == 1:
        saved, position = _refused_single(refused[0], exchange, position)
    else:
        saved, position = _refused_batch(refused, exchange, position)
    if position.refused_streak < EVERYTHING:
        return Settled(saved, position, count_bad(saved))
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
    if entry.failed_singly == 0 or not hub_takes_others(entry, position):
        return False
    insisted = entry.first_failed_at is not None and exchange.now - entry.first_failed_at >= INSIST_FOR
    return insisted or entry.presence is not Presence.PRESENT


def _taken_as_gone(entry: Entry, exchange: Exchange) -> Entry:
    """
    Keep asking when the hub did not say why it refused a delete: it need not be for existence.

    After a minute first, then as long as it has been taken for gone, at most an hour.
    """
    withdrawn_at = entry.withdrawn_at or exchange.now
    again = exchange.now + quarantine(exchange.now - withdrawn_at, exchange.draw)
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
    if hub_takes_others(entry, position) and not may_change:
        return [called_bad(tried, exchange.now, exchange.draw)], position
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
