"""Draws how long changes took to be acknowledged in the last half hour."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from oicp_adapter.control.propagation import Propagation, Span
from oicp_adapter.page.times import Times, lag

PARTS: Final = 60
PART: Final = timedelta(seconds=30)

_WIDTH: Final = 900
_HEIGHT: Final = 220
_LEFT: Final = 60
_FLOOR: Final = 190
_GRID: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
_LOWEST: Final = 0.02
_LEAST_TOP: Final = 1.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis, with its label."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which the daemon did not answer, though it was asked."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Point:
    """The changes of one part of the time."""

    x: float
    median: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Plot:
    """
    The picture.

    Attributes:
        words: What it says, in words.
        silent: Why there is nothing to tell; None: there is.
    """

    width: int
    height: int
    left: int
    floor: int
    grid: Sequence[Mark]
    hours: Sequence[Mark]
    gaps: Sequence[Gap]
    points: Sequence[Point]
    words: str
    silent: str | None


def draw(propagation: Propagation | None, times: Times) -> Plot:
    """Draw what is known of the last half hour."""
    latest = propagation.latest if propagation is not None else None
    since = propagation.since if propagation is not None else None
    spans = propagation.spans(parts=PARTS, length=PART) if propagation is not None else []
    silent = None
    if propagation is None or latest is None:
        silent = "nobody has asked the daemon's metrics yet"
    elif latest.silent is not None:
        silent = latest.silent
    slowest = max((each.slowest for each in spans if each.slowest is not None), default=0.0)
    top = next((each for each in _GRID if each >= max(slowest, _LEAST_TOP)), _GRID[-1])
    return Plot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        floor=_FLOOR,
        grid=[Mark(0.0, _y(each, top), lag(timedelta(seconds=each))) for each in _GRID if each <= top],
        hours=list(_hours(spans, times)),
        gaps=[
            Gap(_x(number), _x(1) - _x(0))
            for number, each in enumerate(spans)
            if each.changes is None and since is not None and each.start >= since
        ],
        points=[
            Point(_x(number + 0.5), _y(each.median, top), _y(each.slowest, top))
            for number, each in enumerate(spans)
            if each.median is not None and each.slowest is not None
        ],
        words=_words(spans),
        silent=silent,
    )


def _words(spans: Sequence[Span]) -> str:
    told = [each for each in spans if each.median is not None and each.slowest is not None]
    if not told:
        return "No change was acknowledged in the last half hour, as far as this process has seen."
    changes = sum(each.changes or 0 for each in told)
    last = told[-1]
    median, slowest = timedelta(seconds=last.median or 0.0), timedelta(seconds=last.slowest or 0.0)
    return (
        f"{changes} changes were acknowledged in the last half hour; of the latest, half took {lag(median)} at most "
        f"and 95 of 100 {lag(slowest)}."
    )


def _hours(spans: Sequence[Span], times: Times) -> Iterator[Mark]:
    zone = times.zone()
    for number, each in enumerate(spans):
        if number % 10 == 5:  # noqa: PLR2004 - every five minutes, none at the edge
            at = each.start.astimezone(zone)
            yield Mark(_x(number), 0.0, f"{at:%H:%M %Z}")


def _x(number: float) -> float:
    return round(_LEFT + number * (_WIDTH - _LEFT) / PARTS, 1)


def _y(seconds: float, top: float) -> float:
    share = math.log(max(seconds, _LOWEST) / _LOWEST) / math.log(top / _LOWEST)
    return round(_FLOOR - min(share, 1.0) * (_FLOOR - 10), 1)
