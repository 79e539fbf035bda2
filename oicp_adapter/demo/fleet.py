"""
Makes a fleet live: sessions, faults and outages in OCPP words, and windows of all four kinds that start and end.

1. What happens follows from the state, the time and the generator that are given: one seed, one life.
2. Nothing here writes or reads a clock; `tables` writes what happens, as other programs would.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from random import Random
from typing import Final

from oicp_adapter.domain.statuses import Status, TemporaryStatus, parse_status


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A charger says something else."""

    evse_id: str
    status: Status


@dataclass(frozen=True, slots=True)
class WindowSet:
    """
    Somebody sets a temporary status.

    Attributes:
        reference: Its name, unique in one life; `WindowEnded` refers to it.
        valid_to: None: until ended.
    """

    reference: str
    evse_id: str
    kind: TemporaryStatus
    valid_from: datetime
    valid_to: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class WindowEnded:
    """Somebody ends a temporary status that was set until ended."""

    reference: str


Happening = StatusChanged | WindowSet | WindowEnded


class Manner(StrEnum):
    """How a window is set."""

    WITH_END = "with end"
    AHEAD = "ahead"
    UNTIL_ENDED = "until ended"
    TOMORROW = "tomorrow"


_AFTER: Final[Mapping[Status, Mapping[Status, float]]] = {
    Status.AVAILABLE: {Status.PREPARING: 92, Status.UNAVAILABLE: 3, Status.FAULTED: 2, Status.OFFLINE: 3},
    Status.PREPARING: {Status.CHARGING: 94, Status.AVAILABLE: 6},
    Status.CHARGING: {Status.SUSPENDED_EV: 40, Status.SUSPENDED_EVSE: 13, Status.FINISHING: 44, Status.FAULTED: 3},
    Status.SUSPENDED_EV: {Status.CHARGING: 30, Status.FINISHING: 70},
    Status.SUSPENDED_EVSE: {Status.CHARGING: 85, Status.FINISHING: 15},
    Status.FINISHING: {Status.AVAILABLE: 98, Status.FAULTED: 2},
    Status.FAULTED: {Status.AVAILABLE: 70, Status.UNAVAILABLE: 30},
    Status.UNAVAILABLE: {Status.AVAILABLE: 100},
    Status.OFFLINE: {Status.AVAILABLE: 75, Status.CHARGING: 25},
    # Words that other fleets bring along.
    Status.OCCUPIED: {Status.AVAILABLE: 100},
    Status.RESERVED: {Status.PREPARING: 100},
    Status.OUT_OF_SERVICE: {Status.AVAILABLE: 100},
    Status.OUT_OF_ORDER: {Status.AVAILABLE: 100},
    Status.INOPERATIVE: {Status.AVAILABLE: 100},
    Status.UNKNOWN: {Status.AVAILABLE: 100},
}
"""What a charger says next, by weight; a status that is missing here stays."""

_LASTS: Final[Mapping[Status, float]] = {
    Status.AVAILABLE: 25, Status.PREPARING: 3, Status.CHARGING: 15, Status.SUSPENDED_EV: 6, Status.SUSPENDED_EVSE: 5,
    Status.FINISHING: 3, Status.FAULTED: 20, Status.UNAVAILABLE: 20, Status.OFFLINE: 15, Status.OCCUPIED: 20,
    Status.RESERVED: 10, Status.OUT_OF_SERVICE: 40, Status.OUT_OF_ORDER: 40, Status.INOPERATIVE: 40, Status.UNKNOWN: 40,
}  # fmt: skip
"""How long a status lasts on average, in proportion to the others."""

_MEAN: Final = 11.5
"""The mean of these over the statuses that a charger passes through, as often as it does."""

_KINDS: Final = tuple(TemporaryStatus)
_MANNERS: Final = (
    Manner.WITH_END, Manner.AHEAD, Manner.UNTIL_ENDED, Manner.WITH_END, Manner.AHEAD, Manner.UNTIL_ENDED,
    Manner.TOMORROW,
)  # fmt: skip
"""In turn; as many as share no divisor with the four kinds, so that each kind comes in each manner."""

_REASONS: Final[Mapping[TemporaryStatus, Sequence[str]]] = {
    TemporaryStatus.MAINTENANCE: ("yearly inspection", "firmware update", "cable replaced"),
    TemporaryStatus.COMMISSIONING: ("new charge box, waiting for calibration", "grid connection being tested"),
    TemporaryStatus.BLOCKED: ("parking sensor: bay occupied by a combustion car", "bay closed for a street market"),
    TemporaryStatus.RESERVED: ("booked by a driver", "booked by a fleet"),
}
_SHORTEST: Final = 2.0
_LONGEST: Final = 8.0
"""Seconds for which a window applies, so that one sees it start and end."""

_OTHER_SPELLING: Final = 5
"""Every so many windows name their EVSE without separators, as booking systems do."""


def next_status(status: Status, draw: Random) -> Status | None:
    """Return what a charger says after a status, None when it keeps saying that."""
    after = _AFTER.get(status)
    return draw.choices(tuple(after), tuple(after.values()))[0] if after else None


@dataclass(frozen=True, slots=True)
class Tempo:
    """How much happens in a second: changes of chargers, and windows that are set."""

    changes: float
    windows: float

    @classmethod
    def of(cls, evses: int) -> "Tempo":
        """Choose a tempo that a person can follow with a small fleet, and that grows with a large one, to a limit."""
        return cls(changes=min(50.0, max(2.0, evses / 50)), windows=min(5.0, max(1.0, evses / 200)))


class Life:
    """What happens in a fleet, in the order of time."""

    def __init__(self, evses: Mapping[str, str], *, start: datetime, tempo: Tempo, draw: Random) -> None:
        """
        Begin with the statuses that stand in the store.

        Args:
            evses: The status word of each EVSE; one whose word the table does not know keeps it.
            start: Aware, UTC; the first window is set then.
        """
        self._statuses = {evse_id: status for evse_id, word in evses.items() if (status := parse_status(word))}
        self._evses = tuple(evses)
        self._draw = draw
        self._stretch = len(evses) / (tempo.changes * _MEAN)
        self._every = timedelta(seconds=1 / tempo.windows)
        self._windows = count()
        self._order = count()
        self._agenda: list[tuple[datetime, int, Callable[[datetime], Sequence[Happening]]]] = []
        for evse_id, status in self._statuses.items():
            if status in _AFTER:
                self._at(start + draw.random() * self._lasts(status), self._change(evse_id))
        if self._evses:
            self._at(start, self._set_window)

    def until(self, now: datetime) -> Sequence[Happening]:
        """Return what happened since the last call, up to *now*, in order."""
        happened: list[Happening] = []
        while self._agenda and self._agenda[0][0] <= now:
            _, _, act = heapq.heappop(self._agenda)
            happened.extend(act(now))
        return happened

    def _at(self, instant: datetime, act: Callable[[datetime], Sequence[Happening]]) -> None:
        heapq.heappush(self._agenda, (instant, next(self._order), act))

    def _lasts(self, status: Status) -> timedelta:
        """Return how long a status lasts now: half to one and a half times its mean."""
        return timedelta(seconds=_LASTS[status] * self._stretch * (0.5 + self._draw.random()))

    def _change(self, evse_id: str) -> Callable[[datetime], Sequence[Happening]]:
        def act(now: datetime) -> Sequence[Happening]:
            status = next_status(self._statuses[evse_id], self._draw)
            if status is None:
                return ()
            self._statuses[evse_id] = status
            self._at(now + self._lasts(status), self._change(evse_id))
            return (StatusChanged(evse_id, status),)

        return act

    def _set_window(self, now: datetime) -> Sequence[Happening]:
        number = next(self._windows)
        self._at(now + self._every, self._set_window)
        window = self._window(number, _MANNERS[number % len(_MANNERS)], now)
        if window.valid_to is None:
            self._at(now + self._span(), lambda _: (WindowEnded(window.reference),))
        return (window,)

    def _window(self, number: int, manner: Manner, now: datetime) -> WindowSet:
        kind = _KINDS[number % len(_KINDS)]
        evse_id = self._draw.choice(self._evses)
        ahead = {Manner.AHEAD: timedelta(seconds=1 + 2 * self._draw.random()), Manner.TOMORROW: timedelta(days=1)}
        valid_from = now + ahead.get(manner, timedelta())
        return WindowSet(
            reference=f"demo-{number + 1}",
            evse_id=evse_id.replace("*", "") if number % _OTHER_SPELLING == _OTHER_SPELLING - 1 else evse_id,
            kind=kind,
            valid_from=valid_from,
            valid_to=None if manner is Manner.UNTIL_ENDED else valid_from + self._span(),
            reason=self._draw.choice(_REASONS[kind]),
        )

    def _span(self) -> timedelta:
        return timedelta(seconds=_SHORTEST + (_LONGEST - _SHORTEST) * self._draw.random())
