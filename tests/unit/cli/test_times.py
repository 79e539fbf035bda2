"""Times and durations as people write them, and what they write instead."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.cli.times import instant_after, parse_duration, parse_instant

START = datetime(2026, 12, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("4h", timedelta(hours=4)),
        (" 90M ", timedelta(minutes=90)),
        ("1d 12h", timedelta(hours=36)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert instant_after(START, text) == START + duration


@pytest.mark.parametrize("text", ["", "0h", "4", "4 hours", "-4h", "1h 1d", "٣h", "9" * 5000 + "h"])
def test_what_is_no_duration_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no duration: write 4h") as refused:
        parse_duration(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("text", ["99999999999h", "99999999999999999999d", "9000000d"])
def test_a_duration_beyond_the_calendar_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="beyond the years 1 to 9999"):
        instant_after(START, text)


@pytest.mark.parametrize(
    ("text", "zone"),
    [("0001-01-01T00:00+02:00", None), ("9999-12-31T23:59-05:00", None), ("0001-01-01 00:00", "Asia/Tokyo")],
)
def test_an_instant_beyond_the_calendar_is_wrong_usage(text: str, zone: str | None) -> None:
    with pytest.raises(typer.BadParameter, match="beyond the years 1 to 9999"):
        parse_instant(text, zone)


@pytest.mark.parametrize(
    ("text", "zone"),
    [("2026-12-03T09:00+01:00", None), ("2026-12-03 09:00", "Europe/Berlin"), ("2026-12-03T08:00Z", "Europe/Berlin")],
)
def test_an_instant_is_read_as_utc(text: str, zone: str | None) -> None:
    assert parse_instant(text, zone) == START
    assert parse_instant(text, zone).tzinfo is UTC


@given(st.text(max_size=40), st.sampled_from([None, "UTC", "Europe/Berlin", "Nowhere/Land"]))
def test_whatever_is_written_is_an_instant_or_wrong_usage(text: str, zone: str | None) -> None:
    for read in (lambda: parse_instant(text, zone), lambda: instant_after(START, text)):
        with contextlib.suppress(typer.BadParameter):
            assert read().tzinfo is UTC
