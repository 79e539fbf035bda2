"""
Lists what can happen next in a world: each move with its name, the state that it leads to, and what it violates.

1. A writer's move is never disabled by the lane (I8): it asks for nothing but its own budget.
2. The client's check of the deadline and the first byte are one move. DESIGN §7 names the pause between them, followed
   by death, as what remains; it is excluded here, and so is the replay of a request that was answered (decision 15).
3. Time does not pass while a process that is not stopped could act, so to be slow is to be stopped, which is counted.
   Between a request and its answer it passes freely, but never past T_late of a request that may still land (A1).
4. Within transaction 1 no time passes: nobody sees when within it something happened, and the watch started before it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from oicp_adapter.sync.answers import Effect, Verdict

from . import canonical
from .clock import Clock
from .hub import CUT, NOT_SENT, TIMED_OUT, UNREACHABLE
from .invariants import at_commit, at_first_byte, at_record
from .parts import ANSWERED, COMMITTED, IDLE, NOW, READING, SENT, Floating, Process, Push, State, holder
from .surroundings import writes
from .transactions import Seen
from .world import Step, World


class Move(NamedTuple):
    """What can happen next; *violation* says which invariant it breaks."""

    name: str
    state: State
    violation: str | None = None


class Moves:
    """The moves of one world."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._scenario = world.scenario
        self._policy = world.scenario.policy
        self._limited = canonical.is_limited(world.scenario)
        self._written: dict[int, list[tuple[str, int]]] = {}
        self._spent: dict[tuple[int, str], int] = {}
        self._became: dict[tuple[int, object], int] = {}
        self._crews: dict[tuple[int, int, int], int] = {}

    def of(self, state: State) -> Iterator[Move]:
        """Yield every move from a state."""
        world = self._world
        crew = [world.processes.values[number] for number in world.crews.values[state.processes]]
        locked = any(process.phase == READING for process in crew)
        urgent = False
        for which, process in enumerate(crew):
            if process.stopped:
                yield self.wake(state, which)
            else:
                urgent = urgent or self._urgent(state, which, process)
                yield from self._steps(state, which, process, locked=locked)
            if process.phase == SENT:
                yield from self._on_the_way(state, which, process)
            yield from self._stops(state, which, process)
        yield from self._writes(state)
        yield from self._floating(state)
        if not urgent and (by := self._clock.ahead(state)):
            yield Move(f"{by.total_seconds():g} s pass", self._clock.later(state, by))

    # a process

    def _urgent(self, state: State, which: int, process: Process) -> bool:
        """Tell whether a process that is not stopped would not wait."""
        if process.phase == SENT:
            return _push(process).deadline in {NOW, canonical.PASSED}
        if process.phase != IDLE:
            return True
        step = self._world.decide(state.shop, state.books, which)
        return step is not None and step.decided.urgent

    def _steps(self, state: State, which: int, process: Process, *, locked: bool) -> Iterator[Move]:
        if process.phase == READING:
            yield from self.resume(state, which, process)
        elif process.phase == COMMITTED:
            yield self.send(state, which, process)
            if self._may(state, "faults"):
                unsent = self._answered(self._spend(state, "faults"), which, UNREACHABLE)
                yield Move(f"{holder(which)} cannot connect", unsent)
        elif process.phase == SENT:
            yield from self._waiting(state, which, process)
        elif locked:
            return  # the other replica's transaction holds the lane's lock
        elif process.phase == ANSWERED:
            yield from self._recording(state, which, process)
        else:
            yield from self._idle(state, which)

    def _idle(self, state: State, which: int) -> Iterator[Move]:
        step = self._world.decide(state.shop, state.books, which)
        if step is not None:
            if self._scenario.split_read and step.decided.urgent:
                yield Move(f"{holder(which)} begins to read", self._begun(state, which))
            else:
                yield from self._committing(state, which, step)
        yield from self.sweep(state, which)
        if self._may(state, "handovers") and (released := self._world.released(state.books, which)) is not None:
            spent = self._spend(state, "handovers")
            yield Move(f"{holder(which)} gives the lease back", spent._replace(books=released))

    def _begun(self, state: State, which: int) -> State:
        shop = self._world.shops.values[state.shop]
        if self._world.hands.statuses_first:
            return self._changed(state, which, Process(READING, rows=shop.rows))
        return self._changed(state, which, Process(READING, hints=shop.hints))

    def resume(self, state: State, which: int, process: Process) -> Iterator[Move]:
        """Read the rest, and commit transaction 1."""
        shop = self._world.shops.values[state.shop]
        first = self._world.hands.statuses_first
        seen = Seen(shop.hints, process.rows) if first else Seen(process.hints, shop.rows)
        step = self._world.decide(state.shop, state.books, which, seen)
        if step is None:
            yield Move(f"{holder(which)} finds nothing", self._changed(state, which, Process()))
        else:
            yield from self._committing(state, which, step)

    def _committing(self, state: State, which: int, step: Step) -> Iterator[Move]:
        move = self.commit(state, which, step)
        yield move
        if step.decided.push is not None and self._may(state, "faults"):
            # The worker was told that the commit failed, so it does not send; it reads again when it records.
            unsent = self._answered(self._spend(move.state, "faults"), which, NOT_SENT)
            yield move._replace(name=f"{move.name}, the commit's answer is lost", state=unsent)

    def commit(self, state: State, which: int, step: Step) -> Move:
        """Commit transaction 1 of a process."""
        decided = step.decided
        counted = self._counted(state, decided.epochs, decided.attempts)._replace(shop=step.shop, books=step.books)
        process = Process() if decided.push is None else Process(COMMITTED, decided.push)
        return Move(f"{holder(which)} {decided.name}", self._changed(counted, which, process), at_commit(decided))

    def send(self, state: State, which: int, process: Process) -> Move:
        """Let the first byte leave, unless it is too late for it."""
        push = _push(process)
        if not self._world.hands.may_send(push.send_before):
            return Move(f"{holder(which)} is too late to send", self._answered(state, which, NOT_SENT))
        ghost = self._world.ghosts.values[state.ghost]
        violation = at_first_byte(ghost, self._scenario)
        quiet_until = NOW + self._policy.request_timeout + self._policy.settle
        starts = (*ghost.starts, NOW) if self._limited else ()
        quiet = (*ghost.quiet_until[:which], quiet_until, *ghost.quiet_until[which + 1 :])
        state = state._replace(ghost=self._world.ghosts.number(ghost._replace(quiet_until=quiet, starts=starts)))
        deadline, lands_by = NOW + self._policy.request_timeout, NOW + self._policy.late_apply
        sent = self._become(
            state,
            which,
            "sent",
            lambda: Process(SENT, push._replace(deadline=deadline, lands_by=lands_by, send_before=canonical.PASSED)),
        )
        return Move(f"{holder(which)} sends the first byte", sent, violation)

    def _waiting(self, state: State, which: int, process: Process) -> Iterator[Move]:
        push, late, fails = _push(process), self.is_late(process), self._may(state, "faults")
        if push.reply is not None and not late:
            yield self.arrive(state, which, process)
        if not late and not fails:
            return
        verdict = TIMED_OUT if late or push.deadline == NOW else CUT
        given_up = self._given_up(state if late else self._spend(state, "faults"), which, verdict)
        name = f"{holder(which)} gives the request up ({verdict.reason})"
        may_land = push.lands_by is not None and push.lands_by >= NOW
        if push.reply is not None or not may_land:
            yield Move(name, given_up)
        if may_land:
            yield Move(f"{name}, it may still land", self._afloat(given_up, process))

    def is_late(self, process: Process) -> bool:
        """Tell whether a process slept past its request's deadline; that it gives up is not the network's fault."""
        return _push(process).deadline == canonical.PASSED

    def arrive(self, state: State, which: int, process: Process) -> Move:
        """Let the answer reach a process."""
        reply = _push(process).reply
        assert reply is not None
        until = NOW + self._policy.settle if reply.effect is Effect.UNKNOWN else None
        state = self._quiet(state, which, lambda _before: until)
        return Move(f"{holder(which)} receives the answer", self._answered(state, which, reply))

    def time_out(self, state: State, which: int, process: Process) -> Move:
        """Give a request up at its deadline; what was not performed may still land."""
        push = _push(process)
        after = self._given_up(state, which, TIMED_OUT)
        if push.reply is None and push.lands_by is not None and push.lands_by >= NOW:
            after = self._afloat(after, process)
        return Move(f"{holder(which)} gives the request up (timeout)", after)

    def _given_up(self, state: State, which: int, verdict: Verdict) -> State:
        settled = NOW + self._policy.settle
        state = self._quiet(state, which, lambda before: before and min(before, settled))
        return self._answered(state, which, verdict)

    def _recording(self, state: State, which: int, process: Process) -> Iterator[Move]:
        move = self.record(state, which, process)
        yield move
        if move.state.books != state.books and self._may(state, "faults"):
            again = self._spend(state._replace(books=move.state.books, ghost=move.state.ghost), "faults")
            yield move._replace(name=f"{move.name}, the commit's answer is lost", state=again)

    def record(self, state: State, which: int, process: Process) -> Move:
        """Commit transaction 2 of a process."""
        books = self._world.record(state.books, self._world.crews.values[state.processes][which])
        violation, ghost = at_record(self._world, state, books, process)
        name = f"{holder(which)} records" if books != state.books else f"{holder(which)} finds its intent gone"
        after = self._changed(state._replace(books=books, ghost=ghost), which, Process())
        return Move(name, after, violation)

    def sweep(self, state: State, which: int) -> Iterator[Move]:
        """Sweep, if a lost full load makes that worth while."""
        swept = self._world.swept(state.books)
        if swept != state.books:
            yield Move(f"{holder(which)} sweeps", state._replace(books=swept))

    # signals

    def wake(self, state: State, which: int) -> Move:
        """Continue a stopped process."""
        process = self._process(state, which)
        awake = self._become(state, which, "awake", lambda: process._replace(stopped=False))
        return Move(f"SIGCONT {holder(which)}", awake)

    def _stops(self, state: State, which: int, process: Process) -> Iterator[Move]:
        if not process.stopped and process.phase != READING and self._may(state, "pauses"):
            spent = self._spend(state, "pauses")
            stopped = self._become(spent, which, "stopped", lambda: process._replace(stopped=True))
            yield Move(f"SIGSTOP {holder(which)}", stopped)
        if not self._may(state, "crashes"):
            return
        books = self._world.crashed(state.books, which)
        if process == Process() and books == state.books:
            return
        dead = self._changed(self._spend(state, "crashes")._replace(books=books), which, Process())
        push = process.push
        if process.phase == SENT and push is not None and push.lands_by is not None and push.lands_by >= NOW:
            yield Move(f"{holder(which)} dies, its request may still land", self._afloat(dead, process))
            if push.reply is None:
                return
        yield Move(f"{holder(which)} dies", dead)

    # the network and the hub

    def _on_the_way(self, state: State, which: int, process: Process) -> Iterator[Move]:
        """What becomes of a request that the hub has not performed, whether its sender is stopped or not."""
        push = _push(process)
        if push.reply is not None or push.lands_by is None:
            return
        yield self.performed(state, which, process)
        if self._may(state, "faults"):
            for error in self._scenario.answers:
                yield self.performed(self._spend(state, "faults"), which, process, error=error)
        if push.lands_by <= NOW:
            vanished = process._replace(push=push._replace(lands_by=None))
            yield Move(f"{holder(which)}'s request vanishes", self._changed(state, which, vanished))

    def performed(
        self, state: State, which: int, process: Process, *, error: str | None = None, healed: bool = False
    ) -> Move:
        """Let the hub perform the request of a process."""
        push = _push(process)
        hub, verdict = self._world.perform(state.hub, push.intent.action, push.body, error=error, healed=healed)
        said = error or (f"{verdict.code}, refused" if verdict.effect is Effect.NOT_APPLIED else verdict.effect.value)
        replied = self._become(state, which, id(verdict), lambda: process._replace(push=push._replace(reply=verdict)))
        return Move(f"the hub performs {holder(which)}'s request: {said}", replied._replace(hub=hub))

    def _floating(self, state: State) -> Iterator[Move]:
        net = self._world.nets.values[state.net]
        for place, one in enumerate(net):
            if place and one == net[place - 1]:
                continue
            yield self.land(state, place)
            if one.lands_by <= NOW:
                rest = self._world.nets.number((*net[:place], *net[place + 1 :]))
                yield Move(f"a lost {one.action} vanishes", state._replace(net=rest))

    def land(self, state: State, place: int, *, healed: bool = False) -> Move:
        """Let the hub perform a request that nobody waits for."""
        net = self._world.nets.values[state.net]
        one = net[place]
        hub, _ = self._world.perform(state.hub, one.action, one.body, healed=healed)
        rest = self._world.nets.number((*net[:place], *net[place + 1 :]))
        said = " ".join(f"E{evse}={status}" for evse, status in one.body)
        return Move(f"a lost {one.action} {said} lands", state._replace(net=rest, hub=hub))

    def _afloat(self, state: State, process: Process) -> State:
        push = _push(process)
        assert push.lands_by is not None
        net = self._world.nets.values[state.net]
        floating = Floating(push.lands_by, push.intent.action, push.body)
        return state._replace(net=self._world.nets.number(tuple(sorted((*net, floating)))))

    # other programs and people

    def _writes(self, state: State) -> Iterator[Move]:
        if self._may(state, "writes"):
            spent = self._spend(state, "writes")
            for name, shop in self._writes_of(state.shop):
                yield Move(name, spent._replace(shop=shop, ghost=self._written_to(state, shop)))
        if self._may(state, "approvals"):
            books, held = self._world.approved(state.books)
            if held:
                ghost = self._world.ghosts.values[state.ghost]
                number = self._world.ghosts.number(ghost._replace(approved=ghost.approved | held))
                approved = self._spend(state, "approvals")._replace(books=books, ghost=number)
                yield Move("a person approves what is held", approved)
        if self._may(state, "full_loads"):
            books = self._world.full_load_requested(state.books)
            yield Move("a person asks for a full load", self._spend(state, "full_loads")._replace(books=books))

    def _writes_of(self, number: int) -> list[tuple[str, int]]:
        if number not in self._written:
            shops = self._world.shops
            found = writes(self._scenario, shops.values[number])
            self._written[number] = [(name, shops.number(shop)) for name, shop in found]
        return self._written[number]

    def _written_to(self, state: State, shop: int) -> int:
        """Forget the approval of what has come back, and that an EVSE waits whose change was taken back."""
        ghost = self._world.ghosts.values[state.ghost]
        if not ghost.approved and not any(ghost.waited):
            return state.ghost
        rows, wanted = self._world.shops.values[shop].rows, self._world.wanted(shop)
        held = self._world.hubs.values[state.hub]
        gone = frozenset(evse for evse in ghost.approved if rows[evse] is None)
        waited = tuple(0 if held[evse] == wanted[evse] else count for evse, count in enumerate(ghost.waited))
        return self._world.ghosts.number(ghost._replace(approved=gone, waited=waited))

    # parts

    def _process(self, state: State, which: int) -> Process:
        return self._world.processes.values[self._world.crews.values[state.processes][which]]

    def _answered(self, state: State, which: int, verdict: Verdict) -> State:
        push = _push(self._process(state, which))
        remembered = push._replace(deadline=None, lands_by=None, reply=None, send_before=canonical.PASSED)
        return self._become(state, which, ("answered", id(verdict)), lambda: Process(ANSWERED, remembered, verdict))

    def _quiet(self, state: State, which: int, change: Callable[[datetime | None], datetime | None]) -> State:
        """Change until when no other request may follow the one of a process."""
        ghost = self._world.ghosts.values[state.ghost]
        quiet = list(ghost.quiet_until)
        quiet[which] = change(quiet[which])
        return state._replace(ghost=self._world.ghosts.number(ghost._replace(quiet_until=tuple(quiet))))

    def _become(self, state: State, which: int, name: object, make: Callable[[], Process]) -> State:
        """Change a process in a way that depends on nothing but itself and the name of the change."""
        key = self._world.crews.values[state.processes][which], name
        number = self._became.get(key)
        if number is None:
            number = self._became[key] = self._world.processes.number(make())
        return self._with(state, which, number)

    def _changed(self, state: State, which: int, process: Process) -> State:
        return self._with(state, which, self._world.processes.number(process))

    def _with(self, state: State, which: int, process: int) -> State:
        key = state.processes, which, process
        found = self._crews.get(key)
        if found is None:
            crew = list(self._world.crews.values[state.processes])
            crew[which] = process
            found = self._crews[key] = self._world.crews.number(tuple(crew))
        return state._replace(processes=found)

    def _counted(self, state: State, epochs: int, attempts: int) -> State:
        """Let what processes remember fall behind as the lane's row counts on."""
        if not (epochs or attempts):
            return state
        world = self._world
        crew = [
            canonical.older_attempts(world.processes.values[one], epochs, attempts)
            for one in world.crews.values[state.processes]
        ]
        numbers = tuple(world.processes.number(process) for process in crew)
        return state._replace(processes=world.crews.number(numbers))

    def _may(self, state: State, what: str) -> bool:
        return bool(getattr(self._world.budgets.values[state.budget], what))

    def _spend(self, state: State, what: str) -> State:
        key = state.budget, what
        found = self._spent.get(key)
        if found is None:
            budget = self._world.budgets.values[state.budget]
            found = self._world.budgets.number(budget._replace(**{what: getattr(budget, what) - 1}))
            self._spent[key] = found
        return state._replace(budget=found)


def _push(process: Process) -> Push:
    assert process.push is not None
    return process.push
