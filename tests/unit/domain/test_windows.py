from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.domain.windows import Window

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
instants = st.integers(0, 8).map(lambda n: NOON + n * HOUR)


def window(start: datetime, end: datetime | None = None, ended_at: datetime | None = None) -> Window:
    return Window(1, TemporaryStatus.BLOCKED, start, end, ended_at)


def test_a_window_that_starts_now_applies() -> None:
    assert window(NOON, NOON + HOUR).applies(NOON)
    assert not window(NOON, NOON + HOUR).applies(NOON - INSTANT)


def test_a_window_that_ends_now_no_longer_applies() -> None:
    assert not window(NOON, NOON + HOUR).applies(NOON + HOUR)
    assert window(NOON, NOON + HOUR).applies(NOON + HOUR - INSTANT)


def test_a_window_that_is_ended_by_a_person_now_no_longer_applies() -> None:
    assert not window(NOON, None, NOON + HOUR).applies(NOON + HOUR)
    assert not window(NOON, NOON + 2 * HOUR, NOON + HOUR).applies(NOON + HOUR)


def test_an_ending_after_the_planned_end_does_not_prolong() -> None:
    assert window(NOON, NOON + HOUR, NOON + 2 * HOUR).end == NOON + HOUR


def test_a_window_without_an_end_applies_for_ever_and_has_no_boundary_ahead() -> None:
    assert window(NOON).applies(NOON + 10_000 * HOUR)
    assert window(NOON).next_boundary(NOON) is None


def test_a_window_that_was_ended_before_it_started_never_applies_and_has_no_boundary() -> None:
    ended = window(NOON + HOUR, NOON + 2 * HOUR, NOON)
    assert ended.next_boundary(NOON - HOUR) is None
    assert not ended.applies(NOON + HOUR)


@given(instants, st.none() | instants, st.none() | instants, instants)
def test_the_next_boundary_is_the_first_instant_at_which_applying_changes(
    start: datetime, end: datetime | None, ended_at: datetime | None, now: datetime
) -> None:
    one = window(start, end, ended_at)
    boundary = one.next_boundary(now)
    later = [now + step * HOUR for step in range(1, 12)]
    changes = [at for at in later if one.applies(at) is not one.applies(at - INSTANT)]
    assert boundary == (changes[0] if changes else None)
