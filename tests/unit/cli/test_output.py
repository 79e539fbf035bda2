"""Tables, JSON and notes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.cli.output import ROWS_AT_ONCE, note, plain, print_json, print_json_array, print_table, progress


@given(st.text(max_size=600))
def test_what_people_read_is_printable_whatever_comes(text: str) -> None:
    assert plain(text).isprintable()


def test_values_are_shown_as_people_read_them() -> None:
    instant = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    shown = [plain(value) for value in (None, True, instant, timedelta(seconds=1.25), 3, "Available")]
    assert shown == ["-", "yes", "2026-01-02 03:04:05", "1.2 s", "3", "Available"]


def test_a_table_without_a_terminal_is_not_cut_and_knows_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("evse", "said"), [("DE*ABC*E1", "[red]x" * 60), ("b\nc", None)], styles=("red",))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "[red]x" * 60 in lines[1]
    assert lines[2].startswith("b\\nc")


def test_json_is_one_line_and_survives_odd_text(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "text": "\udc80\n",
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "took": timedelta(seconds=2),
        "file": Path("/x"),
        "keys": frozenset({"b", "a"}),
    }
    print_json(value)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {
        "text": "\udc80\n",
        "at": "2026-01-01T00:00:00+00:00",
        "took": 2.0,
        "file": "/x",
        "keys": ["a", "b"],
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_is_json_however_many_elements_come(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_json_array({"number": number} for number in range(count))
    assert json.loads(capsys.readouterr().out) == [{"number": number} for number in range(count)]


def test_a_note_goes_to_stderr_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    note("one\ntwo\x1b[2J")
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err == "one\ntwo\\x1b[2J\n"


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("importing", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_long_table_is_printed_in_parts_before_all_of_it_is_known(capsys):
    seen = []

    def rows():
        for number in range(2 * ROWS_AT_ONCE + 1):
            if number == 2 * ROWS_AT_ONCE:
                seen.append(capsys.readouterr().out)
            yield (f"E{number}",)

    print_table(("evse",), rows())
    lines = (seen[0] + capsys.readouterr().out).split()
    assert seen[0].split()[-1] == f"E{2 * ROWS_AT_ONCE - 1}"
    assert lines.count("evse") == 3
    assert len(lines) == 2 * ROWS_AT_ONCE + 4
