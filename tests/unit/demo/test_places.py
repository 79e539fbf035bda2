"""The made-up fleet of the demo."""

from random import Random
from zoneinfo import ZoneInfo

import pytest

from oicp_adapter.demo.places import ACCOUNTS, make_fleet
from oicp_adapter.domain.identifiers import evse_key, operator_key, parse_evse_id
from oicp_adapter.domain.statuses import parse_status


def seeded(seed):
    return Random(seed)  # noqa: S311 - a life that can be repeated is wanted, not a secret


def test_every_evse_may_be_pushed_by_one_account_and_has_a_place_and_a_known_status():
    for each in make_fleet(1000, seeded(1)):
        lanes = [account for account in ACCOUNTS if operator_key(each.operator_id) in account.operator_keys]
        assert len(lanes) == 1
        assert parse_evse_id(each.evse_id).operator == operator_key(each.operator_id)
        assert parse_status(each.status) is not None
        assert each.location
        assert each.charge_box
        assert ZoneInfo(each.time_zone)


def test_no_charging_spot_is_made_up_twice():
    fleet = list(make_fleet(20_000, seeded(1)))

    assert len({evse_key(each.evse_id) for each in fleet}) == len(fleet)


@pytest.mark.parametrize("count", [4, 30, 200])
def test_even_a_small_fleet_has_both_accounts(count):
    served = {
        account.operator_id
        for each in make_fleet(count, seeded(1))
        for account in ACCOUNTS
        if operator_key(each.operator_id) in account.operator_keys
    }

    assert served == {account.operator_id for account in ACCOUNTS}


def test_the_same_generator_makes_the_same_fleet():
    assert list(make_fleet(50, seeded(7))) == list(make_fleet(50, seeded(7)))
