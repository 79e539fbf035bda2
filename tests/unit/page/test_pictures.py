from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.control.propagation import DaemonLook, Propagation
from oicp_adapter.control.window_model import view_of
from oicp_adapter.domain.identifiers import EvseId
from oicp_adapter.domain.local_time import zone_of
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.page import plot, timeline
from oicp_adapter.page.times import Times
from oicp_adapter.store.temporary import TemporaryRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMES = Times("Europe/Berlin", NOON)
BERLIN = zone_of("Europe/Berlin")
INFINITE = float("inf")


def window(number, evse_id, start, end, reason=None):
    record = TemporaryRecord(
        window=Window(number, TemporaryStatus.BLOCKED, start, end),
        evse_id=EvseId(evse_id),
        reason=reason,
        reference=None,
        created_by=None,
        created_at=NOON,
        updated_at=NOON,
        ended_by=None,
        token_id=None,
        time_zone=None,
    )
    return view_of(record, NOON)


def test_a_bar_begins_and_ends_where_its_window_does():
    picture = timeline.draw([window(1, "DE*ABC*E1", NOON + 6 * HOUR, NOON + 12 * HOUR)], TIMES, BERLIN, 1)
    [line] = picture.lines
    [bar] = line.bars
    span = picture.width - 210
    assert bar.x == pytest.approx(210 + span / 4, abs=0.1)
    assert bar.width == pytest.approx(span / 4, abs=0.1)
    until = "Tue 24 Nov 01:00 CET (00:00 UTC)"
    assert bar.words == f"Blocked of DE*ABC*E1 from today 19:00 CET (18:00 UTC) until {until}"


def test_what_overlaps_is_set_lower_and_what_goes_on_says_so():
    views = [
        window(1, "DE*ABC*E1", NOON - HOUR, None, "street works"),
        window(2, "DE*ABC*E1", NOON + HOUR, NOON + 2 * HOUR),
        window(3, "DE*ABC*E2", NOON + 3 * HOUR, NOON + 90 * HOUR),
        window(4, "DE*ABC*E3", NOON + 50 * HOUR, NOON + 90 * HOUR),
    ]
    picture = timeline.draw(views, TIMES, BERLIN, 1)
    assert [[(bar.id, bar.lane, bar.open) for bar in line.bars] for line in picture.lines] == [
        [(1, 0, True), (2, 1, False)],
        [(3, 0, True)],
    ]
    assert picture.lines[0].bars[0].label == "Blocked: street works"
    assert picture.lines[1].y - picture.lines[0].y > 26
    assert picture.shown == "3 windows of 2 EVSEs."


def test_more_evses_than_there_are_lines_are_counted():
    views = [window(number, f"DE*ABC*E{number}", NOON, NOON + HOUR) for number in range(1, timeline.LINES + 4)]
    picture = timeline.draw(views, TIMES, BERLIN, 7)
    assert (len(picture.lines), picture.left_out) == (timeline.LINES, 3)


def test_days_begin_at_midnight_of_the_zone_also_when_its_clocks_change():
    times = Times(None, datetime(2027, 10, 30, 12, tzinfo=UTC))
    picture = timeline.draw([], times, BERLIN, 3)
    days = [tick for tick in picture.ticks if tick.kind == "day"]
    assert [tick.label for tick in days] == ["Sun 31 Oct", "Mon 1 Nov", "Tue 2 Nov"]
    hours = (picture.width - 210) / 72
    assert days[1].x - days[0].x == pytest.approx(25 * hours, abs=0.2)
    assert days[2].x - days[1].x == pytest.approx(24 * hours, abs=0.2)


class Looked(Propagation):
    """A propagation with looks of the test's own."""

    def __init__(self, *looks: tuple[timedelta, Mapping[float, float] | None]) -> None:
        super().__init__("http://127.0.0.1:9")
        for ago, counts in looks:
            silent = "the daemon does not answer" if counts is None else None
            self._looks.append(DaemonLook(NOON - ago, counts or {}, {}, silent))


def test_the_plot_shows_what_is_slower_higher_and_a_silence_as_a_gap():
    part = plot.PART
    quick, slow = {0.1: 10, 1.0: 10, INFINITE: 10}, {0.1: 10, 1.0: 20, INFINITE: 20}
    drawn = plot.draw(
        Looked((3 * part, {0.1: 0, 1.0: 0, INFINITE: 0}), (2 * part, quick), (part, slow), (part / 2, None)), TIMES
    )
    first, second = drawn.points
    assert first.x < second.x
    assert second.median < first.median  # y grows downwards
    assert second.slowest <= second.median
    assert len(drawn.gaps) == 0  # what was before the first look is no silence
    assert drawn.silent == "the daemon does not answer"
    assert drawn.words.startswith("20 changes were acknowledged in the last half hour")


def test_a_daemon_that_fell_silent_leaves_a_gap():
    part = plot.PART
    drawn = plot.draw(Looked((4 * part, {INFINITE: 1.0}), (2 * part, None), (timedelta(0), None)), TIMES)
    assert len(drawn.gaps) == 4
    assert drawn.gaps[-1].x + drawn.gaps[-1].width == pytest.approx(drawn.width, abs=0.2)


def test_without_anything_to_plot_it_says_so():
    assert plot.draw(None, TIMES).silent == "nobody has asked the daemon's metrics yet"
    quiet = plot.draw(Looked((plot.PART, {INFINITE: 3.0}), (timedelta(0), {INFINITE: 3.0})), TIMES)
    assert (quiet.silent, list(quiet.points)) == (None, [])
    assert quiet.words.startswith("No change was acknowledged")
