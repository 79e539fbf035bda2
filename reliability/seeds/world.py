"""
Keeps virtual time: events in their order, and actors that run the production code until they wait.

1. One thread runs at a time. An actor holds the baton from its wake to its next wait, so a run is what its seed says.
   Threads, because the worker is blocking code: so its own `turn` runs as it is, and is left and entered again in the
   middle of a push or a sweep, where a schedule made of its public steps could not.
2. No time passes but by events. An actor waits between transactions, never inside one: SQLite's lock is real.
3. True time is the hub's and the steady clocks'; the database's clock is true time plus a step that faults set.
"""

import heapq
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

START: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""True time at the beginning of each run."""

MOST_EVENTS: Final = 200_000
"""A run that needs more spins."""


class Crash(BaseException):
    """The process of an actor dies here; nothing but the harness may catch it."""


class SpinningError(AssertionError):
    """A run does not come to an end."""


class World:
    """
    Virtual time and everything that is to happen in it.

    Attributes:
        now: Microseconds since the start.
        clock_step: What the database's clock is ahead of true time.
        dice: For schedules; scenarios have dice of their own.
        lines: The trace.
    """

    def __init__(self, seed: int) -> None:
        self.now = 0
        self.clock_step = timedelta()
        self.dice = random.Random(f"schedule {seed}")
        self.lines: list[str] = []
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = count()
        self._performed = 0

    @property
    def true_time(self) -> datetime:
        """The time of the hub."""
        return START + timedelta(microseconds=self.now)

    def database_time(self) -> datetime:
        """Return what the store's clock says."""
        return self.true_time + self.clock_step

    def seconds(self) -> float:
        """Return true time in seconds since the start."""
        return self.now / 1e6

    def tell(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.lines.append(f"{self.now / 1e6:12.6f} {who:<9} {what}")

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        """Let something happen later."""
        heapq.heappush(self._events, (self.now + max(0, round(seconds * 1e6)), next(self._numbers), event))

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; tell whether *until* held before its end, asked whenever something has happened."""
        end = self.now + round(seconds * 1e6)
        while self._events and self._events[0][0] <= end:
            at, _, event = heapq.heappop(self._events)
            self.now = max(self.now, at)
            event()
            self._performed += 1
            if self._performed > MOST_EVENTS:
                raise SpinningError(f"{MOST_EVENTS} events and no end")
            if until is not None and until():
                return True
        self.now = end
        return False


class Actor:
    """
    A thread that runs only when the world lets it.

    Attributes:
        alive: It has not ended.
        paused_until: As if stopped by SIGSTOP: not woken before this time.
        waits: It waits idly, so that a poke wakes it.
    """

    def __init__(self, world: World, name: str, body: Callable[[], None]) -> None:
        self._world = world
        self.name = name
        self._body = body
        self._go = _taken_lock()
        self._back = _taken_lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._parked = 0
        self._doomed = False
        self._error: BaseException | None = None
        self.alive = True
        self.paused_until = 0
        self.waits = False
        self._thread.start()

    def begin(self, seconds: float) -> None:
        """Run for the first time after a while."""
        number = self._parked
        self._world.after(seconds, lambda: self._wake(number))

    def park(self, seconds: float, *, idle: bool = False) -> None:
        """Wait in virtual time; called by the actor itself."""
        if self._doomed:
            raise Crash  # what runs while the process dies takes no time
        self._parked += 1
        number = self._parked
        self.waits = idle
        self._world.after(seconds, lambda: self._wake(number))
        self._back.release()
        self._go.acquire()
        self.waits = False
        if self._doomed:
            raise Crash

    def poke(self, seconds: float) -> None:
        """End an idle wait."""
        if self.alive and self.waits:
            number = self._parked
            self._world.after(seconds, lambda: self._wake(number))

    @property
    def doomed(self) -> bool:
        """Whether it was killed, perhaps before it ran at all."""
        return self._doomed

    def kill(self) -> None:
        """Let the process die where it waits; called by others."""
        if self.alive:
            self._doomed = True
            self._switch()

    def _wake(self, number: int) -> None:
        if not self.alive or number != self._parked:
            return
        if self._world.now < self.paused_until:
            self._world.after((self.paused_until - self._world.now) / 1e6, lambda: self._wake(number))
            return
        self._switch()

    def _switch(self) -> None:
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._body()
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001 - carried to the world, which raises it
            self._error = error
        finally:
            self.alive = False
            self._back.release()


def _taken_lock() -> threading.Lock:
    """Return a lock that one thread waits for and another gives; it costs a fifth of a semaphore."""
    lock = threading.Lock()
    lock.acquire()
    return lock
