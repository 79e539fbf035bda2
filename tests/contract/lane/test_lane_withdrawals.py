"""Chargers disappear from the hub when their operator says so, and never by the hundred without a person's word."""

from datetime import timedelta

import pytest

from oicp_adapter.store.operations import approve_withdrawals, held_withdrawals, request_full_load
from oicp_adapter.sync.model import Action, Presence


@pytest.fixture
def lane(bench):
    """A lane with forty EVSEs at the hub; four may go by themselves, and five always."""
    bench.fleet(40)
    opened = bench.lane(sweep_every=60.0)
    opened.quiet()
    assert len(opened.at_hub()) == 40
    return opened


def held(bench):
    return {row.evse_id for row in held_withdrawals(bench.store, "DEABC")}


def test_a_deleted_row_and_the_word_removed_withdraw_the_evse(bench, lane):
    bench.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E1'")
    bench.write("DE*ABC*E2", "rEmoved")
    lane.quiet()
    assert [sent.action for sent in lane.wire.since(1)] == [Action.DELETE]
    assert not {"DEABCE1", "DEABCE2"} & set(lane.at_hub())
    assert lane.entry("DE*ABC*E1").presence is Presence.ABSENT


def test_an_evse_that_comes_back_is_inserted_again(bench, lane):
    bench.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E1'")
    lane.quiet()
    bench.write("DE*ABC*E1", "Charging")
    lane.quiet()
    assert lane.at_hub()["DEABCE1"] == "Occupied"
    assert lane.wire.sent[-1].action is Action.INSERT


def test_an_emptied_table_withdraws_nothing(bench, lane):
    bench.sql("DELETE FROM evse_status")
    lane.pass_time(minutes=3)
    assert len(lane.at_hub()) == 40
    assert len(held(bench)) == 40
    assert lane.wire.since(1) == []
    assert sum(event["count"] for event in bench.events("withdrawals.held")) == 40


def test_a_truncated_table_of_which_no_trigger_tells_withdraws_nothing(bench, lane):
    if bench.store.dialect == "postgresql":
        bench.sql("TRUNCATE evse_status")
    else:
        bench.without_triggers("DELETE FROM evse_status")
    lane.pass_time(minutes=3)
    assert len(lane.at_hub()) == 40
    assert len(held(bench)) == 40


def test_updates_go_on_while_withdrawals_are_held(bench, lane):
    bench.sql("DELETE FROM evse_status WHERE evse_id LIKE 'DE*ABC*E1%'")
    bench.write("DE*ABC*E2", "Faulted")
    bench.write("DE*ABC*E50", "Available")
    lane.pass_time(seconds=30)
    assert len(held(bench)) == 11
    assert lane.at_hub()["DEABCE2"] == "OutOfService"
    assert lane.at_hub()["DEABCE50"] == "Available"
    assert Action.DELETE not in {sent.action for sent in lane.wire.sent}


def test_a_held_evse_that_comes_back_is_held_no_longer(bench, lane):
    bench.sql("DELETE FROM evse_status WHERE evse_id LIKE 'DE*ABC*E1%'")
    lane.quiet()
    back = [f"DE*ABC*E{n}" for n in (1, *range(10, 20))]
    for evse in back:
        bench.write(evse, "Charging")
    lane.quiet()
    assert held(bench) == set()
    assert lane.at_hub()["DEABCE11"] == "Occupied"


def test_exactly_what_a_person_approved_is_withdrawn(bench, lane):
    bench.sql("DELETE FROM evse_status WHERE evse_id LIKE 'DE*ABC*E1%'")
    lane.quiet()
    approved = {"DE*ABC*E1", "DEABCE10", "DE*ABC*E11", "DE*ABC*E12", "DE*ABC*E13", "DE*ABC*E14"}
    approve_withdrawals(bench.store, "DEABC", approved, by="ann")
    lane.quiet()
    gone = {f"DEABCE{number}" for number in range(40)} - set(lane.at_hub())
    assert gone == {evse.replace("*", "") for evse in approved}
    assert len(held(bench)) == 5


def test_the_guard_counts_a_whole_day(bench, lane):
    for number in range(8):
        bench.sql("DELETE FROM evse_status WHERE evse_id = :evse", evse=f"DE*ABC*E{number}")
        lane.pass_time(hours=1, step=3600)
    assert len(lane.at_hub()) == 35
    assert len(held(bench)) == 3


def test_a_withdrawal_that_was_never_at_the_hub_is_nobodys_business(bench):
    lane = bench.lane(shadow=True)
    bench.fleet(20)
    lane.quiet()
    bench.sql("DELETE FROM evse_status")
    lane.quiet()
    assert held(bench) == set()


def test_a_wrong_filter_that_shows_half_of_the_rows_withdraws_nothing_by_any_request(bench):
    bench.fleet(40)
    lane = bench.lane(sweep_every=1800.0, full_load_at="03:00", reassert_every=timedelta(hours=6))
    lane.quiet()
    bench.sql("ALTER TABLE evse_status RENAME TO evse_status_of_all")
    bench.sql(
        "CREATE VIEW evse_status AS SELECT * FROM evse_status_of_all WHERE evse_id < 'DE*ABC*E2'"
    )  # a row security policy, a search path, a bad join: the adapter sees what they leave
    bench.sql("UPDATE evse_status_of_all SET status = 'Faulted' WHERE evse_id = 'DE*ABC*E10'")
    request_full_load(bench.store, "DEABC", by="somebody who does not know")
    lane.pass_time(hours=7, step=1200)
    assert len(lane.at_hub()) == 40
    assert lane.at_hub()["DEABCE10"] == "OutOfService"
    assert {sent.action for sent in lane.wire.since(1)} == {Action.UPDATE}
    assert len(held(bench)) == 28
    bench.sql("DROP VIEW evse_status")
    bench.sql("ALTER TABLE evse_status_of_all RENAME TO evse_status")
    lane.pass_time(minutes=40, step=600)
    assert held(bench) == set()
    assert len(lane.at_hub()) == 40
