"""
Does to the store what the two transactions of a push do to it, as `daemon.worker` runs them.

1. Claim, clear, look, plan and commit are one transaction, recording is another: nothing between two of their steps can
   be seen by anybody.
2. What production asks the database for (what is due, how many are withdrawn, a full load) is answered here; what is
   decided from it is decided by production.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.sync.answers import Effect
from oicp_adapter.sync.assess import Circumstances, judge_rows
from oicp_adapter.sync.exchange import Exchange
from oicp_adapter.sync.guard import WithdrawalCount
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Intent,
    Observation,
    Position,
    Presence,
    Record,
    StatusRow,
    Work,
    WorkReason,
)
from oicp_adapter.sync.pacing import ready_at
from oicp_adapter.sync.schedule import full_load_due
from oicp_adapter.sync.steps import Round

from . import canonical
from .hands import Hands
from .parts import CANONICAL, COUNTED, EVSES, KEYS, NOW, NUMBER, OPERATOR, Books, Process, Push, Rows, Shop, holder
from .scenario import Scenario

MAPPING = StatusMapping()
Notes = tuple[tuple[datetime, datetime | None, bool], ...]


class Seen(NamedTuple):
    """What transaction 1 has read of the hints and of the statuses."""

    hints: tuple[int, ...]
    rows: Rows


class Decided(NamedTuple):
    """
    What transaction 1 did.

    Attributes:
        push: What is to be sent; None: nothing.
        epochs: By how much the lane's epoch was raised; `attempts` likewise.
        urgent: The worker would not wait with it.
        stale: What the request says that is not the newest value committed; None: nothing.
    """

    shop: Shop
    books: Books
    push: Push | None
    epochs: int
    attempts: int
    urgent: bool
    name: str
    stale: str | None = None


class Draft:
    """The books while a transaction is at work on them."""

    def __init__(self, books: Books, position: Position) -> None:
        self.ledger: dict[CanonicalEvseId, Entry] = {row.canonical: row for row in books.entries if row is not None}
        self.position = position
        self.intent: Intent | None = books.intent
        self.full_load = books.full_load
        self.looked = False
        self.waits = False

    def save(self, rows: Iterable[Entry]) -> None:
        self.ledger.update((row.canonical, row) for row in rows)

    def settle(self, rows: Iterable[Entry], position: Position, hands: Hands) -> None:
        """Take over what an outcome, or the lack of one, led to; the intent is gone with it."""
        for row in rows:
            kept = hands.kept(row)
            if kept is None:
                self.ledger.pop(row.canonical, None)
            else:
                self.ledger[kept.canonical] = kept
        self.position, self.intent, self.full_load = position, None, ()


def effective(shop: Shop, evse: int) -> str | None:
    """Return the OICP status that the hub should hold of an EVSE, None: it should hold none."""
    winner, _ = judge_rows(_rows(shop.rows, evse), KEYS)
    return None if winner is None else resolve(winner.status, shop.windows[evse], NOW, MAPPING).oicp.value


class Transactions:
    """The transactions of a lane in one scenario."""

    def __init__(self, scenario: Scenario, hands: Hands) -> None:
        self._scenario = scenario
        self._policy = scenario.policy
        self._hands = hands
        self._size = len(scenario.rows)

    # transaction 1

    def decide(self, shop: Shop, before: Books, which: int, seen: Seen) -> Decided | None:
        """Take the steps of `LaneWorker._decide`; None: nothing comes of it."""
        position = self._hands.claim(before.position, holder(which), self._policy, sole=self._scenario.sole)
        if position is None:
            return None
        if self._hands.counts_attempts_anew and position.epoch != before.position.epoch:
            position = replace(position, attempt=0)
        draft = Draft(before, position)
        if before.intent is not None:
            settled = self._hands.clear(before.intent, draft.ledger, position, self._policy)
            if settled is not None:
                draft.settle(settled.entries, settled.position, self._hands)
        silent = [draft.intent.silent_until] if draft.intent is not None else []
        ready = max(ready_at(draft.position, NOW, self._policy.requests_per_minute), *silent, NOW)
        push = None
        if ready <= NOW:
            push = self._full_load(draft, shop) or self._next_push(draft, shop, seen)
        else:
            draft.waits = True
            if any(seen.hints):
                draft.save(self._observe(draft, shop, seen).save)
        return self._close(draft, shop, before, seen, push)

    def _next_push(self, draft: Draft, shop: Shop, seen: Seen) -> Push | None:
        found = self._observe(draft, shop, seen)
        chosen = self._hands.plan(found.work, draft.position, self._policy)
        travels = {item.record.canonical for item in chosen.work} if chosen is not None else set()
        draft.save(row for row in found.save if row.canonical not in travels)
        if chosen is None:
            return None
        records = tuple(item.record for item in chosen.work)
        notes = tuple((canonical.age(item.since) or NOW, item.valid_until, item.entry.flipped) for item in chosen.work)
        return self._commit(draft, chosen.action, records, notes, suspect=chosen.suspect)

    def _commit(
        self, draft: Draft, action: Action, records: tuple[Record, ...], notes: Notes, *, suspect: bool
    ) -> Push:
        intent, draft.position = self._hands.commit_to(action, records, draft.position, self._policy, suspect=suspect)
        draft.intent = self._hands.written(intent)
        body = draft.full_load or tuple((NUMBER[item.canonical], item.status.value) for item in records)
        return Push(intent, notes, NOW + self._policy.send_within, body)

    def _observe(self, draft: Draft, shop: Shop, seen: Seen) -> Round:
        """Look at what is hinted or due, in the order of `LaneTransaction.observe`; the hints are consumed."""
        hinted = sorted((e for e in range(self._size) if seen.hints[e]), key=lambda e: shop.hinted_at[e] or NOW)
        due = [row for row in draft.ledger.values() if row.due_at is not None and row.due_at <= NOW]
        due.sort(key=lambda row: row.due_at or NOW)
        evses = dict.fromkeys([*hinted, *(NUMBER[row.canonical] for row in due)])
        observed = [self._observed(draft, shop, seen, evse) for evse in evses]
        at = Circumstances(NOW, KEYS, MAPPING, self._policy, draft.position.doubted_before)
        found = self._hands.look_at(observed, at, lambda: _withdrawals(draft, shop))
        for key in found.forget:
            del draft.ledger[key]
        draft.looked = True
        return found

    def _observed(self, draft: Draft, shop: Shop, seen: Seen, evse: int) -> Observation:
        changed_at = (shop.hinted_at[evse] or NOW) if seen.hints[evse] else None
        key = CANONICAL[evse]
        return Observation(key, _rows(seen.rows, evse), shop.windows[evse], draft.ledger.get(key), changed_at)

    def _full_load(self, draft: Draft, shop: Shop) -> Push | None:
        """Commit to a full load if one is due and neither loses nor withdraws anything, as `LaneWorker` does."""
        position, rows = draft.position, list(draft.ledger.values())
        if not full_load_due(position, NOW, self._policy):
            return None
        late = position.debt_at is not None and position.debt_at > NOW
        unsettled = any(row.doubted_at or row.debt_at or row.held_since or row.retry_at or row.failures for row in rows)
        missing = any(row.withdrawn_at is None and _may_be_at_the_hub(row) and not _stands(shop, row) for row in rows)
        carried = [
            (evse, resolve(word, shop.windows[evse], NOW, MAPPING))
            for evse, word in enumerate(shop.rows)
            if word is not None
        ]
        if late or unsettled or missing or not carried:
            return None
        draft.full_load = tuple((evse, found.oicp.value) for evse, found in carried)
        notes = tuple((NOW, found.valid_until, False) for _, found in carried)
        return self._commit(draft, Action.FULL_LOAD, (), notes, suspect=False)

    def _close(self, draft: Draft, shop: Shop, before: Books, seen: Seen, push: Push | None) -> Decided | None:
        """Bring the parts into form; None: all is as it was, but for the end of the lease."""
        epochs = draft.position.epoch - before.position.epoch
        attempts = 0 if self._hands.counts_attempts_anew else draft.position.attempt - before.position.attempt
        stale = push and _stale(shop, push)
        name = f"commits {_said(push)}" if push else "looks" if draft.looked else "takes the lease"
        if push is not None:
            own = replace(push.intent, epoch=COUNTED, attempt=push.intent.attempt - attempts)
            push = push._replace(intent=canonical.intent(own))
        left = _without(shop, seen.hints) if draft.looked else shop
        after = self._in_form(draft, before, epochs, attempts)
        changed = push is not None or left != shop or _more_than_the_lease(before, after)
        if not changed and not (epochs and before.intent is not None):
            return None
        cleared = before.intent is not None and after.intent is None
        urgent = push is not None or cleared or (changed and not draft.waits)
        return Decided(left, after, push, epochs, attempts, urgent, name, stale)

    def _in_form(self, draft: Draft, before: Books, epochs: int = 0, attempts: int = 0) -> Books:
        """Bring the books into form, once the lane's row has counted on."""
        lane, intent = draft.position, draft.intent
        rows: list[Entry | None] = []
        for key in CANONICAL[: self._size]:
            row = draft.ledger.get(key)
            if row is not None and attempts and canonical.is_suspect(row):
                row = replace(row, attempt=row.attempt and row.attempt - attempts)
            rows.append(row and canonical.entry(row, lane, before.position))
        if intent is not None:
            older = max(intent.epoch - epochs, canonical.OLDEST_EPOCH)
            intent = canonical.intent(replace(intent, epoch=older, attempt=intent.attempt - attempts))
        counted = replace(lane, epoch=COUNTED, attempt=lane.attempt - attempts)
        return Books(tuple(rows), canonical.position(counted, self._scenario), intent, draft.full_load)

    # transaction 2

    def record(self, before: Books, process: Process) -> Books:
        """Take the steps of `LaneWorker.record`; the same books: it wrote nothing."""
        push, verdict = process.push, process.verdict
        assert push is not None
        assert verdict is not None
        draft = Draft(before, before.position)
        travelled = zip(push.intent.records, push.notes, strict=False)  # a full load notes what no record stands for
        work = {item.canonical: _work(item, push.intent.action, *note) for item, note in travelled}
        exchange = Exchange(push.intent, verdict, NOW, self._policy, self._scenario.draw, work)
        entries = {key: row for key, row in draft.ledger.items() if key in work}
        settled = self._hands.record(before.intent, exchange, entries, before.position)
        if settled is None:
            return before
        if push.intent.action is Action.FULL_LOAD and verdict.effect is Effect.APPLIED:
            draft.save(self._loaded(draft, push))
        draft.settle(settled.entries, settled.position, self._hands)
        return self._in_form(draft, before)

    def _loaded(self, draft: Draft, push: Push) -> Sequence[Entry]:
        """Return what `store.full_load` writes in one statement once a full load is acknowledged."""
        started, again = push.intent.started_at, push.intent.started_at + self._policy.reassert_every
        rows: list[Entry] = []
        for (evse, status), (_, until, _) in zip(push.body, push.notes, strict=True):
            before = draft.ledger.get(CANONICAL[evse]) or Entry(CANONICAL[evse], EVSES[evse])
            owed = before.debt_at if before.debt_at and before.debt_at > started else None
            row = Entry(
                before.canonical,
                before.evse_id,
                acknowledged=OicpStatus(status),
                asserted_at=started,
                presence=Presence.PRESENT,
                debt_at=owed,
                attempt=push.intent.attempt,
                due_at=min(owed or again, until or again, again),
            )
            rows.append(row)
        return rows


def _withdrawals(draft: Draft, shop: Shop) -> WithdrawalCount:
    """Count as `store.withdrawals` does in SQL."""
    rows = [row for row in draft.ledger.values() if row.approved_at is None]
    gone = [row for row in rows if row.withdrawn_at is not None]
    there = [row for row in rows if _may_be_at_the_hub(row) and row.withdrawn_at is None]
    pending = [row for row in there if not _stands(shop, row) and _is_backlog(row, shop)]
    return WithdrawalCount(size=len(there) + len(gone), recent=len(gone), pending=len(pending))


def _is_backlog(row: Entry, shop: Shop) -> bool:
    if row.due_at is not None and row.due_at <= NOW:
        return True
    waits = row.pending_since or row.doubted_at or row.debt_at or row.held_since or row.retry_at
    return bool(waits or shop.hints[NUMBER[row.canonical]])


def _rows(rows: Rows, evse: int) -> Sequence[StatusRow]:
    word = rows[evse]
    return [] if word is None else [StatusRow(EVSES[evse], OPERATOR, word, None)]


def _stands(shop: Shop, row: Entry) -> bool:
    return shop.rows[NUMBER[row.canonical]] is not None


def _may_be_at_the_hub(row: Entry) -> bool:
    return row.presence is not Presence.ABSENT and (row.attempt > 0 or row.acknowledged is not None)


def _without(shop: Shop, consumed: tuple[int, ...]) -> Shop:
    hints = tuple(have - read for have, read in zip(shop.hints, consumed, strict=True))
    hinted_at = tuple(at if left else None for at, left in zip(shop.hinted_at, hints, strict=True))
    return shop._replace(hints=hints, hinted_at=hinted_at)


def _more_than_the_lease(before: Books, after: Books) -> bool:
    if before.entries != after.entries or before[2:] != after[2:]:
        return True
    lease = before.position.holder, before.position.expires_at, before.position.epoch
    return replace(after.position, holder=lease[0], expires_at=lease[1], epoch=lease[2]) != before.position


def _stale(shop: Shop, push: Push) -> str | None:
    """Find what a request says that is not what the store says at the commit of its intent."""
    action = push.intent.action
    for evse, status in push.body:
        newest = effective(shop, evse)
        if newest != (None if action is Action.DELETE else status):
            return f"{action} of E{evse}={status} while the store says {newest}"
    return None


def _work(record: Record, action: Action, since: datetime, until: datetime | None, flipped: bool) -> Work:  # noqa: FBT001 - a note, unpacked
    """Return what may matter of a record's work when its outcome is known."""
    entry = Entry(record.canonical, record.evse_id, flipped=flipped)
    return Work(record, action, WorkReason.CHANGED, since, urgent=False, entry=entry, valid_until=until)


def _said(push: Push) -> str:
    return f"{push.intent.action} " + " ".join(f"E{evse}={status}" for evse, status in push.body)
