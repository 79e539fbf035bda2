from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.model import Position
from oicp_adapter.sync.pacing import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    LONGEST_HOLD,
    admitted_at,
    backoff,
    longest_wait,
    paced,
    quarantine,
    ready_at,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
draws = st.floats(0, 1, exclude_max=True)


def most_in_a_minute(sent: list[datetime]) -> int:
    window: deque[datetime] = deque()
    most = 0
    for at in sent:
        window.append(at)
        while at - window[0] >= MINUTE:
            window.popleft()
        most = max(most, len(window))
    return most


def send_all(limit: int, gaps: list[tuple[int, int]]) -> list[datetime]:
    """Send a request as soon as one is wanted, the last was answered and the pace admits it; gaps are milliseconds."""
    wanted, paced_at, sent = NOON, None, []
    for gap, late in gaps:
        wanted += timedelta(milliseconds=gap)
        started = admitted_at(paced_at, max(wanted, sent[-1] if sent else wanted), limit)
        paced_at = paced(paced_at, started, limit)
        sent.append(started + timedelta(milliseconds=late))
        wanted = max(wanted, started)
    return sent


@given(
    st.integers(3, 40),
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 100, 5000, 61_000]), st.just(0)), min_size=1, max_size=150),
)
def test_no_rolling_minute_exceeds_the_limit_whatever_arrives(limit: int, gaps: list[tuple[int, int]]) -> None:
    assert most_in_a_minute(send_all(limit, gaps)) < limit


@given(
    st.integers(2, 40),
    st.lists(st.tuples(st.sampled_from([0, 0, 100, 61_000]), st.sampled_from([0, 0, 9_999])), min_size=1, max_size=150),
)
def test_requests_that_leave_ten_seconds_late_still_keep_the_limit(limit: int, gaps: list[tuple[int, int]]) -> None:
    assert most_in_a_minute(send_all(limit, gaps)) <= limit


@pytest.mark.parametrize("limit", [60, 600, 1800, 2000])
def test_a_flood_uses_nearly_the_whole_limit_and_never_more(limit: int) -> None:
    sent = send_all(limit, [(0, 0)] * (3 * limit))
    assert most_in_a_minute(sent) <= limit
    last_minute = [at for at in sent if at > sent[-1] - MINUTE]
    assert len(last_minute) >= 0.8 * limit


def test_a_quiet_lane_sends_at_once() -> None:
    assert admitted_at(None, NOON, 1800) == NOON
    assert admitted_at(NOON - MINUTE, NOON, 1800) == NOON


@given(st.integers(1, 10_000), draws)
def test_a_backoff_stays_between_nothing_and_its_cap(failures: int, draw: float) -> None:
    assert timedelta() <= backoff(failures, draw) <= LONGEST_BACKOFF
    assert backoff(failures, draw, longest=SECOND) <= SECOND


def test_a_backoff_doubles_until_its_cap() -> None:
    ceilings = [backoff(failures, 1.0) for failures in range(1, 9)]
    assert ceilings == [min(FIRST_BACKOFF * 2**power, LONGEST_BACKOFF) for power in range(8)]


@given(st.timedeltas(timedelta(), timedelta(days=900)), draws)
def test_a_quarantine_lasts_from_one_minute_to_an_hour_and_a_tenth(failing_for: timedelta, draw: float) -> None:
    assert MINUTE <= quarantine(failing_for, draw) <= timedelta(minutes=66)


def test_a_quarantine_doubles() -> None:
    failing_for, waits = timedelta(), []
    for _ in range(8):
        waits.append(quarantine(failing_for, 0))
        failing_for += waits[-1]
    assert [wait / MINUTE for wait in waits] == [1, 1, 2, 4, 8, 16, 32, 60]


def test_a_lane_is_ready_when_its_last_wait_is_over() -> None:
    position = Position(silent_until=NOON + SECOND, wait_until=NOON + 2 * SECOND)
    assert ready_at(position, NOON, 1800) == NOON + 2 * SECOND
    assert ready_at(Position(), NOON, 1800) == NOON


def test_where_a_person_must_act_the_wait_is_longer() -> None:
    for reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.CERTIFICATE, Reason.NO_CONTRACT):
        assert longest_wait(reason) == LONGEST_HOLD
    for reason in (Reason.CONNECT, Reason.RATE_LIMITED, Reason.TLS):
        assert longest_wait(reason) == LONGEST_BACKOFF
