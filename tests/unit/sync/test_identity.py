"""Whether a store is the one that a lane knows, and whether it went back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.sync.identity import StoreIdentity, differences, distrust, merged, went_back
from oicp_adapter.sync.lease import claim
from oicp_adapter.sync.model import Policy, Position
from oicp_adapter.sync.schedule import full_load_due

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
POLICY = Policy()
KNOWN = StoreIdentity("hub.example/api/oicp", "db.example:5432", "fleet (16384)", "7300000000000000001", 1)


@pytest.mark.parametrize("fact", ["hub", "address", "database", "system"])
def test_each_fact_that_differs_makes_it_another_store_and_is_named(fact: str) -> None:
    (told,) = differences(KNOWN, replace(KNOWN, **{fact: "another"}))
    assert told.endswith(f"another instead of {getattr(KNOWN, fact)}")


@pytest.mark.parametrize("fact", ["address", "database", "system", "timeline"])
def test_a_fact_that_is_not_known_tells_nothing_and_is_kept(fact: str) -> None:
    silent = replace(KNOWN, **{fact: None})
    assert not differences(KNOWN, silent)
    assert not differences(silent, KNOWN)
    assert not went_back(Position(attempt=5), 5, KNOWN, silent)
    assert merged(KNOWN, silent) == KNOWN


@pytest.mark.parametrize("timeline", [2, 0])
def test_another_timeline_is_the_same_store_that_went_back(timeline: int) -> None:
    found = replace(KNOWN, timeline=timeline)
    assert not differences(KNOWN, found)
    assert went_back(Position(attempt=5), 5, KNOWN, found)
    assert merged(KNOWN, found).timeline == timeline


def test_fewer_requests_than_somebody_saw_committed_means_that_it_went_back() -> None:
    assert went_back(Position(attempt=4), 5, None, None)
    assert not went_back(Position(attempt=5), 5, None, KNOWN)
    assert not went_back(Position(attempt=9), 5, KNOWN, KNOWN)


def test_no_number_of_a_request_comes_twice_and_the_lease_is_taken_anew() -> None:
    doubtful = distrust(
        Position(attempt=4, epoch=2, holder="me", expires_at=NOON + timedelta(hours=1)),
        witnessed=9,
        epoch=7,
        silent_until=NOON - timedelta(seconds=1),
        now=NOON,
        policy=POLICY,
    )
    assert doubtful.attempt == 9
    assert doubtful.silent_until == NOON
    taken = claim(doubtful, "me", NOON, POLICY, sole=False)
    assert taken is not None
    assert taken.epoch == 8


def test_no_full_load_goes_out_by_itself_while_the_books_are_not_trusted() -> None:
    position = Position(distrusted_at=NOON)
    assert full_load_due(replace(position, distrusted_at=None), NOON, POLICY)
    assert not full_load_due(position, NOON + timedelta(days=3), POLICY)
    assert full_load_due(replace(position, full_load_requested_at=NOON), NOON, POLICY)
