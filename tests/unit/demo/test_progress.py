"""How long changes take, measured from look to look."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.demo.judgement import Wanted
from oicp_adapter.demo.progress import Acknowledged, Progress, percentile
from oicp_adapter.domain.identifiers import EvseId, OperatorId
from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.sync.model import StatusRow

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = ("DE*ABC", "DEABCE1")


def at(seconds):
    return START + timedelta(seconds=seconds)


def wanted(word, since):
    row = StatusRow(EvseId("DE*ABC*E1"), OperatorId("DE*ABC"), word, since)
    return [Wanted(*KEY, row, resolve(word, (), START, StatusMapping()), since)]


def look(progress, word, since, status, acknowledged_at, *, now):
    (standing,) = progress.look(wanted(word, since), {KEY: Acknowledged(status, acknowledged_at)}, now)
    return standing


def test_a_change_that_is_not_acknowledged_waits_since_it_was_made():
    standing = look(Progress(START), "Charging", at(1), "Available", at(0), now=at(3))

    assert standing.waits
    assert standing.lag == timedelta(seconds=2)


def test_an_acknowledged_change_took_from_its_making_to_its_acknowledgement_and_is_measured_once():
    progress = Progress(START)
    look(progress, "Charging", at(1), "Available", at(0), now=at(1.1))
    for now in (2, 3):
        standing = look(progress, "Charging", at(1), "Occupied", at(1.5), now=at(now))
        assert not standing.waits
        assert standing.lag == timedelta(seconds=0.5)

    assert list(progress.lags) == [0.5]


def test_a_change_that_means_nothing_new_to_the_hub_is_not_measured():
    progress = Progress(START)
    look(progress, "Charging", at(1), "Occupied", at(1.5), now=at(2))
    look(progress, "SuspendedEV", at(4), "Occupied", at(1.5), now=at(5))

    assert list(progress.lags) == [0.5]


def test_what_changed_before_the_start_is_not_measured():
    progress = Progress(START)

    assert look(progress, "Charging", at(-5), "Occupied", at(1), now=at(2)).lag is None
    assert not progress.lags


def test_an_evse_that_the_ledger_does_not_know_waits():
    (standing,) = Progress(START).look(wanted("Available", None), {}, at(1))

    assert standing.waits
    assert standing.acknowledged is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.95, 4), (1.0, 4), (0.0, 1)])
def test_a_percentile_is_one_of_the_values(share, value):
    assert percentile([4, 1, 3, 2], share) == value


def test_nothing_has_no_percentile():
    assert percentile([], 0.5) is None


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_at_least_the_share_of_all_values_does_not_exceed_the_percentile(values, share):
    found = percentile(values, share)

    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
