"""A full load replaces everything at the hub, so it goes out whole, clean, alone, once a day, or not at all."""

from datetime import timedelta

import pytest

from oicp_adapter.store.lane_transaction import LaneTransaction
from oicp_adapter.store.operations import request_full_load
from oicp_adapter.sync.model import Action

DAILY = {"full_load_at": "03:00"}


def actions(lane, number=0):
    return [sent.action for sent in lane.wire.since(number)]


@pytest.fixture
def loaded(bench):
    """A lane whose first full load carried thirty EVSEs."""
    bench.fleet(30)
    bench.write("DE*ABC*E7", "Charging")
    lane = bench.lane(**DAILY)
    lane.quiet()
    return lane


def test_the_first_push_of_an_empty_ledger_is_one_full_load_of_the_whole_fleet(bench, loaded):
    (sent,) = loaded.wire.sent
    assert sent.action is Action.FULL_LOAD
    assert len(sent.statuses) == 30
    assert sent.statuses["DE*ABC*E7"] == "Occupied"
    assert loaded.metric("pushes_total", action="fullLoad") == 1
    assert loaded.metric("last_full_load_timestamp_seconds") == pytest.approx(sent.at.timestamp(), abs=5)
    entry = loaded.entry("DE*ABC*E7")
    assert (entry.acknowledged, entry.pending_since) == ("Occupied", None)


def test_a_change_that_comes_while_a_full_load_is_out_is_pushed_after_it(bench):
    bench.fleet(5)
    lane = bench.lane(**DAILY)
    lane.wire.meanwhile = lambda: bench.write("DE*ABC*E3", "Faulted")
    lane.quiet()
    assert actions(lane) == [Action.FULL_LOAD, Action.UPDATE]
    assert lane.at_hub()["DEABCE3"] == "OutOfService"


def test_an_evse_that_vanishes_while_a_full_load_is_out_is_withdrawn_after_it(bench):
    bench.fleet(5)
    lane = bench.lane(**DAILY)
    lane.wire.meanwhile = lambda: bench.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E3'")
    lane.quiet()
    assert actions(lane) == [Action.FULL_LOAD, Action.DELETE]
    assert "DEABCE3" not in lane.at_hub()


def test_an_empty_store_is_never_loaded(bench):
    lane = bench.lane(**DAILY)
    lane.quiet()
    lane.pass_time(seconds=60)
    lane.pass_time(hours=30, step=7200)
    assert lane.wire.sent == []


def test_a_lane_without_a_daily_full_load_inserts_its_fleet(bench):
    bench.fleet(5)
    lane = bench.lane(full_load_at="")
    lane.quiet()
    assert actions(lane) == [Action.INSERT]


def test_the_daily_full_load_goes_out_once_at_its_hour(bench, loaded):
    midnight = bench.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    three = midnight + timedelta(days=1, hours=3)
    bench.clock.advance_to(three - timedelta(minutes=1))
    loaded.quiet()
    before = len(loaded.wire.sent)
    bench.clock.advance_to(three)
    loaded.pass_time(seconds=30)
    assert actions(loaded, before) == [Action.FULL_LOAD]
    loaded.pass_time(minutes=3)
    assert actions(loaded, before) == [Action.FULL_LOAD]


def test_a_full_load_that_somebody_asks_for_is_the_next_request(bench, loaded):
    request_full_load(bench.store, "DEABC", by="ann")
    loaded.pass_time(seconds=15)
    assert actions(loaded) == [Action.FULL_LOAD, Action.FULL_LOAD]
    assert loaded.position().full_load_requested_at is None


def test_a_full_load_waits_until_no_record_is_refused(bench, loaded):
    loaded.wire.will("poison", evse_id="DE*ABC*E1", poison="018", count=None)
    bench.write("DE*ABC*E1", "Faulted")
    bench.write("DE*ABC*E2", "Charging")
    loaded.pass_time(seconds=10)
    assert loaded.entry("DE*ABC*E1").retry_at is not None
    request_full_load(bench.store, "DEABC", by="ann")
    loaded.pass_time(seconds=30)
    assert actions(loaded).count(Action.FULL_LOAD) == 1
    assert bench.events("full_load.postponed")[-1]["why"].startswith("the ledger has")
    loaded.wire.faults.clear()
    loaded.pass_time(minutes=4)
    assert actions(loaded).count(Action.FULL_LOAD) == 2
    assert loaded.at_hub()["DEABCE1"] == "OutOfService"


def test_an_unanswered_full_load_puts_everything_in_doubt_and_is_not_repeated(bench):
    bench.fleet(12)
    lane = bench.lane(**DAILY, max_records=5)
    lane.wire.will("answer_lost")
    lane.quiet()
    assert lane.position().doubted_before is not None
    lane.pass_time(seconds=30)
    later = lane.wire.since(1)
    assert Action.FULL_LOAD not in {sent.action for sent in later}
    asserted = {evse for sent in later for evse in sent.statuses}
    assert len(asserted) == 12
    assert len(lane.at_hub()) == 12


def test_an_unanswered_full_load_makes_even_what_has_not_changed_be_asserted_again(bench, loaded):
    request_full_load(bench.store, "DEABC", by="ann")
    loaded.wire.will("answer_lost")
    loaded.pass_time(seconds=40)
    assert actions(loaded, 1)[0] is Action.FULL_LOAD
    assert {evse for sent in loaded.wire.since(2) for evse in sent.statuses} == {f"DE*ABC*E{n}" for n in range(30)}


def test_a_full_load_that_lands_late_is_corrected(bench, loaded):
    request_full_load(bench.store, "DEABC", by="ann")
    loaded.wire.will("late_apply", delay=250, silent=True)
    loaded.pass_time(seconds=12)
    bench.write("DE*ABC*E1", "Faulted")
    bench.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E2'")
    bench.write("DE*ABC*E99", "Available")
    loaded.pass_time(seconds=100)
    right = {"DEABCE1": "OutOfService", "DEABCE99": "Available", "DEABCE7": "Occupied"}
    assert right.items() <= loaded.at_hub().items()
    bench.clock.advance(seconds=160)
    assert "DEABCE2" in loaded.at_hub(), "the full load landed"
    loaded.pass_time(seconds=240)
    assert right.items() <= loaded.at_hub().items()
    assert "DEABCE2" not in loaded.at_hub()
    assert len(loaded.at_hub()) == 30


def test_a_crash_while_a_full_load_is_out_puts_everything_in_doubt(bench):
    bench.fleet(8)
    first = bench.lane(holder="one", **DAILY)
    while (push := first.worker.prepare()) is None:
        first.worker._sweep.advance(bench.clock.now())
    assert push.intent.action is Action.FULL_LOAD
    first.worker.send(push)
    second = bench.lane(holder="two", **DAILY)
    second.pass_time(seconds=90)
    assert Action.FULL_LOAD not in set(actions(second))
    assert {evse for sent in second.wire.sent for evse in sent.statuses} == {f"DE*ABC*E{n}" for n in range(8)}
    assert bench.sql("SELECT count(*) FROM oicp_full_load")[0][0] == 0


def test_a_full_load_from_which_an_evse_would_be_missing_is_not_sent(bench, loaded):
    bench.without_triggers("DELETE FROM evse_status WHERE evse_id IN ('DE*ABC*E1', 'DE*ABC*E2')")
    request_full_load(bench.store, "DEABC", by="ann")
    bench.clock.advance(seconds=12)
    loaded.worker.turn()
    assert actions(loaded, 1) in ([], [Action.DELETE])
    assert "would be missing" in bench.events("full_load.postponed")[-1]["why"]
    loaded.pass_time(seconds=30)
    assert actions(loaded, 1) == [Action.DELETE, Action.FULL_LOAD]
    assert len(loaded.at_hub()) == 28


def test_half_a_store_is_neither_loaded_nor_withdrawn(bench, loaded):
    bench.without_triggers("DELETE FROM evse_status WHERE evse_id LIKE 'DE*ABC*E1%'")
    request_full_load(bench.store, "DEABC", by="ann")
    loaded.pass_time(minutes=2)
    assert actions(loaded, 1) == []
    assert len(loaded.at_hub()) == 30


@pytest.mark.parametrize("step", ["prepare_full_load", "acknowledge_full_load"])
def test_a_full_load_that_takes_the_database_longer_than_a_lease_costs_no_lease(bench, monkeypatch, step):
    bench.fleet(5)
    lane = bench.lane(**DAILY)
    other = bench.lane(holder="two", **DAILY)
    usual = getattr(LaneTransaction, step)

    def slowly(books, **arguments):
        done = usual(books, **arguments)
        bench.clock.advance(seconds=45)
        return done

    monkeypatch.setattr(LaneTransaction, step, slowly)
    lane.worker.turn()
    monkeypatch.undo()
    other.quiet()
    assert lane.position().holder == lane.worker._identity.holder
    assert bench.events("lane.lost") == []
    lane.quiet()
    assert actions(lane) == [Action.FULL_LOAD]
    assert actions(other) == []
