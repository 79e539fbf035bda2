"""
Carries one lane's changes to the hub: takes the steps of `sync.steps` inside the store's transactions, and sends.

1. Nothing is sent before its intent is committed, and nothing is recorded unless that very intent is still there.
2. Hints are consumed in the transaction that writes what replaces them: ledger rows, or the intent.
3. `_exchange` is the one fact that lives in memory only: a request whose outcome is not recorded yet. It is set before
   anything can happen to the request, so an error at any point leaves the worst case standing there, not nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from oicp_adapter.daemon.lane import LaneIdentity, LaneResources, Push
from oicp_adapter.daemon.lane_full_load import LaneFullLoad
from oicp_adapter.daemon.lane_sweep import LaneSweep
from oicp_adapter.daemon.trust import StoreTrust
from oicp_adapter.domain.errors import StoreError
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.lane_transaction import LaneTransaction
from oicp_adapter.store.lanes import Look
from oicp_adapter.sync.answers import Answer, Effect, Progress, TransportFault, Verdict
from oicp_adapter.sync.assess import Circumstances
from oicp_adapter.sync.classify import classify
from oicp_adapter.sync.exchange import Exchange
from oicp_adapter.sync.identity import StoreIdentity
from oicp_adapter.sync.lease import ask, claim, lane_state, outlasts, release, yields
from oicp_adapter.sync.model import Action, Intent, LaneState, Policy, Position
from oicp_adapter.sync.pacing import ready_at
from oicp_adapter.sync.plan import REPEATED_AT_ONCE, plan, surplus
from oicp_adapter.sync.settle import needs_entries
from oicp_adapter.sync.steady import NOTHING_STEADY, Sorted, sort_steady
from oicp_adapter.sync.steps import Round, clear, commit_to, look_at, record

BUSY_LOOK: Final = timedelta(milliseconds=5)
"""Between two looks while there is traffic."""

IDLE_LOOK: Final = {"sqlite": timedelta(milliseconds=100), "postgresql": timedelta(milliseconds=200)}
"""Between two looks when nothing happened for a while; a server must be woken for each, which costs 0.7 ms."""

BUSY_FOR: Final = timedelta(seconds=2)
"""After the last change a lane counts as busy for so long."""

RENEW_EVERY: Final = timedelta(seconds=4)
"""Between two renewals of a lease (a third of it, if shorter); also how soon a person's full load is seen."""

ABSORB_EVERY: Final = timedelta(seconds=1)
"""While a lane waits, hints are turned into ledger rows this often, so that neither table grows with the outage."""

LOOK_AHEAD: Final = 100
"""Changes looked at beyond what one request holds, to find what becomes less usable; each costs a second look."""

CLOCK_STEP: Final = timedelta(seconds=1)
"""A clock that went back further was set back; less is how clocks are."""


class LaneWorker:
    """The worker of one lane; not safe for use by several threads, and needs none."""

    def __init__(
        self,
        identity: LaneIdentity,
        resources: LaneResources,
        *,
        policy: Policy,
        mapping: StatusMapping,
        sweep_every: timedelta,
        shadow: bool = False,
    ) -> None:
        """
        Start with nothing known: the first turn takes the lease or stands by.

        Args:
            sweep_every: Between two full comparisons.
            shadow: Compute and log what would be sent, and send nothing.
        """
        self._identity = identity
        self._store = resources.store
        self._client = resources.client
        self._telemetry = resources.telemetry
        self._draw = resources.draw
        self._clock = resources.clock
        self._trust = StoreTrust(
            identity.operator_id,
            policy=policy,
            telemetry=resources.telemetry,
            witness=resources.witness,
            counted=resources.counted,
            sole=identity.sole,
        )
        self._policy = policy
        self._mapping = mapping
        self._sweep = LaneSweep(resources.store, resources.telemetry, sweep_every)
        self._full_load = LaneFullLoad(identity, resources, self._sweep, policy)
        self._shadow = shadow
        self._exchange: tuple[Push, Answer] | None = None
        self._epoch: int | None = None
        self._now = datetime.min.replace(tzinfo=UTC)
        self._idle_look = IDLE_LOOK[self._store.store.dialect]
        self._due: dict[str, datetime] = {}
        self._next_due: datetime | None = None
        self._send_before = 0.0
        self._repeats = False  # more is to be asserted anew than one request takes
        self._retry_now = False

    def turn(self) -> timedelta:
        """
        Do what is to be done now: at most one push and one page of a sweep.

        Returns:
            How long nothing is due; zero: call again at once.

        Raises:
            StoreError: The store could not be read or written; what was in memory is kept for the next turn.
        """
        self.record()
        push = self.prepare()
        if push is not None:
            self.send(push)
            self.record()
        swept = self._epoch is not None and self._sweep.advance(self._now)
        if push is not None or swept:
            return timedelta()
        return self._pause()

    def prepare(self) -> Push | None:
        """Commit the intent of the next push; None: nothing is to be pushed now."""
        self._telemetry.trace.looks()
        look = self._store.look()
        self._trust.heed_clock(look.now)
        if self._now - look.now > CLOCK_STEP:
            self._due.clear()  # what was due at instants that are far away now
            self._sweep.forget_schedule()
            self._full_load.forget_schedule()
        self._now = look.now
        self._next_due = look.due_at
        self._telemetry.hintless(self._store.hintless)
        found = self._store.unrecognised()
        if found is None and not self._must_act(look):
            return None
        # The watch starts before the database's clock is read: a slow commit then eats from our time, not from the
        # silence that a successor keeps.
        self._send_before = self._clock() + self._policy.send_within.total_seconds()
        with self._store.transaction() as books:
            push = self._decide(books, found)
            if push is not None:
                # If the commit below fails, nobody can tell whether the intent is there; but it was never sent.
                self._exchange = push, Answer(Progress.NOT_SENT, TransportFault.DEADLINE_BEFORE_SEND)
        self._store.recognised = True
        self._trust.committed(books)
        return push

    def send(self, push: Push) -> Answer:
        """Send a push; whatever happens from here on, its outcome stands in `_exchange`."""
        self._telemetry.trace.sends()
        self._exchange = push, Answer(Progress.SENT, TransportFault.CUT, "the exchange ended with an error of our own")
        try:
            answer = self._client.push(push.request, send_before=push.send_before)
        except StoreError as error:
            # The records of a full load could not be read to their end, so the hub has no whole request.
            answer = Answer(Progress.PARTLY_SENT, TransportFault.CUT, str(error))
        self._telemetry.trace.answered()
        self._exchange = push, answer
        return answer

    def record(self) -> None:
        """Write the outcome of the exchange into the books; without effect when there is none."""
        if self._exchange is None:
            return
        push, answer = self._exchange
        verdict = classify(answer, push.request.count)
        with self._store.transaction() as books:
            exchange = self._judged(push, verdict, books.now)
            travelled = [item.canonical for item in push.intent.records] if needs_entries(exchange) else []
            settled = record(books.intent, exchange, books.entries(travelled), books.position)
            if settled is not None:
                position = settled.position
                if push.intent.action is Action.FULL_LOAD:
                    began = books.now
                    self._full_load.close(books, push.intent, verdict.effect)
                    position = outlasts(position, push.intent, began, books.read_clock(), self._policy)
                books.save(settled.entries)
                if settled.acknowledged is not None:
                    books.acknowledge(settled.acknowledged)
                books.save_position(position)
                books.clear_intent()
            now = books.now
        self._trust.committed(books)
        self._exchange = None
        if push.intent.action is Action.FULL_LOAD:
            self._store.analyse_ledger()
        self._due.pop("ready", None)
        if settled is None:
            self._telemetry.overtaken(push.intent, answer.process_id)
            return
        self._sweep.doubt(settled.position.doubted_before)
        self._show_state(settled.position, None, now)
        self._telemetry.recorded(
            push.intent, push.work, answer=answer, verdict=verdict, settled=settled, size=push.request.count, now=now
        )
        if push.intent.attempt == 1 and push.intent.action is Action.FULL_LOAD and verdict.effect is Effect.APPLIED:
            self._telemetry.unmapped(self._store.unmapped_words())

    def retry_now(self) -> None:
        """
        End a wait at the next turn, since what it waited for may have come (a new certificate).

        A standby does so when it takes the lane over.
        """
        self._retry_now = True

    def release(self) -> None:
        """Record what is known and give the lease back, so that a standby takes over at once."""
        self.record()
        if self._epoch is None:
            return
        with self._store.transaction() as books:
            if books.position.holder == self._identity.holder and books.position.epoch == self._epoch:
                books.save_position(release(books.position, books.now))
        self._epoch = None

    @property
    def unrecorded(self) -> bool:
        """Whether an outcome waits for the store to take it."""
        return self._exchange is not None

    def _must_act(self, look: Look) -> bool:
        if self._is_due("renew"):
            return True
        if self._epoch is None:
            return look.free
        if self._retry_now:
            return True
        if not self._is_due("ready"):
            return look.hinted and self._is_due("absorb")
        return look.hinted or (look.due_at is not None and look.due_at <= look.now)

    def _pause(self) -> timedelta:
        if "busy" in self._due and not self._is_due("busy"):
            return BUSY_LOOK
        ready = self._due.get("ready", self._now)
        return min(self._idle_look, ready - self._now) if ready > self._now else self._idle_look

    def _decide(self, books: LaneTransaction, found: StoreIdentity | None) -> Push | None:
        """Take the lease, clear what an earlier holder left open, and find the next push."""
        self._now = now = books.now
        before = self._trust.position(books, found, epoch=self._epoch or 0)
        position = claim(before, self._identity.holder, now, self._policy, sole=self._identity.sole)
        self._due["renew"] = now + min(RENEW_EVERY, self._policy.lease / 3)
        if position is None:
            books.save_position(ask(before, self._identity.holder, now, self._leaders(books), self._identity.lane))
            self._stand_by(before)
            return None
        if position.wanted_by is not None and yields(position, self._identity.holder, now, self._leaders(books)):
            books.save_position(release(position, now))
            self._telemetry.given(position.wanted_by)
            self._epoch = None
            self._stand_by(before)
            return None
        if self._epoch != position.epoch:
            self._take_over(position)
        if self._retry_now:
            position = replace(position, wait_until=None)
            self._retry_now = False
        position = self._clear_intent(books, position)
        open_until = [books.intent.silent_until] if books.intent is not None else []
        ready = max(ready_at(position, now, self._policy.requests_per_minute), *open_until, now)
        self._due["ready"] = ready
        push = None
        if ready <= now:
            push = self._next_push(books, position)
        elif self._is_due("absorb"):
            # Hints become ledger rows while the lane waits.
            self._find(books)
            books.save(self._observe(books, position, NOTHING_STEADY).save)
            books.consume_hints()
            self._due["absorb"] = now + ABSORB_EVERY
        if push is None:
            books.save_position(position)
        self._telemetry.read(now)
        self._show_state(position, books.intent, now)
        return push

    def _leaders(self, books: LaneTransaction) -> Mapping[str, str]:
        """Return who leads which of the lanes that this process serves."""
        return {lane: holder for lane, holder in books.leaders().items() if lane in self._identity.served}

    def _show_state(self, position: Position, intent: Intent | None, now: datetime) -> None:
        state = lane_state(position, intent, self._identity.holder, now)
        self._telemetry.state(state, position.hold_reason, position.hold_detail)

    def _stand_by(self, position: Position) -> None:
        if self._epoch is not None:
            self._telemetry.lost(position.holder, position.epoch)
        self._epoch = None
        self._sweep.stop()
        self._telemetry.state(LaneState.STANDBY)

    def _take_over(self, position: Position) -> None:
        self._telemetry.taken(position.epoch)
        self._epoch = position.epoch
        self._sweep.begin(position.doubted_before)

    def _clear_intent(self, books: LaneTransaction, position: Position) -> Position:
        """Put in doubt what an earlier holder, or this one before an error, left open; not before its silence ends."""
        intent = books.intent
        if intent is None:
            return position
        entries = books.entries([item.canonical for item in intent.records])
        settled = clear(intent, entries, position, now=books.now, policy=self._policy)
        if settled is None:
            return position
        if intent.action is Action.FULL_LOAD:
            self._full_load.close(books, intent, Effect.UNKNOWN)
        books.save(settled.entries)
        self._next_due = books.now
        books.clear_intent()
        self._telemetry.abandoned(intent)
        self._sweep.doubt(settled.position.doubted_before)
        return settled.position

    def _next_push(self, books: LaneTransaction, position: Position) -> Push | None:
        if not self._shadow and (full_load := self._full_load.begin(books, position)) is not None:
            return full_load
        self._find(books)
        steady = self._sort_steady(books, position)
        found = self._observe(books, position, steady)
        work = [*steady.work, *found.work]
        self._repeats = surplus(work) > 0
        chosen = None if self._shadow else plan(work, position, self._policy)
        # What travels is in the intent, and is written when its outcome is; everything else is written now.
        travels = {item.record.canonical for item in chosen.work} if chosen is not None else set()
        books.save([entry for entry in found.save if entry.canonical not in travels])
        books.consume_hints(but={item.record.canonical for item in steady.work} - travels)
        if self._shadow:
            self._show_shadow(found, position, books.now)
        if chosen is None:
            return None
        self._due["busy"] = books.now + BUSY_FOR
        records = [item.record for item in chosen.work]
        intent, taken = commit_to(
            chosen.action, records, position, now=books.now, policy=self._policy, suspect=chosen.suspect
        )
        books.write_intent(intent)
        books.save_position(taken)
        request = self._identity.request(chosen.action, records, len(records))
        return Push(intent, request, self._send_before, chosen.work)

    def _find(self, books: LaneTransaction) -> None:
        """Find what is hinted, and what is due if anything is."""
        most = self._policy.max_records
        looked_at = most + min(most, LOOK_AHEAD)
        waits = self._next_due is not None and self._next_due <= books.now
        due = min(looked_at, 2 * REPEATED_AT_ONCE) if self._repeats else looked_at
        books.find(hinted=looked_at, due=due if waits else 0, suspects=most if waits else 0)

    def _sort_steady(self, books: LaneTransaction, position: Position) -> Sorted:
        """Decide about the found EVSEs that need no more than a comparison; in shadow mode about none."""
        if self._shadow:
            return NOTHING_STEADY
        seen = books.steady(reassert_every=self._policy.reassert_every, doubted_before=position.doubted_before)
        return sort_steady(seen, self._circumstances(books, position))

    def _observe(self, books: LaneTransaction, position: Position, steady: Sorted) -> Round:
        """Look at the found EVSEs that are not steady; the caller saves the ledger rows and consumes the hints."""
        seen = books.observe(besides={*steady.quiet, *(item.record.canonical for item in steady.work)})
        found = look_at(seen, self._circumstances(books, position), books.withdrawal_count)
        books.forget(found.forget)
        books.replace_rejections([item.canonical for item in seen], found.rejected)
        self._telemetry.observed(found)
        return found

    def _circumstances(self, books: LaneTransaction, position: Position) -> Circumstances:
        return Circumstances(
            books.now, self._identity.operator_keys, self._mapping, self._policy, position.doubted_before
        )

    def _show_shadow(self, found: Round, position: Position, now: datetime) -> None:
        """Log what would be sent, and look again after a while."""
        would = plan(found.work, position, self._policy)
        if would is not None:
            self._telemetry.shadowed(would)
            self._due["ready"] = now + BUSY_FOR

    def _judged(self, push: Push, verdict: Verdict, now: datetime) -> Exchange:
        work = {item.record.canonical: item for item in push.work}
        return Exchange(push.intent, verdict, now, self._policy, self._draw(), work)

    def _is_due(self, what: str) -> bool:
        return self._due.get(what, self._now) <= self._now
