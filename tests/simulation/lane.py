"""
Runs one lane in memory: the production decisions over dictionaries, virtual time, and the simulator's pure hub.

1. A turn takes the steps of `sync.steps` in the order of the worker; a `crash` forgets all that is not in `Books`.
2. Time moves only here: by a round trip, by a time-out, or to the next instant at which anything can happen.
"""

import heapq
import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId, evse_key
from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import StatusMapping, TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import Delivery, Fault, Request
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.simulator.wire import HubAnswer, read_push
from oicp_adapter.sync.answers import Answer, Effect, Progress, TransportFault, Verdict
from oicp_adapter.sync.assess import Circumstances, judge_rows
from oicp_adapter.sync.classify import classify
from oicp_adapter.sync.exchange import Exchange, Settled
from oicp_adapter.sync.guard import GUARD_SPAN, LONG_SPAN, WithdrawalCount
from oicp_adapter.sync.lease import claim, holds
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Intent,
    Observation,
    Policy,
    Position,
    Presence,
    Record,
    StatusRow,
    Work,
)
from oicp_adapter.sync.pacing import ready_at
from oicp_adapter.sync.plan import plan
from oicp_adapter.sync.schedule import full_load_due
from oicp_adapter.sync.settle import in_full
from oicp_adapter.sync.steps import clear, commit_to, look_at, record

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
OPERATOR = "DE*ABC"
KEYS = frozenset({"DEABC"})
ROUND_TRIP = timedelta(milliseconds=100)
DELTAS_ONLY = Policy(full_load_at="")


def evse(number: int) -> EvseId:
    return EvseId(f"DE*ABC*E{number}")


class Hint(NamedTuple):
    number: int
    canonical: CanonicalEvseId
    at: datetime


class Sent(NamedTuple):
    """One request as the lane saw it."""

    at: datetime
    ended_at: datetime
    action: Action
    evses: tuple[EvseId, ...]
    verdict: Verdict


class CrashError(Exception):
    """The process died here."""


@dataclass(slots=True)
class Books:
    """What survives a crash: the shared tables and the adapter's own."""

    rows: dict[EvseId, StatusRow] = field(default_factory=dict)
    windows: list[tuple[CanonicalEvseId, Window]] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    ledger: dict[CanonicalEvseId, Entry] = field(default_factory=dict)
    position: Position = field(default_factory=Position)
    intent: Intent | None = None
    full_load: dict[CanonicalEvseId, tuple[Record, datetime | None]] = field(default_factory=dict)


class Lane:
    """
    One lane with its store, its hub and its clock.

    Attributes:
        sent: Every request that left.
        crash_at: Called with the name of each step just taken; may raise `CrashError`.
        quarantined: How many records were called bad so far.
    """

    def __init__(
        self,
        *,
        policy: Policy = DELTAS_ONLY,
        hub: HubOptions = HubOptions(),  # noqa: B008 - frozen
        seed: int = 0,
        mapping: StatusMapping | None = None,
    ) -> None:
        self.policy = policy
        self.mapping = mapping or StatusMapping()
        self.hub = Hub(hub)
        self.faults = FaultBook()
        self.books = Books()
        self.now = START
        self.dice = random.Random(seed)  # noqa: S311 - a test's dice
        self.sent: list[Sent] = []
        self.quarantined = 0
        self.held_states: set[str] = set()
        self.crash_at: Callable[[str], None] = lambda _step: None
        self._numbers = itertools.count(1)
        self._processes = itertools.count(1)
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._reborn()

    # what other programs do

    def write(self, evse_id: str, status: str) -> None:
        """Write a row of `evse_status`; the trigger leaves a hint."""
        self.books.rows[EvseId(evse_id)] = StatusRow(EvseId(evse_id), OperatorId(OPERATOR), status, self.now)
        self._hint(evse_id)

    def remove(self, evse_id: str) -> None:
        self.books.rows.pop(EvseId(evse_id), None)
        self._hint(evse_id)

    def window(self, evse_id: str, kind: TemporaryStatus, start: datetime, end: datetime | None) -> None:
        self.books.windows.append((evse_key(evse_id), Window(next(self._numbers), kind, start, end)))
        self._hint(evse_id)

    def fleet(self, size: int, status: str = "Available") -> None:
        for number in range(size):
            self.write(evse(number), status)

    def at(self, instant: datetime, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (instant, next(self._numbers), event))

    def inject(self, **fault: object) -> int:
        return self.faults.add(Fault.model_validate(fault))

    def approve(self) -> None:
        """Let a person approve every withdrawal that is held."""
        for key, entry in self.books.ledger.items():
            if entry.held_since is not None:
                self.books.ledger[key] = replace(entry, approved_at=self.now, approved_by="someone", due_at=self.now)

    # what should be and what is

    def expected(self) -> Mapping[str, str]:
        """Return the OICP status that the hub should hold of each EVSE."""
        wanted: dict[str, str] = {}
        for key in {evse_key(evse_id) for evse_id in self.books.rows}:
            winner, _ = judge_rows(self._rows_of(key), KEYS)
            if winner is not None:
                wanted[key] = resolve(winner.status, self._windows_of(key), self.now, self.mapping).oicp.value
        return wanted

    def at_hub(self) -> Mapping[str, str]:
        return self.hub.statuses(OPERATOR)

    @property
    def converged(self) -> bool:
        return dict(self.at_hub()) == dict(self.expected())

    def bad(self) -> set[str]:
        """Return the EVSEs whose own backoff runs."""
        return {key for key, entry in self.books.ledger.items() if entry.retry_at and entry.retry_at > self.now}

    def entry(self, evse_id: str) -> Entry:
        return self.books.ledger[evse_key(evse_id)]

    def since(self, instant: datetime) -> Sequence[Sent]:
        return [one for one in self.sent if one.at >= instant]

    # the clock

    def run(self, duration: timedelta, *, until: Callable[[], bool] | None = None) -> None:
        """Let virtual time pass, turn by turn; stop early when *until* holds."""
        end = self.now + duration
        turns = 0
        while self.now < end and not (until and until()):
            turns += 1
            assert turns < 200_000, "the lane spins"
            try:
                busy = self.turn()
            except CrashError:
                self.crash()
                continue
            if not busy:
                self._advance(min(self._next_instant(), end))

    def quiet(self, limit: timedelta = timedelta(hours=2)) -> None:
        """Run until the hub holds what it should and nothing is pending, in doubt or owed."""
        self.run(limit, until=lambda: self.converged and self.clean())

    def clean(self) -> bool:
        books = self.books
        return (
            not books.hints
            and books.intent is None
            and not self._unseen
            and all(e.pending_since is None and e.doubted_at is None for e in books.ledger.values())
        )

    def crash(self) -> None:
        """Lose what is in memory; another process takes over when the lease has run out."""
        self._reborn()

    def _reborn(self) -> None:
        self.holder = f"process {next(self._processes)}"
        self.epoch: int | None = None
        self._unseen: list[CanonicalEvseId] = []
        self._doubted_before: datetime | None = None

    def _advance(self, instant: datetime) -> None:
        while self._events and self._events[0][0] <= instant:
            at, _, event = heapq.heappop(self._events)
            self.now = max(self.now, at)
            self.hub.due(self.now)
            event()
        self.now = max(self.now, instant)
        self.hub.due(self.now)

    def _next_instant(self) -> datetime:
        """Return when anything can happen next; a lane that waits looks again after a second."""
        instants = [self.now + timedelta(seconds=60)]
        books = self.books
        instants += [instant for instant, *_ in self._events[:1]]
        if (late := self.hub.next_due()) is not None:
            instants.append(late)
        expires = books.position.expires_at
        if self.epoch is None:
            instants.append(expires or self.now)
        elif books.intent is not None:
            instants.append(books.intent.silent_until)
        else:
            ready = ready_at(books.position, self.now, self.policy.requests_per_minute)
            due = [entry.due_at for entry in books.ledger.values() if entry.due_at is not None]
            instants.append(max(ready, self.now if books.hints or self._unseen else min(due, default=instants[0])))
        return max(min(instants), self.now + timedelta(milliseconds=1))

    # one turn of the worker

    def turn(self) -> bool:
        """Take the steps of one push; False: nothing could be done now."""
        books = self.books
        position = claim(books.position, self.holder, self.now, self.policy, sole=False)
        if position is None:
            self.epoch = None
            return False
        books.position = position
        if self.epoch != position.epoch:
            self.epoch = position.epoch
            self._sweep()
        self.crash_at("claimed")
        if books.intent is not None:
            settled = clear(books.intent, self._entries(books.intent), position, now=self.now, policy=self.policy)
            if settled is None:
                return False
            self._write(settled)
            self.crash_at("cleared")
            return True
        if books.position.hold_reason is not None:
            self.held_states.add(books.position.hold_reason)
        if ready_at(books.position, self.now, self.policy.requests_per_minute) > self.now:
            return False
        return self._push_next()

    def _push_next(self) -> bool:
        if self._full_load_possible():
            return self._push(Action.FULL_LOAD, (), [], suspect=False)
        chosen = plan(self._observe(), self.books.position, self.policy)
        self.crash_at("observed")
        if chosen is None:
            return bool(self._unseen or self.books.hints)
        return self._push(chosen.action, [item.record for item in chosen.work], chosen.work, suspect=chosen.suspect)

    def _push(self, action: Action, records: Sequence[Record], work: Sequence[Work], *, suspect: bool) -> bool:
        books = self.books
        assert holds(books.position, self.holder, self.epoch or 0, self.now)
        intent, books.position = commit_to(
            action, records, books.position, now=self.now, policy=self.policy, suspect=suspect
        )
        books.intent = intent
        self.crash_at("committed")
        body = [record for record, _ in books.full_load.values()] if action is Action.FULL_LOAD else records
        answer = self._exchange(intent, body)
        self.crash_at("answered")
        verdict = classify(answer, len(body))
        self.sent.append(Sent(intent.started_at, self.now, action, tuple(item.evse_id for item in body), verdict))
        sent_for = {item.record.canonical: item for item in work}
        exchange = Exchange(intent, verdict, self.now, self.policy, self.dice.random(), sent_for)
        recorded = record(books.intent, exchange, self._entries(intent), books.position)
        assert recorded is not None
        settled = in_full(recorded, self._entries(intent))
        if action is Action.FULL_LOAD:
            self._close_full_load(intent, verdict)
        self._write(settled)
        self.crash_at("recorded")
        return True

    def _exchange(self, intent: Intent, records: Sequence[Record]) -> Answer:
        """Carry a request to the hub and its answer back; the request arrives after half a round trip."""
        self._advance(self.now + ROUND_TRIP / 2)
        body = json.dumps(
            {
                "ActionType": intent.action.value,
                "OperatorEvseStatus": {
                    "OperatorID": OPERATOR,
                    "EvseStatusRecord": [{"EvseID": item.evse_id, "EvseStatus": item.status.value} for item in records],
                },
            }
        ).encode()
        effect = self.faults.strike(Request(OPERATOR, read_push(body)))
        answer = self.hub.push(OPERATOR, None, body, self.now, process_id=f"p{intent.attempt}", effect=effect)
        self.crash_at("applied")
        late = effect.answer_after > self.policy.request_timeout
        if effect.delivery is Delivery.SILENT or late:
            self._advance(self.now + self.policy.request_timeout)
            return Answer(Progress.SENT, TransportFault.TIMEOUT)
        self._advance(self.now + ROUND_TRIP / 2 + effect.answer_after)
        if effect.delivery is not Delivery.WHOLE:
            return Answer(Progress.SENT, TransportFault.CUT)
        return self._answer(answer)

    def _answer(self, answer: HubAnswer) -> Answer:
        retry_after = answer.headers.get("Retry-After")
        return Answer(
            Progress.SENT, http_status=answer.http_status, body=answer.body, retry_after=retry_after, date=self.now
        )

    def _observe(self) -> Sequence[Work]:
        books, most = self.books, self.policy.max_records
        read = books.hints[: 2 * most]
        changed: dict[CanonicalEvseId, datetime] = {}
        for hint in read:
            changed.setdefault(hint.canonical, hint.at)
        due = sorted(
            (entry for entry in books.ledger.values() if entry.due_at is not None and entry.due_at <= self.now),
            key=lambda entry: entry.due_at or self.now,
        )
        quotas = (
            [entry.canonical for entry in due if not entry.failures][:most],
            [entry.canonical for entry in due if entry.failures][:most],
            self._unseen[:most],
        )
        wanted = dict.fromkeys([*changed, *itertools.chain(*quotas)])
        seen = [
            Observation(key, self._rows_of(key), self._windows_of(key), books.ledger.get(key), changed.get(key))
            for key in wanted
        ]
        at = Circumstances(self.now, KEYS, self.mapping, self.policy, books.position.doubted_before)
        found = look_at(seen, at, lambda: self._withdrawals(list(wanted)))
        books.ledger.update({entry.canonical: entry for entry in found.save})
        for key in found.forget:
            del books.ledger[key]
        numbers = {hint.number for hint in read}
        books.hints = [hint for hint in books.hints if hint.number not in numbers]
        self._unseen = self._unseen[most:]
        return found.work

    def _withdrawals(self, looked_at: Sequence[CanonicalEvseId]) -> WithdrawalCount:
        books = self.books
        withdrawn = [
            self.now - entry.withdrawn_at
            for entry in books.ledger.values()
            if entry.withdrawn_at and entry.approved_at is None
        ]
        recent = sum(age < GUARD_SPAN for age in withdrawn)
        earlier = sum(GUARD_SPAN <= age < LONG_SPAN for age in withdrawn)
        present = [entry for entry in books.ledger.values() if entry.presence is not Presence.ABSENT]
        gone = [
            entry
            for entry in present
            if entry.approved_at is None
            and entry.withdrawn_at is None
            and judge_rows(self._rows_of(entry.canonical), KEYS)[0] is None
            and (entry.canonical in looked_at or entry.held_since or entry.pending_since)
        ]
        return WithdrawalCount(size=len(present) + recent, recent=recent, pending=len(gone), earlier=earlier)

    def _write(self, settled: Settled) -> None:
        books = self.books
        if books.intent is not None and books.intent.action is Action.FULL_LOAD:
            books.full_load = {}
        books.ledger.update({entry.canonical: entry for entry in settled.entries})
        books.position = settled.position
        books.intent = None
        self.quarantined += settled.quarantined
        if books.position.doubted_before != self._doubted_before:
            self._sweep()

    def _sweep(self) -> None:
        """Look at every EVSE once, as the sweep of the store would make the lane do."""
        keys = [evse_key(evse_id) for evse_id in self.books.rows]
        self._doubted_before = self.books.position.doubted_before
        self._unseen = list(dict.fromkeys([*keys, *self.books.ledger]))

    def _full_load_possible(self) -> bool:
        """Take a snapshot if a full load is due and nothing could be lost by it."""
        books = self.books
        owed = books.position.debt_at is not None and books.position.debt_at > self.now
        if owed or not full_load_due(books.position, self.now, self.policy):
            return False
        while books.hints or self._unseen:
            self._observe()
        if any(
            e.doubted_at or e.debt_at or e.failures or e.held_since or (not e.withdrawn_at and self._is_gone(e))
            for e in books.ledger.values()
        ):
            return False
        at = Circumstances(self.now, KEYS, self.mapping, self.policy, books.position.doubted_before)
        if any(at.in_doubt(entry) for entry in books.ledger.values()):
            return False
        books.full_load = {}
        for key in {evse_key(evse_id) for evse_id in books.rows}:
            winner, _ = judge_rows(self._rows_of(key), KEYS)
            if winner is not None:
                found = resolve(winner.status, self._windows_of(key), self.now, self.mapping)
                books.full_load[key] = Record(key, winner.evse_id, found.oicp), found.valid_until
        return bool(books.full_load)

    def _is_gone(self, entry: Entry) -> bool:
        return judge_rows(self._rows_of(entry.canonical), KEYS)[0] is None

    def _close_full_load(self, intent: Intent, verdict: Verdict) -> None:
        """Write what the store writes in one statement after a full load."""
        if verdict.effect is not Effect.APPLIED:
            return
        reassert = intent.started_at + self.policy.reassert_every
        for key, (sent, boundary) in self.books.full_load.items():
            before = self.books.ledger.get(key) or Entry(key, sent.evse_id)
            debt = before.debt_at if before.debt_at and before.debt_at > intent.started_at else None
            self.books.ledger[key] = replace(
                before,
                evse_id=sent.evse_id,
                acknowledged=sent.status,
                acknowledged_at=self.now,
                asserted_at=intent.started_at,
                presence=Presence.PRESENT,
                doubted_at=None,
                debt_at=debt,
                pending_since=None,
                attempt=intent.attempt,
                due_at=min(instant for instant in (reassert, boundary, debt) if instant is not None),
            )

    def _rows_of(self, key: str) -> Sequence[StatusRow]:
        if key.startswith("DEABCE") and not self.respelt:
            direct = self.books.rows.get(EvseId(f"DE*ABC*{key[5:]}"))
            return [direct] if direct is not None else []
        return sorted(
            (row for row in self.books.rows.values() if evse_key(row.evse_id) == key), key=lambda r: r.evse_id
        )

    respelt = False
    """Set by a test that writes several spellings of one EVSE; without it rows are found by their usual spelling."""

    def _windows_of(self, key: str) -> Sequence[Window]:
        return [window for canonical, window in self.books.windows if canonical == key]

    def _entries(self, intent: Intent) -> Mapping[CanonicalEvseId, Entry]:
        ledger = self.books.ledger
        return {item.canonical: ledger[item.canonical] for item in intent.records if item.canonical in ledger}

    def _hint(self, evse_id: str) -> None:
        self.books.hints.append(Hint(next(self._numbers), evse_key(evse_id), self.now))
