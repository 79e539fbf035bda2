"""Bookings are kept under their numbers and bays under their sensors, each by the token that uses them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from oicp_adapter.control.references import end_reference, get_reference, get_sensor, put_reference, put_sensor
from oicp_adapter.control.window_model import WindowRequest
from oicp_adapter.control.windows import change_window, end_windows, get_window, history
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.windows import WindowState

from .conftest import ANN, HOUR, grant

BLOCKED, RESERVED = TemporaryStatus.BLOCKED, TemporaryStatus.RESERVED
PLATFORM = Actor("booking", "tokenboo", grant(RESERVED))
SENSOR = Actor("sensor", "tokensen", grant(BLOCKED, patterns=("DE*ABC*E1%",)))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def booking(now):
    return WindowRequest("DE*ABC*E1", RESERVED, now + HOUR, now + 2 * HOUR, reference="B-1")


def test_a_booking_is_put_again_and_stays_one(desk, now, booking, sql):
    first, created = put_reference(desk, PLATFORM, "B-1", booking)
    again, created_again = put_reference(desk, PLATFORM, "B-1", booking)
    assert (created, created_again) == (True, False)
    assert again.etag == first.etag
    later = WindowRequest("DE*ABC*E2", RESERVED, now + 2 * HOUR, now + 3 * HOUR, reference="B-1")
    moved, _ = put_reference(desk, PLATFORM, "B-1", later)
    assert moved.record.window.id == first.record.window.id
    assert (moved.record.evse_id, moved.record.window.valid_from) == ("DE*ABC*E2", now + 2 * HOUR)
    assert get_reference(desk, PLATFORM, "B-1").etag == moved.etag
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 1
    assert [each.action for each in history(desk, ANN, 1)] == ["window.set", "window.change"]


def test_a_booking_that_has_begun_keeps_its_start_and_moves_its_end(desk, now, blocked):
    begun = WindowRequest("DE*ABC*E1", RESERVED, now - HOUR, now + HOUR)
    put_reference(desk, PLATFORM, "B-1", begun)
    again, _ = put_reference(desk, PLATFORM, "B-1", WindowRequest("DE*ABC*E1", RESERVED, None, now + 2 * HOUR))
    assert (again.record.window.valid_from, again.record.window.valid_to) == (now - HOUR, now + 2 * HOUR)
    with pytest.raises(RequestRefusedError) as caught:
        put_reference(desk, PLATFORM, "B-1", WindowRequest("DE*ABC*E1", RESERVED, now + HOUR, now + 2 * HOUR))
    assert caught.value.refusal is Refusal.START_PASSED


def test_a_booking_is_ended_by_its_number_as_often_as_one_likes_and_may_be_made_anew(desk, booking):
    first, _ = put_reference(desk, PLATFORM, "B-1", booking)
    assert end_reference(desk, PLATFORM, "B-1").state is WindowState.ENDED
    assert end_reference(desk, PLATFORM, "B-1").record.window.id == first.record.window.id
    anew, created = put_reference(desk, PLATFORM, "B-1", booking)
    assert created
    assert anew.record.window.id != first.record.window.id
    assert get_reference(desk, PLATFORM, "B-1").record == anew.record


def test_two_platforms_may_have_the_same_number(desk, booking):
    other = Actor("other", "tokenoth", PLATFORM.grant)
    one, _ = put_reference(desk, PLATFORM, "B-1", booking)
    two, created = put_reference(desk, other, "B-1", booking)
    assert created
    assert one.record.window.id != two.record.window.id
    with pytest.raises(RequestRefusedError) as caught:
        get_reference(desk, ANN, "B-1")
    assert caught.value.refusal is Refusal.NOT_FOUND


def test_the_same_booking_from_many_threads_is_one_window(desk, booking, sql):
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: put_reference(desk, PLATFORM, "B-1", booking), range(12)))
    assert sum(created for _, created in done) == 1
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 1


def test_a_sensor_blocks_its_bay_refreshes_it_and_frees_it(desk, now, sql):
    first = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=10 * MINUTE)
    assert first.blocked
    assert first.view.record.window.valid_to - first.reported_at == 10 * MINUTE
    again = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=20 * MINUTE)
    assert again.view.record.window.id == first.view.record.window.id
    assert again.view.record.window.valid_to > first.view.record.window.valid_to
    assert get_sensor(desk, SENSOR, "S-1").blocked
    freed = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=False, time_to_live=MINUTE)
    assert not freed.blocked
    assert freed.view.state is WindowState.ENDED
    assert [each.action for each in history(desk, ANN, 1)] == ["window.set", "window.end"]
    blocked_anew = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE)
    assert blocked_anew.view.record.window.id != first.view.record.window.id


def test_a_sensor_that_has_died_frees_its_bay(desk):
    made = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=10 * MINUTE)
    end = made.view.record.window.end
    assert made.view.record.window.applies(end - timedelta(microseconds=1))
    assert not made.view.record.window.applies(end)


def test_a_free_bay_that_was_never_blocked_needs_no_window(desk, sql):
    seen = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=False, time_to_live=MINUTE)
    assert (seen.view, seen.blocked) == (None, False)
    assert get_sensor(desk, SENSOR, "S-1").view is None
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 0


def test_a_sensor_that_was_mounted_elsewhere_frees_the_old_bay(desk, sql):
    put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE)
    moved = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E11", blocked=True, time_to_live=MINUTE)
    assert moved.view.record.evse_id == "DE*ABC*E11"
    assert sql("SELECT evse_id FROM temporary_status WHERE ended_at IS NOT NULL") == [("DE*ABC*E1",)]


def test_a_window_that_a_person_ended_is_set_anew_by_the_next_report(desk):
    made = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE)
    end_windows(desk, ANN, [made.view.record.window.id])
    assert put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE).blocked


@pytest.mark.parametrize(
    ("evse_id", "life", "refusal"),
    [
        ("DE*ABC*E1", timedelta(seconds=1), Refusal.INVALID),
        ("DE*ABC*E1", timedelta(days=2), Refusal.INVALID),
        ("DE*ABC*E9", MINUTE, Refusal.UNKNOWN_EVSE),
        ("DE*ABC*E2", MINUTE, Refusal.NOT_PERMITTED),
    ],
)
def test_a_report_that_cannot_be_is_refused(desk, evse_id, life, refusal):
    with pytest.raises(RequestRefusedError) as caught:
        put_sensor(desk, SENSOR, "S-1", evse_id, blocked=True, time_to_live=life)
    assert caught.value.refusal is refusal


def test_a_sensor_s_token_sets_no_booking(desk, booking):
    with pytest.raises(RequestRefusedError) as caught:
        put_reference(desk, SENSOR, "B-1", booking)
    assert caught.value.refusal is Refusal.NOT_PERMITTED


def test_what_an_operator_made_of_a_sensor_s_window_is_the_operator_s(desk, sql):
    made = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE)
    key = made.view.record.window.id
    change_window(desk, ANN, key, {"kind": TemporaryStatus.MAINTENANCE, "valid_to": None})
    beside = put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE)
    assert beside.view.record.window.id != key
    put_sensor(desk, SENSOR, "S-1", "DE*ABC*E1", blocked=False, time_to_live=MINUTE)
    kept = get_window(desk, ANN, key)
    assert (kept.state, kept.record.window.end) == (WindowState.ACTIVE, None)


@pytest.mark.parametrize("changes", [{"kind": TemporaryStatus.MAINTENANCE}, {"evse_id": "DE*ABC*E3"}])
def test_what_an_operator_made_of_a_booking_is_the_operator_s(desk, booking, changes):
    made, _ = put_reference(desk, PLATFORM, "B-1", booking)
    changed = change_window(desk, ANN, made.record.window.id, changes)
    for do in (lambda: put_reference(desk, PLATFORM, "B-1", booking), lambda: end_reference(desk, PLATFORM, "B-1")):
        with pytest.raises(RequestRefusedError) as caught:
            do()
        assert caught.value.refusal is Refusal.NOT_PERMITTED
    assert get_window(desk, ANN, made.record.window.id).etag == changed.etag


def test_no_report_lives_longer_than_its_token_may_set(desk):
    short = Actor("short", "tokensho", grant(BLOCKED, longest=5 * MINUTE))
    put_sensor(desk, short, "S-1", "DE*ABC*E1", blocked=True, time_to_live=MINUTE)
    put_sensor(desk, short, "S-1", "DE*ABC*E1", blocked=True, time_to_live=5 * MINUTE)
    with pytest.raises(RequestRefusedError) as caught:
        put_sensor(desk, short, "S-1", "DE*ABC*E1", blocked=True, time_to_live=6 * MINUTE)
    assert caught.value.refusal is Refusal.NOT_PERMITTED


def test_a_booking_without_a_start_begins_now_whatever_it_was_before(desk, now, booking):
    put_reference(desk, PLATFORM, "B-1", replace(booking, time_zone="Europe/Berlin"))
    again, _ = put_reference(desk, PLATFORM, "B-1", replace(booking, valid_from=None))
    assert again.state is WindowState.ACTIVE
    assert again.record.time_zone is None
    later, _ = put_reference(desk, PLATFORM, "B-1", replace(booking, valid_from=None))
    assert later.record.window.valid_from == again.record.window.valid_from
