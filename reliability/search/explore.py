"""Follows all moves from the beginning of a scenario, breadth first, and stops at the first violation."""

import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from .clock import Clock
from .hands import Hands
from .healing import Healing
from .invariants import in_state
from .moves import Moves
from .parts import NOW, Books, Ghost, Process, Shop, State
from .scenario import Budget, Scenario
from .world import World

HEALED: Final = "nothing goes wrong any more"
"""In a trace, before the steps of the continuation that does not converge."""

_KEY: Final = Struct("<7I")


@dataclass(frozen=True, slots=True)
class Violation:
    """
    An invariant that does not hold.

    Attributes:
        words: Which, and how.
        trace: The moves that lead there, the fewest that do.
    """

    words: str
    trace: tuple[str, ...]

    @property
    def invariant(self) -> str:
        """Its number, as I1."""
        return self.words.split(":")[0]

    @property
    def moves(self) -> tuple[str, ...]:
        """The moves until something was wrong, without the continuation that shows it."""
        until = self.trace.index(HEALED) if HEALED in self.trace else len(self.trace)
        return self.trace[:until]

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:>2}. {move}" for number, move in enumerate(self.trace, start=1))
        return f"{self.words}\n{steps}"


@dataclass(frozen=True, slots=True)
class Report:
    """
    What came of searching a scenario.

    Attributes:
        depth: Moves on the longest of the shortest ways to a state.
        exhausted: Every state was reached; else the quota ended the search.
        slowest: Longest virtual time that a continuation took to converge, in seconds.
    """

    scenario: Scenario
    states: int
    transitions: int
    depth: int
    exhausted: bool
    seconds: float
    slowest: float
    promised: float
    violation: Violation | None


class Search:
    """One search; the traces are told from where each state was first reached."""

    def __init__(self, scenario: Scenario, hands: Hands | None = None) -> None:
        self.world = World(scenario, hands)
        clock = Clock(self.world)
        self.moves = Moves(self.world, clock)
        self.healing = Healing(self.world, self.moves, clock)
        self._scenario = scenario
        self._parents = array("L", [0])
        self._names: dict[str, int] = {"": 0}
        self._moved_by = array("L", [0])

    def run(self, states: int | None = None) -> Report:
        """
        Search until all is reached, enough is, or an invariant breaks.

        Args:
            states: How many distinct states are enough; None: the scenario's quota, zero: nothing less than all.
        """
        began = time.process_time()
        limit = (self._scenario.quota if states is None else states) or sys.maxsize
        start = self.beginning()
        seen = {_KEY.pack(*start)}
        frontier = deque([(start, 0, 0)])
        transitions = depth = 0
        violation = self._judge(start, 0)
        while frontier and violation is None and len(seen) < limit:
            state, number, depth = frontier.popleft()
            for move in self.moves.of(state):
                transitions += 1
                if move.violation:
                    violation = Violation(move.violation, (*self._trace(number), move.name))
                    break
                key = _KEY.pack(*move.state)
                if key in seen:
                    continue
                seen.add(key)
                self._parents.append(number)
                self._moved_by.append(self._names.setdefault(move.name, len(self._names)))
                place = len(self._parents) - 1
                violation = self._judge(move.state, place)
                if violation:
                    break
                frontier.append((move.state, place, depth + 1))
        return Report(
            self._scenario,
            states=len(seen),
            transitions=transitions,
            depth=depth,
            exhausted=not frontier,
            seconds=time.process_time() - began,
            slowest=self.healing.slowest.total_seconds(),
            promised=self.healing.promised.total_seconds(),
            violation=violation,
        )

    def follow(self, names: Sequence[str]) -> tuple[State, str | None]:
        """
        Take the moves of a trace from the beginning.

        Returns:
            Where they lead, and what is violated there or by the last of them.

        Raises:
            LookupError: A move of that name is not possible there.
        """
        state, words = self.beginning(), None
        for name in names:
            found = next((move for move in self.moves.of(state) if move.name == name), None)
            if found is None:
                raise LookupError(f"{self._scenario.name}: {name!r} cannot happen there")
            state, words = found.state, found.violation
        judged = self._judge(state, 0)
        return state, words or (None if judged is None else judged.words)

    def beginning(self) -> State:
        """Return the state in which the whole fleet is in sync, brought about by the lane itself."""
        world, size = self.world, self.world.size
        rows = self._scenario.rows
        hints = tuple(1 if row is not None else 0 for row in rows)
        hinted_at = tuple(NOW if row is not None else None for row in rows)
        shop = Shop(rows, ((),) * size, hints, hinted_at, frozenset())
        ghost = Ghost(quiet_until=(None,) * self._scenario.replicas, waited=(0,) * size)
        process = world.processes.number(Process())
        empty = State(
            shop=world.shops.number(shop),
            books=world.books.number(Books((None,) * size, world.nobody(), None)),
            hub=world.hubs.number((None,) * size),
            net=world.nets.number(()),
            processes=world.crews.number((process,) * self._scenario.replicas),
            ghost=world.ghosts.number(ghost),
            budget=world.budgets.number(Budget()),
        )
        return self.healing.end(empty)._replace(
            ghost=world.ghosts.number(ghost), budget=world.budgets.number(self._scenario.budget)
        )

    def _judge(self, state: State, number: int) -> Violation | None:
        if words := in_state(self.world, state):
            return Violation(words, self._trace(number))
        if words := self.healing.check(state):
            return Violation(words, (*self._trace(number), HEALED, *self.healing.told(state)))
        return None

    def _trace(self, number: int) -> tuple[str, ...]:
        names = list(self._names)
        steps: list[str] = []
        while number:
            steps.append(names[self._moved_by[number]])
            number = self._parents[number]
        return tuple(reversed(steps))
