"""What a refusing hub costs one lane: FAULTS.md F14 to F24, counted in requests."""

from collections.abc import Callable
from datetime import timedelta
from math import log2

import pytest

from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.entries import EVERYTHING
from oicp_adapter.sync.model import Action, Policy, Presence
from tests.simulation.lane import OPERATOR, ROUND_TRIP, Lane, evse

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
STRICTEST = HubOptions(refuse_unknown_deletes=True)


def in_sync(size: int, **options: object) -> Lane:
    lane = Lane(hub=HubOptions(**options))
    lane.fleet(size)
    lane.quiet()
    assert lane.converged
    lane.sent.clear()
    return lane


def change_all(lane: Lane, size: int, status: str = "Charging") -> None:
    for number in range(size):
        lane.write(evse(number), status)


def all_but(lane: Lane, *left_out: int) -> Callable[[], bool]:
    bad = {f"DEABCE{number}" for number in left_out}

    def delivered() -> bool:
        held = lane.at_hub()
        return all(held.get(key) == status for key, status in lane.expected().items() if key not in bad)

    return delivered


def test_an_insert_of_what_exists_becomes_an_update_and_quarantines_nobody() -> None:
    lane = Lane()
    lane.write(evse(1), "Available")
    lane.inject(kind="answer_lost", count=1)
    lane.quiet()
    lane.write(evse(1), "Charging")
    lane.quiet()
    actions = [sent.action for sent in lane.sent]
    assert actions[:3] == [Action.INSERT, Action.INSERT, Action.UPDATE]  # lost, refused, learned
    assert lane.converged
    assert lane.quarantined == 0


def test_an_update_of_what_the_hub_forgot_becomes_an_insert_after_two_round_trips() -> None:
    lane = in_sync(3)
    lane.hub.forget(OPERATOR, evse(1), lane.now)
    changed_at = lane.now
    lane.write(evse(1), "Charging")
    lane.run(MINUTE, until=lambda: lane.converged)
    assert [sent.action for sent in lane.sent] == [Action.UPDATE, Action.INSERT]
    assert lane.now - changed_at == 2 * ROUND_TRIP
    assert lane.quarantined == 0


@pytest.mark.parametrize("size", [10, 100, 1000])
def test_one_unknown_evse_in_a_batch_is_found_by_halving(size: int) -> None:
    lane = in_sync(size)
    lane.hub.forget(OPERATOR, evse(7), lane.now)
    change_all(lane, size)
    lane.run(MINUTE, until=lambda: lane.converged)
    assert lane.converged
    assert len(lane.sent) <= 2 * log2(size) + 6
    assert lane.quarantined == 0
    assert not lane.held_states


def test_one_existing_evse_among_new_ones_is_found_by_trying_the_other_belief_and_halving() -> None:
    lane = Lane()
    lane.hub.overwrite(OPERATOR, evse(42), "Occupied", lane.now)
    lane.fleet(100)
    lane.run(MINUTE, until=lambda: lane.converged)
    assert lane.converged
    assert len(lane.sent) <= 3 * log2(100) + 4
    assert lane.quarantined == 0


@pytest.mark.parametrize("hub", [HubOptions(strict=False), HubOptions(), HubOptions(explain_refusals=True)])
def test_existence_mixed_up_at_random_is_never_taken_for_a_bad_record(hub: HubOptions) -> None:
    lane = Lane(hub=hub)
    lane.fleet(40)
    lane.quiet()
    for number in range(0, 40, 3):
        lane.hub.forget(OPERATOR, evse(number), lane.now)
    for number in range(40, 60):
        lane.write(evse(number), "Available")
        if number % 2:
            lane.hub.overwrite(OPERATOR, evse(number), "Unknown", lane.now)
    change_all(lane, 60)
    lane.run(10 * MINUTE, until=lambda: lane.converged)
    assert lane.converged
    assert lane.quarantined == 0
    assert len(lane.sent) <= 4 * 60


def test_a_refused_delete_of_the_unknown_is_done_after_one_round_trip_when_the_hub_says_so() -> None:
    lane = in_sync(3, refuse_unknown_deletes=True, explain_refusals=True)
    lane.hub.forget(OPERATOR, evse(1), lane.now)
    lane.remove(evse(1))
    lane.run(MINUTE, until=lane.clean)
    assert [sent.action for sent in lane.sent] == [Action.DELETE]
    assert lane.entry(evse(1)).presence is Presence.ABSENT


def test_a_bare_refusal_of_a_delete_of_what_was_there_is_seen_and_insisted_on_for_a_day() -> None:
    lane = in_sync(3, refuse_unknown_deletes=True)
    lane.hub.forget(OPERATOR, evse(1), lane.now)
    lane.remove(evse(1))
    lane.run(2 * MINUTE)
    assert lane.bad() == set(), "nothing shows yet that the hub takes anything"
    lane.write(evse(2), "Charging")
    lane.run(2 * MINUTE)
    assert lane.bad() == {"DEABCE1"}
    lane.run(23 * HOUR)
    assert lane.entry(evse(1)).withdrawn_at is None
    lane.run(3 * HOUR)
    assert lane.entry(evse(1)).withdrawn_at is not None
    assert lane.bad() == set()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "fault", [{"kind": "status_code", "code": "022"}, {"kind": "http_status"}, {"kind": "answer_lost"}]
)
def test_a_flaky_hub_keeps_no_healthy_record_back_for_more_than_two_minutes(fault: dict[str, str], seed: int) -> None:
    lane = in_sync(20)
    lane.inject(**fault, probability=0.3, seed=seed)
    for number in range(300):
        lane.write(evse(number * 7 % 20), ("Charging", "Available", "Reserved")[number % 3])
        lane.run(0.1 * SECOND)
    lane.faults.clear()
    lane.run(2 * MINUTE, until=lambda: lane.converged)
    assert lane.converged
    change_all(lane, 20, "Faulted")
    lane.run(SECOND, until=lambda: lane.converged)
    assert lane.converged


def test_a_named_record_delays_the_others_by_one_attempt() -> None:
    lane = in_sync(100)
    lane.inject(kind="poison", evse_id=evse(42), poison="index_right")
    change_all(lane, 100)
    lane.run(MINUTE, until=all_but(lane, 42))
    assert len(lane.sent) == 2
    lane.run(MINUTE, until=lambda: bool(lane.bad()))
    assert lane.bad() == {"DEABCE42"}
    assert len(lane.sent) == 3


@pytest.mark.parametrize(
    ("poison", "most"),
    [("index_wrong", 3 * log2(100) + 2), ("index_absent", 2 * log2(100) + 4), ("018", 2 * log2(100) + 4), ("022", 18)],
)
def test_a_record_that_nobody_names_is_isolated_by_halving(poison: str, most: float) -> None:
    lane = in_sync(100)
    lane.inject(kind="poison", evse_id=evse(42), poison=poison)
    change_all(lane, 100)
    lane.run(MINUTE, until=lambda: bool(lane.bad()))
    assert lane.bad() == {"DEABCE42"}
    assert all_but(lane, 42)()
    assert len(lane.sent) <= most


@pytest.mark.parametrize("poison", ["500", "hang"])
def test_a_record_that_looks_like_trouble_at_the_hub_is_isolated_alone(poison: str) -> None:
    lane = in_sync(100)
    lane.inject(kind="poison", evse_id=evse(42), poison=poison)
    change_all(lane, 100)
    lane.run(HOUR, until=lambda: bool(lane.bad()))
    assert lane.bad() == {"DEABCE42"}
    assert all_but(lane, 42)()
    assert len(lane.sent) <= 2 * log2(100) + 8


def test_a_record_that_makes_the_hub_hang_takes_at_most_a_tenth_of_the_lane() -> None:
    lane = in_sync(20)
    lane.inject(kind="poison", evse_id=evse(7), poison="hang")
    lane.write(evse(7), "Charging")
    for minute in range(600):
        number = minute % 5
        lane.at(
            lane.now + minute * MINUTE,
            lambda number=number, minute=minute: lane.write(evse(number), "Charging" if minute % 2 else "Available"),
        )
        lane.at(
            lane.now + minute * MINUTE,
            lambda minute=minute: lane.write(evse(7), "Faulted" if minute % 2 else "Charging"),
        )
    lane.run(10 * HOUR)
    hung = [sent for sent in lane.sent if sent.verdict.reason is Reason.TIMEOUT]
    blocked = len(hung) * (lane.policy.request_timeout + lane.policy.settle)
    assert blocked <= HOUR
    assert max(sent.at for sent in hung[3:]) > lane.sent[0].at + HOUR  # it is still tried now and then
    assert all_but(lane, 7)()


def test_three_bad_records_in_one_batch_and_a_429_in_between_cost_at_most_sixty_requests() -> None:
    lane = in_sync(100)
    for number, poison in ((3, "022"), (42, "index_wrong"), (77, "index_right")):
        lane.inject(kind="poison", evse_id=evse(number), poison=poison)
    change_all(lane, 100)
    lane.run(timedelta(seconds=1))
    lane.inject(kind="rate_limited", count=3)
    lane.run(HOUR, until=lambda: len(lane.bad()) == 3)
    assert lane.bad() == {"DEABCE3", "DEABCE42", "DEABCE77"}
    assert all_but(lane, 3, 42, 77)()
    assert len(lane.sent) <= 60


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_hub_that_refuses_everything_holds_the_lane_quarantines_nobody_and_the_lane_heals_itself(size: int) -> None:
    lane = in_sync(max(size, 5))
    lane.inject(kind="refuse_everything")
    change_all(lane, size)
    lane.run(HOUR / 2)
    assert lane.held_states == {Reason.EVERYTHING_REFUSED}
    assert not lane.bad()
    assert lane.quarantined == 0
    assert len(lane.sent) <= 450
    lane.faults.clear()
    healed_at = lane.now
    lane.run(HOUR, until=lambda: lane.converged)
    assert lane.now - healed_at <= MINUTE + lane.policy.settle
    assert len(lane.since(healed_at)) <= 10
    assert lane.books.position.hold_reason is None


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_hub_that_begins_to_refuse_everything_during_a_hunt_costs_a_few_records_one_quarantine(after: int) -> None:
    lane = in_sync(100)
    lane.inject(kind="poison", evse_id=evse(77), poison="022")
    change_all(lane, 100)
    lane.run(MINUTE, until=lambda: len(lane.sent) == after)
    lane.inject(kind="refuse_everything")
    lane.run(HOUR / 2)
    assert lane.quarantined <= EVERYTHING // 2
    assert lane.books.position.hold_reason == Reason.EVERYTHING_REFUSED
    lane.faults.clear()
    lane.run(2 * MINUTE, until=lambda: lane.converged)
    assert lane.converged


def test_a_change_during_the_hold_is_tried_within_the_settle_time() -> None:
    lane = in_sync(20)
    lane.inject(kind="refuse_everything")
    change_all(lane, 10)
    lane.run(HOUR)
    for number in range(10, 20):
        changed_at = lane.now
        lane.write(evse(number), "Faulted")
        lane.run(MINUTE, until=lambda number=number, t=changed_at: any(evse(number) in s.evses for s in lane.since(t)))
        assert lane.now - changed_at <= lane.policy.settle + ROUND_TRIP
        lane.run(MINUTE)


def test_a_withdrawal_that_everything_refuses_is_not_believed_to_be_done() -> None:
    lane = in_sync(10)
    lane.inject(kind="refuse_everything")
    lane.remove(evse(3))
    lane.run(HOUR)
    assert lane.entry(evse(3)).withdrawn_at is None
    assert lane.quarantined == 0
    lane.faults.clear()
    lane.run(2 * MINUTE, until=lambda: lane.converged)
    assert lane.converged


@pytest.mark.parametrize("kind", ["unauthorized", "html_403", "not_found_300"])
def test_an_account_fault_holds_the_lane_for_two_hours_without_a_hunt_for_bad_records(kind: str) -> None:
    lane = in_sync(50)
    lane.inject(kind=kind)
    change_all(lane, 50)
    lane.run(2 * HOUR)
    assert len(lane.held_states) == 1
    assert {len(sent.evses) for sent in lane.sent} == {50}
    assert len(lane.sent) <= 120
    assert lane.quarantined == 0
    lane.faults.clear()
    healed_at = lane.now
    lane.run(HOUR, until=lambda: lane.converged)
    assert lane.now - healed_at <= 5 * MINUTE + ROUND_TRIP
    assert len(lane.since(healed_at)) == 1


def test_random_429s_slow_the_lane_and_quarantine_nobody() -> None:
    lane = in_sync(30)
    lane.inject(kind="rate_limited", probability=0.3)
    for number in range(30):
        lane.at(lane.now + number * timedelta(seconds=5), lambda number=number: lane.write(evse(number), "Charging"))
    lane.run(3 * MINUTE)
    lane.run(HOUR, until=lane.clean)
    assert lane.converged
    assert lane.quarantined == 0
    assert not lane.held_states


@pytest.mark.parametrize(("explain", "most"), [("in words", 8), ("", 60)])
def test_a_hub_that_lost_two_thousand_evses_is_filled_again_with_few_requests(explain: str, most: int) -> None:
    lane = in_sync(2000, explain_refusals=bool(explain))
    lane.hub.forget(OPERATOR, None, lane.now)
    change_all(lane, 2000)
    lane.run(10 * MINUTE, until=lambda: len(lane.at_hub()) == 2000)
    assert lane.converged
    assert len(lane.sent) <= most
    assert lane.quarantined == 0


def test_what_the_hub_forgot_silently_comes_back_with_the_reassertion() -> None:
    policy = Policy(full_load_at="", reassert_every=HOUR)
    lane = Lane(policy=policy)
    lane.fleet(30)
    lane.quiet()
    lane.hub.forget(OPERATOR, evse(3), lane.now)
    lane.hub.overwrite(OPERATOR, evse(4), "OutOfService", lane.now)
    lane.run(HOUR + MINUTE, until=lambda: lane.converged)
    assert lane.converged
