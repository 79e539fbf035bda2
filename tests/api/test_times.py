"""A time is an instant, or it is refused with an example of how to write one."""

from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.api.times import DURATION_EXAMPLE, EXAMPLE, wire_duration, wire_instant
from oicp_adapter.domain.errors import RequestRefusedError

BERLIN = "Europe/Berlin"


def refused(call, *arguments, **named):
    with pytest.raises(RequestRefusedError) as caught:
        call(*arguments, **named)
    return caught.value


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-03T08:00:00Z", datetime(2026, 12, 3, 8, tzinfo=UTC)),
        ("2026-12-03T08:00:00+01:00", datetime(2026, 12, 3, 7, tzinfo=UTC)),
        ("2026-12-03t08:00:00z", datetime(2026, 12, 3, 8, tzinfo=UTC)),
        ("2026-12-03 08:00-05:30", datetime(2026, 12, 3, 13, 30, tzinfo=UTC)),
        ("2026-12-03T08:00:00.5Z", datetime(2026, 12, 3, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-12-03T08:00:00.123456789Z", datetime(2026, 12, 3, 8, 0, 0, 123_456, tzinfo=UTC)),
        (EXAMPLE, datetime(2026, 12, 3, 7, tzinfo=UTC)),
    ],
)
def test_a_time_with_an_offset_is_an_instant_whatever_the_zone(text, instant):
    assert wire_instant(text, None, field="validFrom") == instant
    assert wire_instant(text, "Asia/Kolkata", field="validFrom") == instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-03",
        "2026-12-03T08",
        "20261203T080000Z",
        "2026-W49-4T08:00:00Z",
        "2026-13-03T08:00:00Z",
        "2026-12-03T24:00:00Z",
        "2026-12-03T08:00:60Z",
        "2026-12-03T08:00:0099Z",
        "2026-12-03T08:0012Z",
        "2026-12-03T08:00.5Z",
        "2026-12-03T08:00:00+0100",
        "2026-12-03T08:00:00+99:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٦-12-03T08:00:00Z",
        "now",
        "",
        " 2026-12-03T08:00:00Z",
        "2026-12-03T08:00:00Z\n",
    ],
)
@pytest.mark.parametrize("zone", [None, BERLIN])
def test_what_is_no_time_is_refused_with_an_example(text, zone):
    error = refused(wire_instant, text, zone, field="validTo")
    assert (error.field, EXAMPLE in str(error)) == ("validTo", True)


def test_a_time_without_an_offset_is_refused_unless_its_zone_is_named():
    error = refused(wire_instant, "2026-12-03T08:00:00", None, field="validFrom")
    assert "no offset" in str(error)
    assert EXAMPLE in str(error)
    assert wire_instant("2026-12-03T08:00", BERLIN, field="validFrom") == datetime(2026, 12, 3, 7, tzinfo=UTC)
    assert wire_instant("2026-07-03 08:00", BERLIN, field="validFrom") == datetime(2026, 7, 3, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "what", "nearest"),
    [
        ("2026-03-29T02:30", "does not exist", ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]),
        ("2026-10-25T02:30", "comes twice", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]),
    ],
)
def test_the_night_of_the_clock_change_is_told_with_the_two_nearest_times(text, what, nearest):
    error = refused(wire_instant, text, BERLIN, field="validTo")
    assert what in str(error)
    assert error.facts == {"nearest": nearest}
    assert all(each in str(error) for each in nearest)
    assert [wire_instant(each, BERLIN, field="validTo") for each in nearest] == sorted(
        datetime.fromisoformat(each) for each in nearest
    )


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "Europe/Berlin\0", "x" * 300])
def test_a_zone_that_there_is_not_is_refused(zone):
    assert refused(wire_instant, "2026-12-03T08:00", zone, field="validFrom").field == "timeZone"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT1H", timedelta(hours=1)),
        (DURATION_EXAMPLE, timedelta(minutes=90)),
        ("P1DT12H", timedelta(hours=36)),
        ("P2W", timedelta(weeks=2)),
        ("PT90S", timedelta(seconds=90)),
    ],
)
def test_a_duration_is_read(text, duration):
    assert wire_duration(text, field="by") == duration


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "PT0S", "1H", "-PT1H", "P1Y", "P1M", "PT1.5H", "P999999999W", "PT1H ", "P٣D"]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    error = refused(wire_duration, text, field="by")
    assert (error.field, DURATION_EXAMPLE in str(error)) == ("by", True)
