"""EVSEs are listed with where they stand and how far the hub is, in pages, to whom may see them."""

import pytest

from oicp_adapter.control import chargers
from oicp_adapter.control.chargers import ChargerFilter, get_charger, list_chargers, locations, window_standing
from oicp_adapter.domain.access import Actor, Grant
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import OicpStatus, Status, TemporaryStatus
from oicp_adapter.store.evses import EvseState
from reliability.real.machine import run_sql

from .conftest import ANN, HOUR, PLACES, grant


def ids(page):
    return [each.overview.evse_id for each in page.items]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize("wanted", [ChargerFilter(), ChargerFilter(search="abc")])
def test_pages_together_are_the_whole_fleet_in_order(desk, limit, wanted):
    found, after = [], None
    for _ in range(10):
        page = list_chargers(desk, ANN, wanted, after=after, limit=limit)
        found += ids(page)
        after = page.next
        if after is None:
            break
    assert found == sorted(PLACES)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_two_spellings_of_one_evse_end_no_listing(desk, limit):
    run_sql(
        desk.store, "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1*', 'DE*ABC', 'x')", {}
    )
    found, after = [], None
    for _ in range(12):
        page = list_chargers(desk, ANN, ChargerFilter(search="abc"), after=after, limit=limit)
        found += [evse_key(each) for each in ids(page)]
        after = page.next
        if after is None:
            break
    assert sorted(found) == sorted(evse_key(each) for each in PLACES)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ChargerFilter(evse_ids=frozenset({"deabce1", "DE*ABC*E9"})), ["DE*ABC*E1"]),
        (ChargerFilter(search="zeil"), ["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"]),
        (ChargerFilter(search="cb3"), ["DE*ABC*E11"]),
        (ChargerFilter(search="ABCE12"), ["DE*ABC*E12"]),
        (ChargerFilter(location="Zeil 85", charge_box="CB2"), ["DE*ABC*E3"]),
        (ChargerFilter(operator_id="deabc"), sorted(PLACES)),
        (ChargerFilter(operator_id="DE*XYZ"), []),
        (ChargerFilter(effective=Status.BLOCKED), ["DE*ABC*E1"]),
        (ChargerFilter(temporary=TemporaryStatus.BLOCKED, location="Zeil 85"), ["DE*ABC*E1"]),
        (ChargerFilter(state=EvseState.IN_SYNC), []),
    ],
)
def test_a_filter_lets_pass_what_it_names(desk, blocked, wanted, expected):
    blocked()
    assert ids(list_chargers(desk, ANN, wanted)) == expected


def test_a_filter_that_few_pass_ends_its_page_and_goes_on(desk, monkeypatch):
    monkeypatch.setattr(chargers, "LOOKED_AT", 2)
    page = list_chargers(desk, ANN, ChargerFilter(operator_id="DE*XYZ"))
    assert (page.items, page.next is not None) == ([], True)


def test_who_may_see_some_evses_sees_only_those(desk):
    some = Actor("some", "tokensom", grant(patterns=("DE*ABC*E1%",), locations=frozenset({"Zeil 85"})))
    assert ids(list_chargers(desk, some, ChargerFilter())) == sorted(PLACES)
    few = Actor("few", "tokenfew", grant(locations=frozenset({"Torstraße 140"})))
    assert ids(list_chargers(desk, few, ChargerFilter())) == ["DE*ABC*E11"]
    assert get_charger(desk, few, "deabce11").charge_box == "CB3"
    for actor, evse_id, refusal in (
        (few, "DE*ABC*E1", Refusal.NOT_PERMITTED),
        (ANN, "DE*ABC*E9", Refusal.UNKNOWN_EVSE),
        (Actor("nobody", None, Grant(frozenset(), frozenset())), "DE*ABC*E1", Refusal.NOT_PERMITTED),
    ):
        with pytest.raises(RequestRefusedError) as caught:
            get_charger(desk, actor, evse_id)
        assert caught.value.refusal is refusal


def test_locations_are_counted_by_charge_box_and_what_stands_nowhere_comes_last(desk):
    found = [
        (each.location, [(box.charge_box, box.evses) for box in each.charge_boxes]) for each in locations(desk, ANN)
    ]
    assert found == [
        ("Torstraße 140", [("CB3", 1)]),
        ("Zeil 85", [("CB1", 2), ("CB2", 1)]),
        (None, [(None, 1)]),
    ]


def test_who_may_see_some_evses_counts_only_those(desk):
    some = Actor("some", "tokensom", grant(patterns=("DE*ABC*E1",), locations=frozenset({"Torstraße 140"})))
    found = locations(desk, some)
    assert [(each.location, each.evses) for each in found] == [("Torstraße 140", 1), ("Zeil 85", 1)]


def test_how_far_the_hub_is_with_a_window_is_told_from_its_first_acknowledgement(desk, now, blocked, present, lane):
    active, ahead = blocked(), blocked("DE*ABC*E2", valid_from=now + HOUR, valid_to=None)
    standing, none = window_standing(desk, [active, ahead])
    assert (standing.state, standing.at, none) == (EvseState.PENDING, None, None)
    with lane.transaction() as books:
        since = books.now
        occupied = {"acknowledged": OicpStatus.OCCUPIED, "acknowledged_since": since, "acknowledged_at": since + HOUR}
        books.save([present("DE*ABC*E1", since, **occupied)])
    (acknowledged,) = window_standing(desk, [active])
    assert (acknowledged.state, acknowledged.at) == (EvseState.IN_SYNC, since)
    assert acknowledged.lag == since - active.record.updated_at
