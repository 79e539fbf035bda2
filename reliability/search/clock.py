"""
Lets time pass in a world: to the next instant at which anything can change, and no further.

Time stands still while a request that may still land has no time left (A1).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.sync.pacing import ready_at

from . import canonical
from .parts import NOW, SENT, State, holder
from .world import World

STOP: Final = NOW - timedelta(days=1)
"""An instant that time must not pass before something else has happened."""


class Clock:
    """The time of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ahead: dict[tuple[str, int], timedelta | None] = {}
        self._later: dict[tuple[str, int, timedelta], int] = {}

    def ahead(self, state: State, *, waiting_for_people: bool = True) -> timedelta | None:
        """
        Return how long nothing can change; None: nothing is ahead, or time must not pass.

        Args:
            waiting_for_people: Weigh withdrawals again and again that only a person can release.
        """
        shortest: timedelta | None = None
        books = "books" if waiting_for_people else "books, but for what is held"
        for part, number in (("shop", state.shop), (books, state.books), ("net", state.net), ("crew", state.processes)):
            key = part, number
            if key not in self._ahead:
                self._ahead[key] = _nearest(self._instants(part, number))
            found = self._ahead[key]
            if found is not None and (shortest is None or found < shortest):
                shortest = found
        return shortest or None

    def _instants(self, part: str, number: int) -> Iterable[datetime | None]:
        world = self._world
        match part:
            case "shop":
                return [row.next_boundary(NOW) for rows in world.shops.values[number].windows for row in rows]
            case "net":
                return [one.lands_by if one.lands_by > NOW else STOP for one in world.nets.values[number]]
            case "crew":
                return self._of_crew(number)
            case _:
                return self._of_books(number, held=part == "books")

    def _of_crew(self, number: int) -> Iterable[datetime | None]:
        for one in self._world.crews.values[number]:
            process = self._world.processes.values[one]
            push = process.push
            if process.phase == SENT and push is not None:
                yield push.deadline
                if push.reply is None and push.lands_by is not None:
                    yield push.lands_by if push.lands_by > NOW else STOP

    def _of_books(self, number: int, *, held: bool) -> Iterable[datetime | None]:
        books, scenario = self._world.books.values[number], self._world.scenario
        lane = books.position
        yield from (lane.silent_until, lane.wait_until, lane.debt_at)
        if books.intent is not None:
            yield books.intent.silent_until
        if scenario.replicas > 1 or lane.holder != holder(0):
            yield lane.expires_at
        if lane.paced_at is not None:
            yield ready_at(lane, NOW, scenario.policy.requests_per_minute)
        for row in books.entries:
            if row is not None and (held or row.held_since is None):
                yield from (row.due_at, row.debt_at, row.retry_at)

    def later(self, state: State, by: timedelta) -> State:
        """Return the state after a while in which nothing else happens."""
        return State(
            self._moved("shop", state.shop, by),
            self._moved("books", state.books, by),
            state.hub,
            self._moved("net", state.net, by),
            self._moved("crew", state.processes, by),
            self._moved("ghost", state.ghost, by),
            state.budget,
        )

    def _moved(self, part: str, number: int, by: timedelta) -> int:
        key = part, number, by
        found = self._later.get(key)
        if found is None:
            found = self._later[key] = self._move(part, number, by)
        return found

    def _move(self, part: str, number: int, by: timedelta) -> int:
        world = self._world
        match part:
            case "shop":
                return world.shops.number(canonical.later_shop(world.shops.values[number], by))
            case "books":
                return world.books.number(canonical.later_books(world.books.values[number], by, world.scenario))
            case "net":
                return world.nets.number(canonical.later_net(world.nets.values[number], by))
            case "ghost":
                return world.ghosts.number(canonical.later_ghost(world.ghosts.values[number], by))
            case _:
                crew = [canonical.later_process(world.processes.values[one], by) for one in world.crews.values[number]]
                return world.crews.number(tuple(world.processes.number(process) for process in crew))


def _nearest(instants: Iterable[datetime | None]) -> timedelta | None:
    """Return how far the next instant is; None: none is within the horizon, zero: time must not pass."""
    ahead = [at for at in instants if at is not None and (NOW < at <= NOW + canonical.HORIZON or at == STOP)]
    return max(min(ahead) - NOW, timedelta()) if ahead else None
