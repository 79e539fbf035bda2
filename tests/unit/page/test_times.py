from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.domain.local_time import zone_of
from oicp_adapter.page.times import Times, clock_change, lag, lasting, zone_names

NOW = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("chosen", "own", "shown"),
    [
        (None, "Europe/Berlin", "today 03:15 CET (02:15 UTC)"),
        ("Asia/Tokyo", "Europe/Berlin", "today 11:15 JST (02:15 UTC)"),
        (None, None, "today 02:15 UTC"),
        (None, "no zone", "today 02:15 UTC"),
        ("Pacific/Honolulu", None, "today 16:15 HST (Mon 23 Nov 02:15 UTC)"),
    ],
)
def test_an_instant_is_shown_in_the_chosen_zone_else_the_evses_with_utc_beside(chosen, own, shown):
    assert Times(chosen, NOW).moment(NOW, own) == shown


def test_another_day_and_another_year_are_named():
    times = Times("Europe/Berlin", NOW)
    assert times.moment(NOW + timedelta(days=10)) == "Thu 3 Dec 03:15 CET (02:15 UTC)"
    assert times.moment(NOW + timedelta(days=200)) == "Fri 11 Jun 2027 04:15 CEST (02:15 UTC)"
    assert times.moment(NOW, seconds=True) == "today 03:15:00 CET (02:15:00 UTC)"


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=30), "in less than a minute"),
        (130 * MINUTE, "in 2 h 10 min"),
        (-5 * MINUTE, "5 min ago"),
        (timedelta(days=3, seconds=59), "in 3 d"),
    ],
)
def test_how_far_away_is_told_in_words(away, words):
    assert Times(None, NOW).relative(NOW + away) == words


def test_durations_are_short():
    assert lasting(timedelta(days=1, hours=2, minutes=10)) == "1 d 2 h 10 min"
    assert lasting(timedelta(seconds=42)) == "42 s"
    assert lag(timedelta(milliseconds=312)) == "0.31 s"
    assert lag(timedelta(minutes=70)) == "1 h 10 min"


def test_a_clock_change_in_between_says_how_long_it_really_is():
    berlin = zone_of("Europe/Berlin")
    start = datetime(2027, 10, 30, 20, tzinfo=UTC)
    told = clock_change(start, start + timedelta(hours=9), berlin)
    assert told == ("the clocks of Europe/Berlin go back by 1 h in between: it lasts 9 h, from 22:00 CEST to 06:00 CET")
    assert clock_change(start, start + timedelta(hours=1), berlin) is None
    assert clock_change(start, None, berlin) is None


def test_utc_is_the_first_of_the_zones_and_their_old_names_are_left_out():
    assert zone_names()[0] == "UTC"
    assert "Europe/Berlin" in zone_names()
    assert not any(name.startswith(("US/", "Etc/")) for name in zone_names())
