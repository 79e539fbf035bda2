"""An EVSE that moves, is spelt anew or changes while a request is out ends where it belongs, and no hint is lost."""

from dataclasses import replace
from unittest.mock import Mock

import pytest

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.store import sweep
from oicp_adapter.store.operations import request_full_load
from oicp_adapter.sync.model import Action


@pytest.fixture
def two(bench):
    """Two lanes over one store: DE*ABC may push the EVSEs of DE*XYZ too only when it has them."""
    bench.fleet(2)
    bench.write("DE*XYZ*E1", "Available", "DE*XYZ")
    lanes = bench.lane("DE*ABC"), bench.lane("DE*XYZ")
    for lane in lanes:
        lane.quiet()
    return lanes


def test_an_evse_of_a_sub_operator_that_changes_hands_leaves_one_lane_and_joins_the_other(bench):
    partners = {"DE*ABC": frozenset({"DE*SUB"}), "DE*HUB": frozenset({"DE*XYZ"})}
    bench.hub.options = replace(bench.hub.options, partners=partners)
    lanes = bench.lane("DE*ABC", sub_operators=["DE*SUB"]), bench.lane("DE*HUB", sub_operators=["DE*XYZ"])
    bench.write("DE*SUB*E1", "Charging", "DE*SUB")
    for lane in lanes:
        lane.quiet()
    assert dict(lanes[0].at_hub()) == {"DESUBE1": "Occupied"}
    bench.sql("UPDATE evse_status SET operator_id = 'DE*XYZ', evse_id = 'DE*XYZ*E1'")
    for lane in lanes:
        lane.quiet()
    assert dict(lanes[0].at_hub()) == {}
    assert dict(lanes[1].at_hub()) == {"DEXYZE1": "Occupied"}


@pytest.mark.parametrize("joins_first", [True, False])
def test_a_moved_row_is_withdrawn_where_it_leaves_and_judged_where_it_joins(bench, two, joins_first):
    bench.sql("UPDATE evse_status SET operator_id = 'DE*XYZ' WHERE evse_id = 'DE*ABC*E1'")
    bench.window("DE*ABC*E1", "Maintenance", bench.clock.now())
    for lane in (two[::-1] if joins_first else two) * 2:
        lane.quiet()
    assert "DEABCE1" not in two[0].at_hub()
    assert dict(two[1].at_hub()) == {"DEXYZE1": "Available"}
    (row,) = bench.sql("SELECT lane, evse_id, reason FROM oicp_rejection")
    assert tuple(row) == ("DEXYZ", "DE*ABC*E1", "foreign_operator")
    assert bench.hints() == 0


def test_a_replaced_row_moves_too(bench, two):
    if bench.store.dialect != "sqlite":
        pytest.skip("REPLACE is SQLite's")
    columns, values = "evse_id, operator_id, status", "'DE*ABC*E1', 'DE*XYZ', 'Charging'"
    bench.sql(f"INSERT OR REPLACE INTO evse_status ({columns}) VALUES ({values})")
    for lane in two:
        lane.quiet()
    assert "DEABCE1" not in two[0].at_hub()
    assert "DEABCE1" not in two[1].at_hub(), "its EvseID names an operator that the lane may not push"


def test_two_lanes_push_their_own_only(bench, two):
    bench.write("DE*ABC*E0", "Faulted")
    bench.write("DE*XYZ*E1", "Charging", "DE*XYZ")
    for lane in two:
        lane.quiet()
    assert two[0].at_hub() == {"DEABCE0": "OutOfService", "DEABCE1": "Available"}
    assert two[1].at_hub() == {"DEXYZE1": "Occupied"}
    assert bench.hints() == 0


def test_of_two_spellings_one_is_pushed_and_the_other_named(bench):
    bench.write("DEABCE1", "Charging")
    bench.write("DE*ABC*E1", "Available")
    lane = bench.lane()
    lane.quiet()
    assert [sent.statuses for sent in lane.wire.sent] == [{"DE*ABC*E1": "Available"}]
    (row,) = bench.sql("SELECT evse_id, reason, detail FROM oicp_rejection")
    assert (row.evse_id, row.reason) == ("DEABCE1", "duplicate")
    assert "DE*ABC*E1" in row.detail


def test_the_remaining_spelling_takes_over_when_the_other_is_deleted(bench):
    bench.write("DEABCE1", "Charging")
    bench.write("DE*ABC*E1", "Available")
    lane = bench.lane()
    lane.quiet()
    bench.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E1'")
    lane.quiet()
    assert lane.at_hub() == {"DEABCE1": "Occupied"}
    assert Action.DELETE not in {sent.action for sent in lane.wire.sent}
    assert lane.wire.sent[-1].statuses == {"DEABCE1": "Occupied"}
    assert bench.sql("SELECT count(*) FROM oicp_rejection")[0][0] == 0


def test_a_respelt_row_is_updated_not_withdrawn(bench, two):
    bench.sql("UPDATE evse_status SET evse_id = 'DEABCE1' WHERE evse_id = 'DE*ABC*E1'")
    two[0].quiet()
    assert Action.DELETE not in {sent.action for sent in two[0].wire.sent}
    assert bench.hub.find("DE*ABC*E1").evse_id == "DEABCE1"


def test_a_change_that_comes_while_its_own_push_is_out_keeps_its_hint(bench, two):
    lane = two[0]
    bench.write("DE*ABC*E0", "Charging")
    lane.wire.meanwhile = lambda: bench.write("DE*ABC*E0", "Faulted")
    lane.worker.turn()
    assert bench.hints() == 1
    lane.quiet()
    assert bench.hints() == 0
    assert lane.at_hub()["DEABCE0"] == "OutOfService"


def test_what_piled_up_while_a_request_was_out_travels_together_with_its_newest_values(bench, two):
    lane = two[0]

    def storm():
        for status in ("Charging", "Finishing", "Available", "Faulted"):
            for number in range(2):
                bench.write(f"DE*ABC*E{number}", status)

    bench.write("DE*ABC*E0", "Charging")
    lane.wire.meanwhile = storm
    before = len(lane.wire.sent)
    lane.quiet()
    assert [sent.statuses for sent in lane.wire.since(before + 1)] == [
        {"DE*ABC*E0": "OutOfService", "DE*ABC*E1": "OutOfService"}
    ]


def test_what_becomes_less_usable_goes_before_what_becomes_more_usable(bench):
    bench.fleet(10, "Faulted")
    bench.write("DE*ABC*E9", "Available")
    lane = bench.lane(max_records=5)
    lane.quiet()
    before = len(lane.wire.sent)
    # in one statement: what waits for a second is urgent whatever it becomes
    bench.sql("UPDATE evse_status SET status = CASE evse_id WHEN 'DE*ABC*E9' THEN 'Faulted' ELSE 'Available' END")
    lane.quiet()
    first = lane.wire.since(before)[0]
    assert next(iter(first.statuses.items())) == ("DE*ABC*E9", "OutOfService")


def test_a_row_written_again_with_the_same_value_is_not_pushed(bench, two):
    lane = two[0]
    before = len(lane.wire.sent)
    bench.sql("UPDATE evse_status SET changed_at = NULL")
    bench.write("DE*ABC*E0", "aVaIlAbLe")
    lane.quiet()
    assert lane.wire.since(before) == []
    assert bench.hints() == 0


def test_a_change_of_which_no_trigger_tells_is_found_by_the_sweep(bench):
    bench.fleet(3)
    lane = bench.lane(sweep_every=60.0)
    lane.quiet()
    bench.without_triggers("UPDATE evse_status SET status = 'Faulted' WHERE evse_id = 'DE*ABC*E2'")
    lane.pass_time(seconds=30)
    assert lane.at_hub()["DEABCE2"] == "Available"
    lane.pass_time(seconds=40)
    assert lane.at_hub()["DEABCE2"] == "OutOfService"


def test_a_sweep_of_which_a_page_failed_begins_anew_within_seconds(bench, monkeypatch):
    bench.fleet(3)
    lane = bench.lane(sweep_every=300.0)
    lane.quiet()
    bench.without_triggers("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E2'")
    failures = [StoreUnavailableError("somebody has locked a table", cure="wait")]
    compare = sweep._compare_ledger

    def brittle(*page):
        if failures:
            raise failures.pop()
        return compare(*page)

    monkeypatch.setattr(sweep, "_compare_ledger", brittle)
    bench.clock.advance(seconds=301)
    with pytest.raises(StoreUnavailableError):
        lane.quiet()
    lane.pass_time(seconds=4)
    assert set(lane.at_hub()) == {"DEABCE0", "DEABCE1", "DEABCE2"}, "not at once, which would hold up what changes"
    lane.pass_time(seconds=4)
    assert set(lane.at_hub()) == {"DEABCE0", "DEABCE1"}


def test_a_full_load_waits_for_the_sweep_that_failed(bench, monkeypatch):
    bench.fleet(3)
    lane = bench.lane(sweep_every=300.0)
    lane.quiet()
    away = StoreUnavailableError("somebody has locked a table", cure="wait")
    bench.clock.advance(seconds=301)
    with monkeypatch.context() as failing:
        failing.setattr(sweep, "_compare_ledger", Mock(side_effect=away))
        with pytest.raises(StoreUnavailableError):
            lane.quiet()
    before = len(lane.wire.sent)
    request_full_load(lane.store.store, "DEABC", by="ann")
    for _ in range(2):
        lane.worker._due.pop("renew", None)
        lane.quiet()
    assert Action.FULL_LOAD not in [sent.action for sent in lane.wire.since(before)]
    lane.pass_time(seconds=20)
    assert Action.FULL_LOAD in [sent.action for sent in lane.wire.since(before)]
