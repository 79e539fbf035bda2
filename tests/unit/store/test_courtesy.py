"""Whether others get their turn at a SQLite file."""

from contextlib import suppress

import pytest

from oicp_adapter.store import courtesy
from oicp_adapter.store.courtesy import LONGEST, NOTICED, Courtesy


class Time:
    """Stands in for the module `time`; nothing waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    stand_in = Time()
    monkeypatch.setattr(courtesy, "time", stand_in)
    return stand_in


def hold(turns: Courtesy, clock: Time, seconds: float) -> None:
    with turns.writing():
        clock.now += seconds


def test_after_a_long_transaction_the_file_is_left_to_others_for_as_long(clock: Time) -> None:
    turns = Courtesy()
    hold(turns, clock, 2 * NOTICED)
    hold(turns, clock, 0.001)
    assert clock.slept == [pytest.approx(2 * NOTICED)]


def test_what_passes_anyway_counts_and_a_pause_has_its_end(clock: Time) -> None:
    turns = Courtesy()
    hold(turns, clock, 50 * LONGEST)
    clock.now += LONGEST / 4
    hold(turns, clock, 0.001)
    assert clock.slept == [pytest.approx(0.75 * LONGEST)]


def test_short_transactions_follow_each_other_without_a_pause(clock: Time) -> None:
    turns = Courtesy()
    for _ in range(3):
        hold(turns, clock, NOTICED / 2)
    assert clock.slept == []


def test_a_transaction_that_failed_was_held_all_the_same(clock: Time) -> None:
    turns = Courtesy()
    with suppress(KeyError), turns.writing():
        clock.now += LONGEST
        _ = {}["missing"]
    hold(turns, clock, 0.001)
    assert clock.slept == [pytest.approx(LONGEST)]
