from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.identifiers import EvseId, evse_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.model import Action, Entry, Policy, Position, Record, Work, WorkReason
from oicp_adapter.sync.plan import Plan, is_suspect, plan

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HELD = Position(hold_reason=Reason.EVERYTHING_REFUSED)


def item(
    number: int,
    action: Action = Action.UPDATE,
    *,
    since: datetime = NOON,
    urgent: bool = False,
    failures: int = 0,
    cap: int | None = None,
    attempt: int = 0,
    flipped: bool = False,
) -> Work:
    evse_id = EvseId(f"DE*ABC*E{number}")
    entry = Entry(evse_key(evse_id), evse_id, failures=failures, batch_cap=cap, attempt=attempt, flipped=flipped)
    record = Record(entry.canonical, evse_id, OicpStatus.OCCUPIED)
    return Work(record, action, WorkReason.CHANGED, since, urgent, entry)


def chosen(work: list[Work], position: Position = Position(), limit: int = 1000) -> Plan:  # noqa: B008 - frozen
    found = plan(work, position, Policy(max_records=limit))
    assert found is not None
    return found


def numbers(found: Plan) -> list[int]:
    return [int(one.record.evse_id.rpartition("E")[2]) for one in found.work]


works = st.lists(
    st.builds(
        item,
        st.integers(0, 10_000),
        st.sampled_from([Action.UPDATE, Action.INSERT, Action.DELETE]),
        since=st.integers(0, 5).map(lambda n: NOON + n * SECOND),
        urgent=st.booleans(),
        failures=st.integers(0, 3),
        cap=st.none() | st.integers(1, 8),
        attempt=st.integers(0, 5),
        flipped=st.booleans(),
    ),
    max_size=30,
    unique_by=lambda one: one.record.canonical,
)


def test_no_work_is_no_request() -> None:
    assert plan([], Position(), Policy()) is None


def test_what_becomes_less_usable_goes_first_then_what_waited_longest() -> None:
    found = chosen([item(1, since=NOON), item(2, since=NOON + SECOND, urgent=True), item(3, since=NOON - SECOND)])
    assert numbers(found) == [2, 3, 1]


def test_one_request_has_the_action_of_its_first_record() -> None:
    found = chosen([item(1, Action.INSERT), item(2, Action.DELETE, urgent=True), item(3, Action.DELETE)])
    assert (found.action, numbers(found)) == (Action.DELETE, [2, 3])


def test_healthy_and_suspect_requests_take_turns() -> None:
    work = [item(1), item(2, failures=1)]
    assert numbers(chosen(work, Position(after_suspect=False))) == [2]
    assert numbers(chosen(work, Position(after_suspect=True))) == [1]
    assert numbers(chosen([item(2, failures=1)], Position(after_suspect=True))) == [2]


def test_among_suspects_the_one_tried_longest_ago_goes_first() -> None:
    found = chosen([item(1, failures=1, cap=1, attempt=9), item(2, failures=1, cap=1, attempt=3)])
    assert numbers(found) == [2]


def test_of_one_refused_request_a_named_record_waits_for_the_rest() -> None:
    work = [item(number, failures=1, attempt=5, cap=1 if number == 0 else None) for number in range(6)]
    assert numbers(chosen(work)) == [1, 2, 3, 4, 5]


def test_while_everything_is_refused_one_healthy_record_goes_alone_and_first() -> None:
    work = [item(1, failures=1), item(2), item(3)]
    found = chosen(work, HELD)
    assert (numbers(found), found.suspect) == ([2], False)


def test_while_everything_is_refused_a_record_is_tried_under_both_beliefs_in_a_row() -> None:
    work = [item(1, failures=1, attempt=2), item(2, failures=1, attempt=8, flipped=True)]
    assert numbers(chosen(work, HELD)) == [2]
    assert numbers(chosen(work)) == [1, 2]


@given(works, st.booleans(), st.sampled_from([None, Reason.EVERYTHING_REFUSED]), st.integers(1, 10))
def test_a_request_is_of_one_action_one_kind_and_no_larger_than_any_of_its_records_may_travel_in(
    work: list[Work],
    after_suspect: bool,  # noqa: FBT001 - drawn
    hold_reason: str | None,
    limit: int,
) -> None:
    found = plan(work, Position(after_suspect=after_suspect, hold_reason=hold_reason), Policy(max_records=limit))
    if found is None:
        assert not work
        return
    assert {one.action for one in found.work} == {found.action}
    assert {is_suspect(one) for one in found.work} == {found.suspect}
    assert 1 <= len(found.work) <= min([limit, *(one.entry.batch_cap or limit for one in found.work)])
    assert len(set(numbers(found))) == len(found.work)


@given(works, st.integers(1, 4))
def test_nothing_starves_while_suspects_keep_failing(work: list[Work], limit: int) -> None:
    position, attempt, tried = Position(), 10, set()
    pending = {one.record.canonical: one for one in work}
    for _ in range(3 * len(work) + 3):
        found = plan(list(pending.values()), position, Policy(max_records=limit))
        if found is None:
            break
        attempt += 1
        position = Position(after_suspect=found.suspect)
        for one in found.work:
            key = one.record.canonical
            tried.add(key)
            if is_suspect(one):
                entry = one.entry
                pending[key] = item(
                    int(one.record.evse_id.rpartition("E")[2]),
                    one.action,
                    failures=entry.failures + 1,
                    cap=entry.batch_cap,
                    attempt=attempt,
                )
            else:
                del pending[key]
    assert tried == {one.record.canonical for one in work}
