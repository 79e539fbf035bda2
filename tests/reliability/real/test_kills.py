"""Hundreds of kills, at every named point and at random: nothing is lost, nothing overlaps, no silence is broken."""

import pytest

from reliability.real.kills import RANDOM, kill_all
from reliability.real.points import POINTS

KILLS = 105


@pytest.mark.timeout(600)
def test_a_daemon_killed_at_each_point_and_at_random_loses_nothing(workshop, store):
    tally = kill_all(lambda: workshop.site(store), kills=KILLS, sites=6 if store == "sqlite" else 10, seed=len(store))
    assert tally.kills.total() + tally.passed_by.total() == KILLS
    assert tally.kills.total() >= KILLS * 0.9, f"a point that is passed by is not shown to be survived: {tally}"
    assert set(tally.kills) == {RANDOM, *(point.name for point in POINTS if point.sqlite or store == "postgresql")}
