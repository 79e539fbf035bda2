"""Draws the windows of the coming days, one line an EVSE."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from starlette.responses import Response

from oicp_adapter.control.listing import WindowFilter, WindowOrder, list_windows
from oicp_adapter.control.lookup import find_chargers
from oicp_adapter.control.window_model import WindowView
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.page.places import location_options
from oicp_adapter.page.rows import tone
from oicp_adapter.page.site import Call
from oicp_adapter.page.times import Times
from oicp_adapter.store.windows import WindowState

SPANS: Final = (1, 3, 7, 14, 31)
LINES: Final = 60
"""EVSEs of one picture."""

_READ: Final = 2000
_WIDTH: Final = 1180
_LEFT: Final = 210
_TOP: Final = 30
_LINE: Final = 26
_LANE: Final = 7
_NAME: Final = 26
_LETTER: Final = 6.6
_LABEL: Final = 70
_FEWEST: Final = 4
"""Letters of a word that is cut; fewer say nothing."""

_HOURS: Final = {1: 3, 3: 6}
_NARROWEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A vertical line: the beginning of a day, an hour, or now."""

    x: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One window; *lane* sets it lower than one that it would hide."""

    id: int
    x: float
    width: float
    lane: int
    tone: str
    label: str
    words: str
    open: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One EVSE."""

    y: int
    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Picture:
    """
    The whole picture.

    Attributes:
        shown: What it shows, in a sentence.
        left_out: EVSEs with windows that have no line.
    """

    width: int
    height: int
    ticks: Sequence[Tick]
    lines: Sequence[Line]
    shown: str
    left_out: int


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    days: int

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=self.days)

    def x(self, instant: datetime) -> float:
        share = (instant - self.start) / timedelta(days=self.days)
        return round(_LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT), 1)


def show_timeline(call: Call) -> Response:
    """Return the picture of the coming days."""
    text = call.first("days")
    days = int(text) if text in {str(each) for each in SPANS} else 7
    location = call.first("location")
    times = call.times()
    wanted = WindowFilter(states=frozenset({WindowState.ACTIVE, WindowState.UPCOMING}), location=location or None)
    page = list_windows(call.desk, call.actor, wanted, order=WindowOrder.START, limit=_READ)
    chargers = find_chargers(call.desk, call.actor, {each.record.evse_id for each in page.items[:LINES]})
    zone = times.zone(next((each.time_zone for each in chargers.values() if each.time_zone), None))
    return call.page(
        "timeline",
        days=days,
        spans=SPANS,
        location=location,
        places=location_options(call, location),
        kinds=list(TemporaryStatus),
        picture=draw(page.items, times, zone, days),
        zone=zone.key,
    )


def draw(views: Sequence[WindowView], times: Times, zone: ZoneInfo, days: int) -> Picture:
    """
    Draw windows.

    Args:
        views: That are not over.
        zone: Of the days.
        days: How many from now on.
    """
    scale = _Scale(times.now, days)
    by_evse: dict[str, list[WindowView]] = {}
    for view in views:
        if view.record.window.valid_from < scale.end:
            by_evse.setdefault(evse_key(view.record.evse_id), []).append(view)
    chosen = list(by_evse.values())[:LINES]
    lines, y = [], _TOP
    for group in chosen:
        bars = list(_bars(group, scale, times, zone.key))
        lines.append(Line(y, _cut(foreign_text(group[0].record.evse_id, 60), _NAME), bars))
        y += _LINE + _LANE * max(bar.lane for bar in bars)
    count = sum(len(group) for group in chosen)
    shown = f"{count} window{'' if count == 1 else 's'} of {len(chosen)} EVSE{'' if len(chosen) == 1 else 's'}."
    return Picture(_WIDTH, y + 4, list(_ticks(scale, zone)), lines, shown, len(by_evse) - len(chosen))


def _bars(group: Sequence[WindowView], scale: _Scale, times: Times, zone: str) -> Iterator[Bar]:
    taken: list[float] = []
    for view in group:
        window = view.record.window
        left = scale.x(window.valid_from)
        right = scale.x(window.end) if window.end is not None else float(_WIDTH)
        width = max(right - left, _NARROWEST)
        lane = next((number for number, end in enumerate(taken) if end <= left), len(taken))
        taken[lane : lane + 1] = [left + width]
        reason = f": {foreign_text(view.record.reason, 60)}" if view.record.reason else ""
        label = f"{window.kind}{reason}"
        fits = int((width - 12) / _LETTER)
        until = times.moment(window.end, zone) if window.end is not None else "ended by somebody"
        yield Bar(
            id=window.id,
            x=left,
            width=round(width, 1),
            lane=lane,
            tone=tone(window.kind),
            label=_cut(label, fits),
            words=(
                f"{window.kind} of {foreign_text(view.record.evse_id, 60)} from "
                f"{times.moment(window.valid_from, zone)} until {until}{reason}"
            ),
            open=window.end is None or window.end > scale.end,
        )


def _cut(text: str, letters: int) -> str:
    if len(text) <= letters:
        return text
    return f"{text[: letters - 1]}…" if letters >= _FEWEST else ""


def _ticks(scale: _Scale, zone: ZoneInfo) -> Iterator[Tick]:
    yield Tick(scale.x(scale.start), "now", "now")
    day = scale.start.astimezone(zone).date()
    hours = _HOURS.get(scale.days, 24)
    for number in range(scale.days + 1):
        for hour in range(0, 24, hours):
            at = datetime.combine(day + timedelta(days=number), time(hour), tzinfo=zone)
            if not scale.start + timedelta(minutes=30 * scale.days) < at < scale.end:
                continue
            first = hour == 0
            x = scale.x(at)
            label = _label(at, first=first, days=scale.days) if x < _WIDTH - _LABEL else ""
            yield Tick(x, "day" if first else "hour", label)


def _label(at: datetime, *, first: bool, days: int) -> str:
    if not first:
        return f"{at:%H:%M}"
    return f"{at:%a} {at.day} {at:%b}" if days <= 7 or at.weekday() == 0 else ""  # noqa: PLR2004 - a week
