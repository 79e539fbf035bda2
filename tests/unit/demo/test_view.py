"""What a person sees of the demo."""

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from oicp_adapter.demo.progress import Standing
from oicp_adapter.demo.view import Frame, PlainScreen, TableScreen, draw, plain_line, screen_for
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.model import LaneState

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def standing(number, *, acknowledged="Occupied", lag=0.02, temporary=None, charger="Charging"):
    return Standing(
        evse_id=f"DE*ABC*E{number}",
        charger=charger,
        temporary=temporary,
        published=OicpStatus.OCCUPIED,
        acknowledged=acknowledged,
        since=NOW + timedelta(seconds=number),
        lag=None if lag is None else timedelta(seconds=lag),
    )


def frame(*standings, seconds=3.0, changed=(), lanes=None, remaining=None, unpushable=0):
    return Frame(
        elapsed=timedelta(seconds=seconds),
        remaining=remaining,
        standings=standings,
        changed=changed,
        lanes={"DE*ABC": LaneState.ACTIVE} if lanes is None else lanes,
        changes=5,
        unpushable=unpushable,
        metrics="http://127.0.0.1:1/metrics",
    )


def console(*, terminal, height=24, width=100):
    return Console(
        file=io.StringIO(), force_terminal=terminal, height=height, width=width, markup=False, color_system=None
    )


def shown(renderable, *, width=100):
    page = console(terminal=False, width=width)
    page.print(renderable)
    return page.file.getvalue().splitlines()


def test_the_latest_changes_stand_first_and_as_many_as_fit():
    lines = shown(draw(frame(*(standing(number) for number in range(50))), rows=3))

    assert [line.split()[0] for line in lines[-3:]] == ["DE*ABC*E49", "DE*ABC*E48", "DE*ABC*E47"]
    assert len(lines) == 4 + 1 + 1 + 3


def test_what_waits_stands_before_everything_else():
    lines = shown(draw(frame(standing(1, acknowledged="Available", lag=1.5), standing(9)), rows=1))

    assert lines[-1].split() == ["DE*ABC*E1", "Charging", "-", "Occupied", "Available", "waits", "1.5", "s"]


def test_the_header_counts_and_names_lanes_and_metrics():
    header = shown(draw(frame(standing(1, temporary="Blocked"), standing(2), unpushable=7), rows=1))[:4]

    assert header == [
        "oicp-adapter demo  3 s, Ctrl-C ends it  http://127.0.0.1:1/metrics",
        "2 EVSEs (7 more cannot be pushed)  0 Available  0 Reserved  2 Occupied  0 OutOfService  0 Unknown",
        "5 changes  temporary: 1 Blocked",
        "0 waiting  DE*ABC active",
    ]


def test_a_narrow_terminal_cuts_the_header_instead_of_wrapping_it():
    assert len(shown(draw(frame(standing(1)), rows=1), width=30)) == 7


def test_a_daemon_whose_metrics_do_not_answer_is_said_so():
    stuck = Frame(timedelta(seconds=1), timedelta(seconds=9), (), (), None, 0, 0, "http://127.0.0.1:1/metrics")

    assert "0 waiting  the daemon's metrics do not answer" in shown(draw(stuck, rows=1))
    assert "9 s to go" in shown(draw(stuck, rows=1))[0]
    assert "metrics do not answer" in str(plain_line(stuck, ()))


def test_a_live_table_never_exceeds_the_terminal():
    page = console(terminal=True, height=12)
    with TableScreen(page) as screen:
        screen.show(frame(*(standing(number) for number in range(50))))
        drawn = page.file.getvalue()

    assert drawn.count("DE*ABC*E") == 5


def test_a_plain_line_names_what_changed_with_its_lag():
    changed = [
        standing(1),
        standing(2, temporary="Reserved", lag=None),
        standing(3, acknowledged="Available"),
        standing(1, charger="Finishing", lag=None),
    ]

    assert str(plain_line(frame(*changed), changed)) == (
        "   3.0 s  1 waiting  DE*ABC active  3 changed: DE*ABC*E1 Finishing → Occupied, "
        "DE*ABC*E2 Charging + Reserved → Occupied, DE*ABC*E3 Charging → Occupied (under way)"
    )


def test_plain_lines_come_once_a_second_and_lose_no_change():
    page = console(terminal=False, width=500)
    with PlainScreen(page) as screen:
        screen.show(frame(seconds=0.0))
        screen.show(frame(seconds=0.5, changed=[standing(1)]))
        screen.show(frame(seconds=1.1, changed=[standing(2)]))

    lines = page.file.getvalue().splitlines()
    assert len(lines) == 2
    assert "nothing changed" in lines[0]
    assert "2 changed: DE*ABC*E1" in lines[1]


def test_foreign_text_is_shown_harmless():
    (line,) = shown(draw(frame(standing(1, charger="\x1b[31mboo")), rows=1))[-1:]

    assert "\x1b" not in line
    assert "\\x1b[31mboo" in line


def test_a_terminal_gets_the_table_and_anything_else_gets_lines():
    assert isinstance(screen_for(console(terminal=True)), TableScreen)
    assert isinstance(screen_for(console(terminal=False)), PlainScreen)
