"""A grant covers what its patterns or locations name, and everything where it names none."""

import pytest

from oicp_adapter.domain.access import EVERYTHING, Grant
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus


def grant(*patterns: str, locations: tuple[str, ...] = ()) -> Grant:
    return Grant(frozenset(), frozenset(), tuple(EvsePattern(each) for each in patterns), frozenset(locations))


@pytest.mark.parametrize(
    ("given", "evse_id", "location", "covered"),
    [
        (grant(), "DE*ABC*E1", None, True),
        (grant("DE*ABC*E1%"), "DEABCE12", None, True),
        (grant("DE*ABC*E1%"), "DE*ABC*E2", "Zeil 85", False),
        (grant(locations=("Zeil 85",)), "DE*ABC*E2", "Zeil 85", True),
        (grant(locations=("Zeil 85",)), "DE*ABC*E2", None, False),
        (grant(locations=("Zeil 85",)), "DE*ABC*E2", "Zeil 8", False),
        (grant("DE*ABC*E1%", locations=("Zeil 85",)), "DE*ABC*E2", "Zeil 85", True),
        (grant("DE*ABC*E1%", locations=("Zeil 85",)), "DE*ABC*E11", None, True),
    ],
)
def test_a_grant_covers_what_its_patterns_or_its_locations_name(given, evse_id, location, covered):
    assert given.covers(evse_id, location) is covered


def test_everything_is_every_scope_every_kind_and_every_evse():
    assert EVERYTHING.covers_all
    assert EVERYTHING.kinds == frozenset(TemporaryStatus)
    assert EVERYTHING.longest is None
