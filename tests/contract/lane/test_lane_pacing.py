"""A lane keeps the hub's rate, waits when it must, asserts again in time, and sends nothing in the shadow."""

from datetime import timedelta

import pytest

from oicp_adapter.sync.model import Action

MINUTE = timedelta(seconds=60)


def fullest_minute(lane):
    times = [sent.at for sent in lane.wire.sent]
    return max(sum(start <= at < start + MINUTE for at in times) for start in times)


def test_no_rolling_minute_holds_more_requests_than_the_limit(bench):
    bench.fleet(1)
    lane = bench.lane(requests_per_minute=30, max_records=1)
    lane.quiet()
    for number in range(1, 41):
        bench.write(f"DE*ABC*E{number}", "Available")
    lane.pass_time(minutes=2)
    assert len(lane.at_hub()) == 41
    assert fullest_minute(lane) <= 30
    assert fullest_minute(lane) >= 20, "the limit is used, not avoided"


def test_a_restart_forgets_nothing_of_the_rate(bench):
    bench.fleet(40)
    lane = bench.lane(holder="one", requests_per_minute=30, max_records=1)
    lane.quiet()
    lane.worker.release()
    sent = list(lane.wire.sent)
    for number in range(3):
        again = bench.lane(holder=str(number), requests_per_minute=30, max_records=1)
        again.pass_time(seconds=5)
        again.worker.release()
        sent += again.wire.sent
    lane.wire.sent = sent
    assert fullest_minute(lane) <= 30


def test_retries_count_too(bench):
    bench.fleet(40)
    lane = bench.lane(requests_per_minute=30, max_records=1)
    lane.wire.will("rate_limited", count=None, retry_after="0")
    lane.pass_time(minutes=2)
    assert fullest_minute(lane) <= 30


def test_a_quiet_lane_sends_nothing_until_it_must_assert_again(bench):
    bench.fleet(3)
    lane = bench.lane(reassert_every=timedelta(hours=6))
    lane.quiet()
    lane.pass_time(hours=5, step=3600)
    assert len(lane.wire.sent) == 1
    lane.pass_time(hours=1, minutes=1, step=3600)
    assert [sent.action for sent in lane.wire.since(1)] == [Action.UPDATE]
    assert len(lane.wire.sent[-1].statuses) == 3


def test_what_a_second_system_changed_at_the_hub_is_corrected_in_time(bench):
    bench.fleet(3)
    lane = bench.lane(reassert_every=timedelta(hours=6))
    lane.quiet()
    bench.hub.overwrite("DE*ABC", "DE*ABC*E1", "Occupied", bench.clock.now())
    bench.hub.forget("DE*ABC", "DE*ABC*E2", bench.clock.now())
    lane.pass_time(hours=6, minutes=1, step=3600)
    lane.pass_time(minutes=2)
    assert dict(lane.at_hub()) == {f"DEABCE{n}": "Available" for n in range(3)}


def test_a_lane_in_the_shadow_computes_logs_and_sends_nothing(bench):
    bench.fleet(5)
    lane = bench.lane(shadow=True, full_load_at="03:00")
    lane.pass_time(seconds=10)
    bench.write("DE*ABC*E1", "Faulted")
    lane.pass_time(seconds=10)
    assert lane.wire.sent == []
    assert bench.sql("SELECT count(*) FROM oicp_intent")[0][0] == 0
    assert bench.events("push.shadowed")[0]["records"] == 5
    assert lane.position().attempt == 0


@pytest.mark.parametrize("kind", ["unauthorized", "html_403"])
def test_an_account_fault_holds_the_lane_and_blames_no_record(bench, kind):
    bench.fleet(5)
    lane = bench.lane()
    lane.wire.will(kind, count=None)
    lane.pass_time(minutes=10)
    assert lane.metric("lane_state", state="held") == 1
    assert {len(sent.statuses) for sent in lane.wire.sent} == {5}, "nothing is halved"
    assert 3 < len(lane.wire.sent) < 15
    assert bench.sql("SELECT count(*) FROM oicp_ledger WHERE retry_at IS NOT NULL")[0][0] == 0
    lane.wire.faults.clear()
    lane.worker.retry_now()
    lane.quiet()
    assert len(lane.at_hub()) == 5
    assert lane.metric("lane_state", state="active") == 1, "the end of a hold is shown at once"


def test_a_bad_record_delays_the_others_by_no_more_than_one_attempt(bench):
    bench.fleet(20)
    lane = bench.lane()
    lane.quiet()
    lane.wire.will("poison", evse_id="DE*ABC*E3", poison="index_right", count=None)
    for number in range(20):
        bench.write(f"DE*ABC*E{number}", "Charging")
    before = len(lane.wire.sent)
    lane.quiet()
    good = {f"DEABCE{n}": "Occupied" for n in range(20) if n != 3}
    assert good.items() <= lane.at_hub().items()
    assert len(lane.wire.since(before)) <= 4
    lane.pass_time(seconds=10)
    assert lane.entry("DE*ABC*E3").retry_at is not None


def test_hints_do_not_pile_up_while_the_hub_is_away(bench):
    bench.fleet(3)
    lane = bench.lane()
    lane.quiet()
    lane.wire.will("http_status", count=None)
    bench.write("DE*ABC*E1", "Faulted")
    lane.pass_time(minutes=3)
    before = len(lane.wire.sent)
    for status in ("Charging", "Available", "Faulted"):
        bench.write("DE*ABC*E2", status)
        lane.pass_time(seconds=1.1)
        assert bench.hints() == 0
    assert len(lane.wire.sent) <= before + 1, "the lane waits"
    lane.wire.faults.clear()
    lane.pass_time(minutes=2)
    assert dict(lane.at_hub()) == {"DEABCE0": "Available", "DEABCE1": "OutOfService", "DEABCE2": "OutOfService"}
