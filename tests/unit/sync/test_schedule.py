from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.sync.model import Policy, Position
from oicp_adapter.sync.schedule import full_load_due, last_scheduled, next_scheduled

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ZURICH = "Europe/Zurich"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "now", "wanted"),
    [
        (Policy(), "2026-03-02 12:00", "2026-03-02 03:00"),
        (Policy(), "2026-03-02 02:59", "2026-03-01 03:00"),
        (Policy(), "2026-03-02 03:00", "2026-03-02 03:00"),
        (Policy(full_load_at="03:00", full_load_zone=ZURICH), "2026-07-01 12:00", "2026-07-01 01:00"),
        (Policy(full_load_at="23:30", full_load_zone="Pacific/Auckland"), "2026-03-02 12:00", "2026-03-02 10:30"),
        # The night that skips 02:30, and the one that has it twice: once each.
        (Policy(full_load_at="02:30", full_load_zone=ZURICH), "2026-03-29 12:00", "2026-03-29 01:30"),
        (Policy(full_load_at="02:30", full_load_zone=ZURICH), "2026-10-25 00:45", "2026-10-25 00:30"),
        (Policy(full_load_at="02:30", full_load_zone=ZURICH), "2026-10-25 12:00", "2026-10-25 00:30"),
    ],
)
def test_the_last_scheduled_instant_follows_the_local_clock(policy: Policy, now: str, wanted: str) -> None:
    assert last_scheduled(at(now), policy) == at(wanted)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    st.sampled_from([ZURICH, "UTC", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"]),
    st.times(),
)
def test_there_is_one_full_load_a_day_on_any_night_in_any_zone(day: datetime, zone: str, local: object) -> None:
    policy = Policy(full_load_at=f"{local:%H:%M}", full_load_zone=zone)
    now = day.replace(tzinfo=UTC)
    last = last_scheduled(now, policy)
    assert last is not None
    assert timedelta() <= now - last <= timedelta(hours=25)
    before = last_scheduled(last - timedelta(microseconds=1), policy)
    assert before is not None
    assert timedelta(hours=22) <= last - before <= timedelta(hours=26)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    st.sampled_from([ZURICH, "UTC", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"]),
    st.times(),
)
def test_between_an_instant_and_the_next_scheduled_one_there_is_no_other(after, zone, local) -> None:
    policy, now = Policy(full_load_at=f"{local:%H:%M}", full_load_zone=zone), after.replace(tzinfo=UTC)
    due = next_scheduled(now, policy)
    assert due > now
    assert last_scheduled(due, policy) == due
    assert last_scheduled(due - timedelta(microseconds=1), policy) <= now


def test_never_is_never_next() -> None:
    assert next_scheduled(NOON, Policy(full_load_at="")) is None


def test_the_first_start_is_due_and_a_tried_one_is_not_due_again_before_the_next_day() -> None:
    assert full_load_due(Position(), NOON, Policy())
    tried = Position(full_load_tried_at=NOON)
    assert not full_load_due(tried, NOON, Policy())
    assert not full_load_due(tried, at("2026-03-03 02:59"), Policy())
    assert full_load_due(tried, at("2026-03-03 03:00"), Policy())


def test_a_day_that_was_missed_is_made_up_for_once() -> None:
    assert full_load_due(Position(full_load_tried_at=NOON - timedelta(days=9)), NOON, Policy())


def test_never_means_never_also_at_the_first_start_unless_a_person_asks() -> None:
    never = Policy(full_load_at="")
    assert not full_load_due(Position(), NOON, never)
    assert full_load_due(Position(full_load_tried_at=NOON, full_load_requested_at=NOON), NOON, never)
