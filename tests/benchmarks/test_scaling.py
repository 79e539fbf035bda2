"""What is said about sizes that no machine here has: computed, and seen in virtual time."""

from dataclasses import replace

import pytest

from benchmarks import scaling
from benchmarks.capacity import Capacity, Costs
from reliability.seeds.bench import bench

COSTS = Costs(round_trip=0.02, request=0.006, record=0.00005, page=0.03)


@pytest.fixture(scope="module")
def made():
    with bench() as opened:
        yield opened


def test_lanes_in_virtual_time_do_what_was_computed(made):
    capacity = Capacity(COSTS, requests_per_minute=1800, max_records=100)
    found = list(scaling.check(made, capacity, evses=1000, seconds=2))
    assert [each for each in found if not each.holds] == []
    assert all(each.seen > each.computed / 4 for each in found), "what is computed is near what is seen"


def test_lanes_that_are_slower_than_computed_are_told(made, monkeypatch):
    capacity = Capacity(COSTS, requests_per_minute=1800, max_records=100)
    monkeypatch.setattr(Capacity, "longest_wait", lambda *_, **__: 0.01)
    first = next(scaling.check(made, capacity, evses=300, seconds=2))
    assert "propagation" in first.what
    assert not first.holds


def test_a_slower_hub_a_smaller_batch_and_a_lower_limit_carry_less():
    usual = Capacity(COSTS, requests_per_minute=1800, max_records=1000)
    slower = replace(usual, costs=replace(COSTS, round_trip=0.2))
    smaller = replace(usual, max_records=100)
    limited = replace(usual, requests_per_minute=60)
    for less in (slower, smaller, limited):
        assert less.changes_per_second < usual.changes_per_second
        assert less.drained(1_000_000) > usual.drained(1_000_000)
        assert less.longest_wait(50) >= usual.longest_wait(50)
    assert usual.batch(usual.changes_per_second * 2) == usual.max_records
