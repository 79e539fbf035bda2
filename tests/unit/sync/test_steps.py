from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.domain.identifiers import EvseId, OperatorId, evse_key
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.sync.answers import Effect, Verdict
from oicp_adapter.sync.assess import Circumstances
from oicp_adapter.sync.exchange import Exchange
from oicp_adapter.sync.guard import WithdrawalCount
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Intent,
    Observation,
    Policy,
    Position,
    Presence,
    Record,
    StatusRow,
)
from oicp_adapter.sync.steps import HELD_LOOK, clear, commit_to, look_at, record

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
POLICY = Policy()
AT = Circumstances(NOON, frozenset({"DEABC"}), StatusMapping(), POLICY)
LEADER = Position(epoch=4, holder="me", expires_at=NOON + SECOND, attempt=8)
MANY = WithdrawalCount(size=20, recent=0, pending=19)
FEW = WithdrawalCount(size=20, recent=0, pending=1)


def evse(number: int) -> EvseId:
    return EvseId(f"DE*ABC*E{number}")


def present(number: int) -> Entry:
    return Entry(
        evse_key(evse(number)),
        evse(number),
        OicpStatus.AVAILABLE,
        acknowledged_at=NOON - HOUR,
        asserted_at=NOON - HOUR,
        presence=Presence.PRESENT,
        attempt=1,
    )


def seen(entry: Entry, status: str | None = None) -> Observation:
    rows = () if status is None else (StatusRow(entry.evse_id, OperatorId("DE*ABC"), status, NOON),)
    return Observation(entry.canonical, rows, (), entry, None)


def count(value: WithdrawalCount) -> Callable[[], WithdrawalCount]:
    return lambda: value


def asked() -> WithdrawalCount:
    pytest.fail("the guard was asked although nothing would disappear")


def test_updates_do_not_ask_the_guard() -> None:
    found = look_at([seen(present(1), "Faulted")], AT, asked)
    assert [item.action for item in found.work] == [Action.UPDATE]


def test_too_many_withdrawals_are_held_while_updates_go_on() -> None:
    found = look_at([seen(present(1)), seen(present(2)), seen(present(3), "Faulted")], AT, count(MANY))
    assert [item.record.evse_id for item in found.work] == [evse(3)]
    held = [entry for entry in found.save if entry.held_since is not None]
    assert {entry.canonical for entry in held} == {evse_key(evse(1)), evse_key(evse(2))}
    assert {entry.due_at for entry in held} == {NOON + HELD_LOOK}
    assert found.held == 2


def test_what_is_held_already_is_not_counted_as_newly_held() -> None:
    held = replace(present(1), held_since=NOON - HOUR)
    found = look_at([seen(held)], AT, count(MANY))
    assert found.held == 0
    assert found.save[0].held_since == NOON - HOUR


def test_a_person_approves_exactly_what_was_held() -> None:
    approved = replace(present(1), held_since=NOON, approved_at=NOON, approved_by="Ada")
    found = look_at([seen(approved), seen(present(2))], AT, count(MANY))
    assert [item.record.evse_id for item in found.work] == [evse(1)]


def test_a_day_alone_frees_nothing_that_was_held_while_a_fresh_withdrawal_goes() -> None:
    held = replace(present(1), held_since=NOON - 25 * HOUR)
    day_later = WithdrawalCount(size=100, recent=0, pending=2, earlier=9)
    found = look_at([seen(held), seen(present(2))], AT, count(day_later))
    assert [item.record.evse_id for item in found.work] == [evse(2)]
    others_came_back = WithdrawalCount(size=100, recent=0, pending=2, earlier=3)
    assert len(look_at([seen(held), seen(present(2))], AT, count(others_came_back)).work) == 2


def test_few_withdrawals_go_through() -> None:
    assert [item.action for item in look_at([seen(present(1))], AT, count(FEW)).work] == [Action.DELETE]


def test_what_is_gone_from_the_hub_cannot_disappear_and_asks_nobody() -> None:
    tombstone = replace(present(1), acknowledged=None, presence=Presence.ABSENT, withdrawn_at=NOON, debt_at=NOON)
    readded_and_removed = replace(present(2), acknowledged=None, presence=Presence.ABSENT)
    found = look_at([seen(tombstone), seen(readded_and_removed)], AT, asked)
    assert len(found.work) == 2


def test_an_approval_ends_when_the_evse_comes_back() -> None:
    approved = replace(present(1), approved_at=NOON, approved_by="Ada", held_since=NOON)
    (entry,) = look_at([seen(approved, "Available")], AT, asked).save
    assert (entry.approved_at, entry.approved_by, entry.held_since) == (None, None, None)


def test_only_rows_that_differ_are_saved() -> None:
    (entry,) = look_at([seen(present(1), "Available")], AT, asked).save
    assert not look_at([seen(entry, "Available")], AT, asked).save


def test_every_evse_that_makes_work_is_saved_so_that_it_comes_back_if_the_work_is_dropped() -> None:
    found = look_at([seen(present(1), "Faulted"), seen(present(2))], AT, count(FEW))
    assert {entry.due_at for entry in found.save} == {NOON}
    assert all(entry.pending_since is not None for entry in found.save)


def test_an_intent_covers_its_push_with_the_lease_and_says_how_long_to_be_silent() -> None:
    records = (Record(evse_key(evse(1)), evse(1), OicpStatus.OCCUPIED),)
    intent, taken = commit_to(Action.UPDATE, records, LEADER, now=NOON, policy=POLICY, suspect=True)
    assert (intent.epoch, intent.attempt, intent.started_at) == (4, 9, NOON)
    assert intent.silent_until == NOON + POLICY.send_within + POLICY.request_timeout + POLICY.settle
    assert taken.attempt == 9
    assert taken.after_suspect
    assert taken.paced_at is not None
    assert taken.expires_at is not None
    assert taken.expires_at > NOON + POLICY.request_timeout


def open_intent() -> Intent:
    records = (Record(evse_key(evse(1)), evse(1), OicpStatus.OCCUPIED),)
    return commit_to(Action.UPDATE, records, LEADER, now=NOON, policy=POLICY)[0]


def exchange(intent: Intent) -> Exchange:
    return Exchange(intent, Verdict(Effect.APPLIED, code="000"), NOON + SECOND, POLICY, 0.5, {})


def test_an_outcome_is_recorded_for_the_very_intent_that_stands_open() -> None:
    settled = record(open_intent(), exchange(open_intent()), {}, LEADER)
    assert settled is not None
    assert settled.acknowledged is not None
    assert settled.acknowledged.intent == open_intent()


@pytest.mark.parametrize(
    "stored",
    [None, replace(open_intent(), epoch=5), replace(open_intent(), attempt=10)],
    ids=["none", "epoch", "attempt"],
)
def test_an_outcome_is_not_recorded_when_the_intent_is_gone_or_another(stored: Intent | None) -> None:
    assert record(stored, exchange(open_intent()), {}, LEADER) is None


def test_an_outcome_is_recorded_even_if_the_lease_ran_out_for_the_intent_is_the_fence() -> None:
    late = replace(LEADER, expires_at=NOON - HOUR)
    settled = record(open_intent(), exchange(open_intent()), {}, late)
    assert settled is not None
    assert settled.position.expires_at == NOON - HOUR


def test_a_recorded_push_shortens_the_lease_again() -> None:
    _, taken = commit_to(Action.UPDATE, (), LEADER, now=NOON, policy=POLICY)
    settled = record(open_intent(), exchange(open_intent()), {}, taken)
    assert settled is not None
    assert settled.position.expires_at == NOON + SECOND + POLICY.lease


def test_what_an_earlier_holder_left_open_is_written_off_only_after_its_silence() -> None:
    intent = open_intent()
    assert clear(intent, {}, LEADER, now=intent.silent_until - SECOND, policy=POLICY) is None
    settled = clear(intent, {}, LEADER, now=intent.silent_until, policy=POLICY)
    assert settled is not None
    assert settled.entries[0].doubted_at == intent.silent_until
