"""What a clock that jumps may do to a lane."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.sync.clock import intent_within_reach, is_astray, within_reach
from oicp_adapter.sync.lease import claim, covers_push
from oicp_adapter.sync.model import Action, Intent, Policy, Position
from oicp_adapter.sync.pacing import paced, ready_at

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
POLICY = Policy()
LONGEST = 16 * MINUTE
steps = st.timedeltas(-10 * MINUTE, timedelta(days=3650))


def ahead(by: timedelta) -> Position:
    """A lane's row whose instants were all written by a clock that was so far ahead."""
    at = NOON + by
    return Position(
        holder="somebody",
        epoch=3,
        expires_at=at,
        silent_until=at,
        wait_until=at,
        doubted_before=at,
        debt_at=at,
        paced_at=at,
    )


@given(steps)
def test_no_wait_outlasts_a_clock_that_was_set_back(by: timedelta) -> None:
    position = within_reach(ahead(by), NOON, POLICY)
    later = NOON + LONGEST
    assert ready_at(position, later, POLICY.requests_per_minute) == later
    assert claim(position, "another", later, POLICY, sole=False) is not None
    assert position.doubted_before is not None
    assert position.doubted_before <= NOON


@given(steps)
def test_what_was_cut_once_is_not_cut_again(by: timedelta) -> None:
    position = within_reach(ahead(by), NOON, POLICY)
    assert within_reach(position, NOON + SECOND, POLICY) is position


def test_an_honest_row_is_left_as_it_is() -> None:
    position = covers_push(Position(holder="somebody", epoch=3), NOON, POLICY)
    burst = position
    for _ in range(POLICY.requests_per_minute // 10):
        burst = replace(burst, paced_at=paced(burst.paced_at, NOON, POLICY.requests_per_minute))
    for each in (position, burst, replace(position, silent_until=NOON + POLICY.settle, wait_until=NOON + 15 * MINUTE)):
        assert within_reach(each, NOON, POLICY) is each


def test_the_silence_of_an_intent_from_the_future_ends() -> None:
    late = Intent(3, 7, Action.UPDATE, (), NOON + HOUR, NOON + 2 * HOUR)
    cut = intent_within_reach(late, NOON, POLICY)
    assert cut.started_at == NOON
    assert cut.silent_until == NOON + POLICY.send_within + POLICY.request_timeout + POLICY.settle
    assert intent_within_reach(cut, NOON + SECOND, POLICY) is cut


@pytest.mark.parametrize(("by", "astray"), [(HOUR, False), (23 * HOUR, False), (25 * HOUR, True), (-25 * HOUR, True)])
def test_a_clock_is_believed_up_to_a_day(by: timedelta, *, astray: bool) -> None:
    assert is_astray(NOON + by, NOON) is astray
