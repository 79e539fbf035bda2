import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.sync.guard import SMALL_NUMBER, WithdrawalCount, must_hold, must_stay_held
from oicp_adapter.sync.model import Policy

POLICY = Policy(max_withdrawn_share=0.10)
numbers = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("size", "recent", "pending", "held"),
    [
        (100, 0, 10, False),
        (100, 0, 11, True),
        (100, 10, 1, True),
        (100, 11, 0, True),
        (10, 0, 5, False),
        (10, 0, 6, True),
        (5, 0, 5, False),
        (6, 0, 6, True),
        (0, 0, 0, False),
    ],
)
def test_more_than_the_share_and_more_than_a_small_number_wait(
    size: int,
    recent: int,
    pending: int,
    held: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert must_hold(WithdrawalCount(size=size, recent=recent, pending=pending), POLICY) is held


@given(numbers, numbers, numbers, st.integers(1, 100))
def test_a_further_withdrawal_never_frees_what_is_held(size: int, recent: int, pending: int, more: int) -> None:
    if must_hold(WithdrawalCount(size=size, recent=recent, pending=pending), POLICY):
        assert must_hold(WithdrawalCount(size=size, recent=recent, pending=pending + more), POLICY)


@given(st.integers(0, SMALL_NUMBER), numbers)
def test_a_station_may_always_be_dismantled(vanishing: int, size: int) -> None:
    assert not must_hold(WithdrawalCount(size=size, recent=0, pending=vanishing), POLICY)


def test_what_is_held_is_not_let_go_by_the_mere_passing_of_a_day() -> None:
    day_later = WithdrawalCount(size=900, recent=0, pending=50, earlier=100)
    assert not must_hold(day_later, POLICY)
    assert must_stay_held(day_later, POLICY)


def test_what_is_held_goes_when_enough_others_have_come_back() -> None:
    assert not must_stay_held(WithdrawalCount(size=1000, recent=3, pending=50, earlier=40), POLICY)


@given(numbers, numbers, numbers, numbers)
def test_what_must_be_held_anew_must_also_stay_held(size: int, recent: int, pending: int, earlier: int) -> None:
    count = WithdrawalCount(size=size, recent=recent, pending=pending, earlier=earlier)
    if must_hold(count, POLICY):
        assert must_stay_held(count, POLICY)
