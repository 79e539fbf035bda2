"""A worker that dies, or loses its lease, between two steps of a push loses nothing and acknowledges nothing false."""

import pytest

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.sync.model import Action, Presence


def converged(lane):
    """Bring two EVSEs to the hub."""
    lane.quiet()
    assert dict(lane.at_hub()) == {"DEABCE0": "Available", "DEABCE1": "Available"}


@pytest.fixture
def first(bench):
    """A worker whose lane is quiet, with two EVSEs at the hub."""
    bench.fleet(2)
    lane = bench.lane(holder="one")
    converged(lane)
    return lane


def test_a_push_prepared_and_never_sent_is_made_by_the_successor_after_the_silence(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    push = first.worker.prepare()
    assert push is not None
    second = bench.lane(holder="two")
    second.pass_time(seconds=(push.intent.silent_until - bench.clock.now()).total_seconds() - 2)
    assert second.wire.sent == []
    assert first.at_hub()["DEABCE0"] == "Available"
    second.pass_time(seconds=10)
    assert [sent.statuses for sent in second.wire.sent] == [{"DE*ABC*E0": "OutOfService"}]
    assert second.at_hub()["DEABCE0"] == "OutOfService"
    assert len(bench.events("push.abandoned")) == 1


def test_a_push_applied_but_not_recorded_is_asserted_again_although_it_equals_the_hub(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    push = first.worker.prepare()
    first.worker.send(push)
    second = bench.lane(holder="two")
    second.pass_time(seconds=90)
    assert [sent.statuses for sent in second.wire.sent] == [{"DE*ABC*E0": "OutOfService"}]
    entry = second.entry("DE*ABC*E0")
    assert entry.acknowledged == "OutOfService"
    assert entry.doubted_at is None
    assert entry.debt_at is not None


def test_the_debt_of_a_lost_request_is_paid_after_it_can_no_longer_land(bench, first):
    first.wire.will("late_apply", delay=200, silent=True)
    bench.write("DE*ABC*E0", "Faulted")
    first.quiet()
    bench.write("DE*ABC*E0", "Available")
    first.pass_time(seconds=60)
    assert first.at_hub()["DEABCE0"] == "Available"
    first.pass_time(seconds=120)
    assert first.at_hub()["DEABCE0"] == "OutOfService", "the lost request landed over its correction"
    first.pass_time(seconds=200)
    assert first.at_hub()["DEABCE0"] == "Available"
    assert first.entry("DE*ABC*E0").debt_at is None


def test_a_value_that_changed_back_while_its_push_was_lost_is_sent_nevertheless(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    first.worker.send(first.worker.prepare())
    bench.write("DE*ABC*E0", "Available")
    second = bench.lane(holder="two")
    second.pass_time(seconds=90)
    assert second.at_hub()["DEABCE0"] == "Available"


def test_a_lost_insert_is_no_error_of_its_record(bench, first):
    bench.write("DE*ABC*E9", "Charging")
    push = first.worker.prepare()
    assert push.intent.action is Action.INSERT
    first.worker.send(push)
    second = bench.lane(holder="two")
    second.pass_time(seconds=90)
    assert second.at_hub()["DEABCE9"] == "Occupied"
    entry = second.entry("DE*ABC*E9")
    assert (entry.presence, entry.failures, entry.retry_at) == (Presence.PRESENT, 0, None)


def test_a_lost_delete_leaves_no_ghost(bench, first):
    bench.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E0'")
    first.worker.send(first.worker.prepare())
    second = bench.lane(holder="two")
    second.pass_time(seconds=90)
    assert "DEABCE0" not in second.at_hub()
    assert second.entry("DE*ABC*E0").presence is Presence.ABSENT


def test_a_recorded_push_is_not_made_again_by_a_successor(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    first.quiet()
    second = bench.lane(holder="two")
    second.pass_time(seconds=120)
    assert second.wire.sent == []
    assert bench.events("push.abandoned") == []


def test_a_daemon_that_is_alone_takes_its_lane_back_at_once_but_keeps_the_silence(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    push = first.worker.prepare()
    again = bench.lane(holder="after the restart", sole=True)
    again.quiet()
    assert again.position().holder == "after the restart"
    assert again.wire.sent == []
    assert again.metric("lane_state", state="settling") == 1
    bench.clock.advance_to(push.intent.silent_until)
    again.quiet()
    assert again.at_hub()["DEABCE0"] == "OutOfService"


def test_an_outcome_that_comes_after_a_successor_took_over_is_not_acknowledged(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    first.worker.send(first.worker.prepare())
    second = bench.lane(holder="two")
    second.wire.will("never_applied", count=None)
    bench.clock.advance(seconds=60)
    second.quiet()
    before = second.entry("DE*ABC*E0")
    assert before.acknowledged == "Available"
    first.worker.record()
    assert second.entry("DE*ABC*E0") == before
    (told,) = bench.events("push.overtaken")
    assert told["process_id"] == f"process-{len(first.wire.sent)}"
    first.quiet()
    assert first.metric("lane_state", state="standby") == 1
    assert [sent.at for sent in first.wire.sent] == sorted(sent.at for sent in first.wire.sent)


def test_a_loser_of_the_lease_sends_nothing(bench, first):
    bench.clock.advance(seconds=60)
    second = bench.lane(holder="two")
    second.quiet()
    sent = len(first.wire.sent)
    bench.write("DE*ABC*E0", "Faulted")
    first.quiet()
    assert len(first.wire.sent) == sent
    assert len(bench.events("lane.lost")) == 1
    second.quiet()
    assert second.at_hub()["DEABCE0"] == "OutOfService"


def test_a_clean_stop_hands_over_at_once(bench, first):
    first.worker.release()
    bench.write("DE*ABC*E0", "Faulted")
    second = bench.lane(holder="two")
    second.quiet()
    assert second.at_hub()["DEABCE0"] == "OutOfService"


def test_an_outcome_that_the_store_does_not_take_is_kept_and_recorded_later(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    push = first.worker.prepare()
    first.worker.send(push)
    first.store.fail_before = 3
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            first.worker.turn()
        assert first.worker.unrecorded
    first.quiet()
    assert not first.worker.unrecorded
    assert first.entry("DE*ABC*E0").acknowledged == "OutOfService"
    assert len(first.wire.since(1)) == 1


def test_a_record_whose_commit_was_not_confirmed_is_read_again_and_not_assumed(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    first.worker.send(first.worker.prepare())
    first.store.fail_after = 1
    with pytest.raises(StoreUnavailableError):
        first.worker.turn()
    first.quiet()
    assert first.entry("DE*ABC*E0").acknowledged == "OutOfService"
    first.pass_time(seconds=90)
    assert len(first.wire.since(1)) == 1


def test_an_intent_whose_commit_was_not_confirmed_is_not_sent_and_causes_no_doubt(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    first.store.fail_after = 1
    with pytest.raises(StoreUnavailableError):
        first.worker.turn()
    assert len(first.wire.sent) == 1
    first.quiet()
    assert [sent.statuses for sent in first.wire.since(1)] == [{"DE*ABC*E0": "OutOfService"}]
    entry = first.entry("DE*ABC*E0")
    assert (entry.acknowledged, entry.debt_at) == ("OutOfService", None)


def test_an_intent_that_could_not_be_written_is_made_with_the_next_turn(bench, first):
    bench.write("DE*ABC*E0", "Faulted")
    first.store.fail_before = 1
    with pytest.raises(StoreUnavailableError):
        first.worker.turn()
    assert len(first.wire.sent) == 1
    first.quiet()
    assert first.at_hub()["DEABCE0"] == "OutOfService"


def test_an_answer_that_was_lost_is_doubt_until_the_silence_is_over(bench, first):
    first.wire.will("answer_lost")
    bench.write("DE*ABC*E0", "Faulted")
    first.quiet()
    entry = first.entry("DE*ABC*E0")
    assert entry.acknowledged == "Available"
    assert entry.doubted_at is not None
    assert first.metric("lane_state", state="settling") == 1
    first.pass_time(seconds=9)
    assert len(first.wire.sent) == 2
    first.pass_time(seconds=5)
    assert first.entry("DE*ABC*E0").acknowledged == "OutOfService"
    assert first.entry("DE*ABC*E0").doubted_at is None
