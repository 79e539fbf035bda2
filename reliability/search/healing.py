"""
Continues from any state as if nothing went wrong any more, and tells whether and when the hub converges.

1. Nobody writes and nothing fails. Processes that sleep wake up, with what they remember. A lost request that may land
   does so at the last moment.
2. A situation that is known to converge ends the continuation, so that a state costs a few steps.
3. A re-assertion (A3) is beyond the horizon: everything converges without.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from oicp_adapter.sync.lease import RECORDING_TIME
from oicp_adapter.sync.pacing import FIRST_QUARANTINE
from oicp_adapter.sync.settle import PATIENCE_WITH_SILENCE

from .clock import Clock
from .moves import Move, Moves
from .parts import COMMITTED, IDLE, NOW, SENT, Ghost, Process, Push, State
from .scenario import Budget, Scenario
from .world import World

LONGEST: Final = 400
"""Steps after which a continuation goes round in circles."""

SHOWN: Final = 40
NO_TIME: Final = timedelta()
IDLING: Final = Process(IDLE)
Situation = tuple[int, int, int, int, int]


class Step(NamedTuple):
    """One step of a continuation, and the virtual time that it takes."""

    name: str
    state: State
    took: timedelta = NO_TIME


class Healing:
    """
    The continuations of one world.

    Attributes:
        slowest: The longest virtual time that one took.
        promised: Within which each must converge.
    """

    def __init__(self, world: World, moves: Moves, clock: Clock) -> None:
        self._world = world
        self._moves = moves
        self._clock = clock
        self._known: dict[Situation, timedelta] = {}
        nothing = Ghost(quiet_until=(None,) * world.scenario.replicas, waited=(-LONGEST,) * world.size)
        self._nothing = {"budget": world.budgets.number(Budget()), "ghost": world.ghosts.number(nothing)}
        self.slowest = NO_TIME
        self.promised = bound(world.scenario)

    def check(self, state: State) -> str | None:
        """Tell what is wrong about the continuation from a state; None: it converges in time."""
        path: list[tuple[Situation, timedelta]] = []
        here = state
        while (known := self._known.get(here[:5])) is None:
            step = self.step(here._replace(**self._nothing))
            if step is None:
                if wrong := self._wrong(here):
                    return f"I1: {wrong}"
                known = self._known[here[:5]] = NO_TIME
                break
            if len(path) > LONGEST:
                return "I1: it never comes to rest"
            path.append((here[:5], step.took))
            here = step.state
        for situation, took in reversed(path):
            known += took
            self._known[situation] = known
        self.slowest = max(self.slowest, known)
        if known > self.promised:
            return f"I1: it takes {known.total_seconds():g} s to converge, {self.promised.total_seconds():g} s promised"
        return None

    def told(self, state: State) -> Sequence[str]:
        """Return the names of the steps from a state to the end of its continuation, at most so many as are read."""
        names: list[str] = []
        while len(names) < SHOWN and (step := self.step(state._replace(**self._nothing))) is not None:
            names.append(step.name)
            state = step.state
        return names

    def end(self, state: State) -> State:
        """Return the state at the end of a continuation."""
        for _ in range(LONGEST):
            state = state._replace(**self._nothing)
            step = self.step(state)
            if step is None:
                return state
            state = step.state
        raise AssertionError(f"{self._world.scenario.name}: the fleet never gets in sync")

    def step(self, state: State) -> Step | None:
        """Take the next step; None: nothing is left to happen."""
        world, moves = self._world, self._moves
        crew = [world.processes.values[number] for number in world.crews.values[state.processes]]
        for which, process in enumerate(crew):
            if process != IDLING:
                return _step(self._advance(state, which, process))
        for place, one in enumerate(world.nets.values[state.net]):
            if one.lands_by <= NOW:
                return _step(moves.land(state, place, healed=True))
        for which in range(len(crew)):
            found = world.decide(state.shop, state.books, which)
            if found is not None and found.decided.urgent:
                return _step(moves.commit(state, which, found))
            for move in moves.sweep(state, which):
                return _step(move)
        by = self._clock.ahead(state, waiting_for_people=False)
        return None if by is None else Step(f"{by.total_seconds():g} s pass", self._clock.later(state, by), by)

    def _advance(self, state: State, which: int, process: Process) -> Move:
        """Let a process that is not idle take its next step."""
        moves, push = self._moves, process.push
        if process.stopped:
            return moves.wake(state, which)
        if push is None:
            return next(moves.resume(state, which, process))
        if process.phase == SENT:
            return self._answer(state, which, process, push)
        step = moves.send if process.phase == COMMITTED else moves.record
        return step(state, which, process)

    def _answer(self, state: State, which: int, process: Process, push: Push) -> Move:
        """Let a request be performed, then its answer arrive, unless its sender slept too long."""
        moves, late = self._moves, self._moves.is_late(process)
        if push.reply is not None and not late:
            return moves.arrive(state, which, process)
        if push.reply is None and push.lands_by is not None and not late:
            return moves.performed(state, which, process, healed=True)
        return moves.time_out(state, which, process)

    def _wrong(self, state: State) -> str | None:
        """Tell what is wrong at the end of a continuation."""
        world = self._world
        books, hub, wanted = world.books.values[state.books], world.hubs.values[state.hub], world.wanted(state.shop)
        if books.intent is not None:
            return "an intent is left open for ever"
        for evse, row in enumerate(books.entries):
            if row is not None and row.held_since is not None:
                continue
            if hub[evse] != wanted[evse]:
                return f"the hub holds {hub[evse]} of E{evse} for ever, the store says {wanted[evse]}"
            if row is not None and (row.doubted_at or row.debt_at or row.pending_since or row.retry_at):
                return f"E{evse} is right but stays in the backlog for ever"
        return None


def bound(scenario: Scenario) -> timedelta:
    """
    Return the promised time to convergence: the lease of whoever died, the silence, T_late, and what follows it.

    That is FAULTS.md's "Sure" with the lease before it. Windows that lie ahead come on top, and the backoff of a record
    that was called bad: a poisonous one, or one that looks so, since its requests were lost so often and others not.
    """
    policy = scenario.policy
    lease = max(policy.lease, policy.send_within + policy.request_timeout + RECORDING_TIME)
    silence = policy.send_within + policy.request_timeout + policy.settle
    late = policy.send_within + policy.late_apply
    windows = [plan.end or plan.start for plan in scenario.windows]
    suspect = scenario.poison is not None or (
        len(scenario.rows) > 1 and scenario.budget.faults >= PATIENCE_WITH_SILENCE
    )
    bad = FIRST_QUARANTINE * 1.1 if suspect else NO_TIME
    return lease + silence + late + max(windows, default=NO_TIME) + bad + scenario.slow


def _step(move: Move) -> Step:
    return Step(move.name, move.state)
