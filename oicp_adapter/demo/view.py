"""Shows the fleet on its way to the hub: a live table in a terminal, a line a second where no terminal is."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from oicp_adapter.demo.progress import Standing
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.model import LaneState

STYLES: Final[Mapping[str, str]] = {
    OicpStatus.AVAILABLE: "green",
    OicpStatus.RESERVED: "blue",
    OicpStatus.OCCUPIED: "yellow",
    OicpStatus.OUT_OF_SERVICE: "red",
    OicpStatus.UNKNOWN: "magenta",
}
_LANE_STYLES: Final[Mapping[LaneState, str]] = {LaneState.ACTIVE: "green", LaneState.HELD: "bold red"}

_AROUND_ROWS: Final = 7
"""Lines that are not rows: four of the header, the headings, a free one and the cursor's."""

_LINE_EVERY: Final = timedelta(seconds=1)
_NAMED: Final = 3
"""Changes that one plain line names."""

_SHOWN: Final = 40
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Frame:
    """
    What one look at everything found.

    Attributes:
        elapsed: Since the daemon was ready.
        remaining: Until the demo ends by itself; None: it does not.
        standings: All EVSEs that are pushed.
        changed: Those of which the store changed since the last look.
        lanes: The state of each lane; None: the daemon's metrics do not answer.
        changes: Statuses that chargers changed so far.
        unpushable: Rows that cannot be pushed.
        metrics: Address of the daemon's metrics.
    """

    elapsed: timedelta
    remaining: timedelta | None
    standings: Sequence[Standing]
    changed: Sequence[Standing]
    lanes: Mapping[str, LaneState] | None
    changes: int
    unpushable: int
    metrics: str

    @property
    def waiting(self) -> int:
        """EVSEs of which the hub has not confirmed what it should hold."""
        return sum(each.waits for each in self.standings)


class Screen(Protocol):
    """Where frames are shown, for as long as the context lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, frame: Frame) -> None:
        """Show one frame, or take note of it."""


class TableScreen:
    """A table that is redrawn in place and fits the terminal's height."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, frame: Frame) -> None:
        """Redraw the table."""
        self._live.update(draw(frame, rows=max(1, self._console.size.height - _AROUND_ROWS)), refresh=True)


class PlainScreen:
    """One line a second, which says how much changed and names some of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since_line: list[Standing] = []
        self._last: timedelta | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines where they are."""

    def show(self, frame: Frame) -> None:
        """Print a line if the last one is a second old."""
        self._since_line.extend(frame.changed)
        if self._last is None or frame.elapsed - self._last >= _LINE_EVERY:
            self._console.print(plain_line(frame, self._since_line), soft_wrap=True)
            self._last = frame.elapsed
            self._since_line = []


def screen_for(console: Console) -> Screen:
    """Return a live table for a terminal, plain lines for anything else."""
    return TableScreen(console) if console.is_terminal else PlainScreen(console)


def draw(frame: Frame, *, rows: int) -> RenderableType:
    """Return the header and a table of the EVSEs that changed last, the latest first."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for heading in ("EVSE", "charger says", "temporary", "published", "acknowledged"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    table.add_column("lag", justify="right", no_wrap=True)
    for each in heapq.nlargest(rows, frame.standings, key=_latest_first):
        table.add_row(
            Text(foreign_text(each.evse_id, _SHOWN)),
            Text(foreign_text(each.charger, _SHOWN)),
            Text(each.temporary or "-", style="bold" if each.temporary else "dim"),
            Text(each.published, style=STYLES[each.published]),
            Text(each.acknowledged or "-", style="bold red" if each.waits else STYLES.get(each.acknowledged or "", "")),
            _lag(each),
        )
    return Group(*_header(frame), Text(), table)


def plain_line(frame: Frame, changed: Sequence[Standing]) -> Text:
    """Return a line about what changed, what waits and how the lanes stand."""
    latest = {each.evse_id: each for each in changed}
    named = ", ".join(_change(each) for each in list(latest.values())[-_NAMED:])
    more = f" and {len(latest) - _NAMED} more" if len(latest) > _NAMED else ""
    what = f"{len(latest)} changed: {named}{more}" if latest else "nothing changed"
    lanes = ", ".join(f"{lane} {state}" for lane, state in (frame.lanes or {}).items()) or "metrics do not answer"
    return Text(f"{frame.elapsed.total_seconds():6.1f} s  {frame.waiting} waiting  {lanes}  {what}")


def _change(each: Standing) -> str:
    """Say what one EVSE came to; the time is shown where the last change is known to have arrived."""
    charger = foreign_text(each.charger, _SHOWN)
    said = f"{charger} + {each.temporary}" if each.temporary else charger
    arrived = " (under way)" if each.waits else ""
    if not each.waits and each.lag is not None:
        arrived = f" ({each.lag.total_seconds():.2f} s)"
    return f"{foreign_text(each.evse_id, _SHOWN)} {said} → {each.published}{arrived}"


def _header(frame: Frame) -> Iterator[Text]:
    counts = Counter(each.published for each in frame.standings)
    end = "Ctrl-C ends it" if frame.remaining is None else f"{max(0.0, frame.remaining.total_seconds()):.0f} s to go"
    yield _line(
        ("oicp-adapter demo", "bold"), f"  {frame.elapsed.total_seconds():.0f} s, {end}  ", (frame.metrics, "dim")
    )
    shown = [part for status in OicpStatus for part in ("  ", (f"{counts[status]} {status}", STYLES[status]))]
    left_out = f" ({frame.unpushable} more cannot be pushed)" if frame.unpushable else ""
    yield _line(f"{len(frame.standings)} EVSEs{left_out}", *shown)
    windows = Counter(each.temporary for each in frame.standings if each.temporary)
    applying = "  ".join(f"{count} {kind}" for kind, count in sorted(windows.items())) or "none"
    yield _line(f"{frame.changes} changes  temporary: {applying}")
    waiting = (f"{frame.waiting} waiting", "bold red" if frame.waiting else "green")
    if frame.lanes is None:
        yield _line(waiting, ("  the daemon's metrics do not answer", "bold red"))
        return
    lanes = [(f"  {lane} {state}", _LANE_STYLES.get(state, "yellow")) for lane, state in frame.lanes.items()]
    yield _line(waiting, *lanes)


def _line(*parts: str | tuple[str, str]) -> Text:
    """Return a line that is cut rather than wrapped: the height of the header is counted on."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _lag(each: Standing) -> Text:
    if each.lag is None:
        return Text("-", style="dim")
    seconds = each.lag.total_seconds()
    return Text(f"waits {seconds:.1f} s", style="bold red") if each.waits else Text(f"{seconds:.2f} s")


def _latest_first(each: Standing) -> tuple[bool, datetime]:
    return each.waits, each.since or _LONG_AGO
