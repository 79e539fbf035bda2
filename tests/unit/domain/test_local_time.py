"""A local time is one instant, except on the nights on which clocks change, when both that can be meant are named."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oicp_adapter.domain.local_time import LocalTimeError, UnknownZoneError, local_instant, zone_of

BERLIN = zone_of("Europe/Berlin")
clock = datetime.fromisoformat
ZONES = st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])


def test_a_local_time_is_an_instant():
    assert local_instant(clock("2026-12-03 08:00"), BERLIN) == datetime(2026, 12, 3, 7, tzinfo=UTC)
    assert local_instant(clock("2026-07-03 08:00"), BERLIN) == datetime(2026, 7, 3, 6, tzinfo=UTC)


def test_a_time_that_the_clocks_skip_is_refused_with_the_two_nearest():
    with pytest.raises(LocalTimeError) as caught:
        local_instant(clock("2026-03-29 02:30"), BERLIN)
    assert not caught.value.repeated
    assert [each.isoformat() for each in caught.value.nearest] == [
        "2026-03-29T01:30:00+01:00",
        "2026-03-29T03:30:00+02:00",
    ]
    assert str(caught.value) == (
        "2026-03-29 02:30 does not exist on the night of the clock change: "
        "write 2026-03-29 01:30+01:00 or 2026-03-29 03:30+02:00"
    )


def test_a_time_that_comes_twice_needs_its_offset():
    with pytest.raises(LocalTimeError) as caught:
        local_instant(clock("2026-10-25 02:30"), BERLIN)
    assert caught.value.repeated
    assert [each.isoformat() for each in caught.value.nearest] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
    ]
    assert "comes twice" in str(caught.value)


@given(ZONES, st.datetimes(clock("2000-01-01"), clock("2040-01-01")))
@example("America/St_Johns", clock("2000-10-29 00:00"))
@example("Europe/Berlin", clock("2026-03-29 02:30"))
def test_an_instant_that_is_found_shows_the_time_that_was_asked_for(name, naive):
    zone = zone_of(name)
    try:
        instant = local_instant(naive, zone)
    except LocalTimeError as error:
        refused = error
    else:
        assert instant.astimezone(zone).replace(tzinfo=None, fold=0) == naive
        return
    one, other = refused.nearest
    assert timedelta(0) < other.astimezone(UTC) - one.astimezone(UTC) <= timedelta(hours=2)
    if refused.repeated:
        assert {each.replace(tzinfo=None, fold=0) for each in refused.nearest} == {naive}
    else:
        assert one.replace(tzinfo=None) < naive < other.replace(tzinfo=None)


@pytest.mark.parametrize(
    "name", ["", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "a\x00b", "Europe", "localtime", "right/UTC"]
)
def test_what_is_no_zone_is_refused(name):
    with pytest.raises(UnknownZoneError):
        zone_of(name)
