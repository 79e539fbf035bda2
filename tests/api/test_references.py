"""Booking platforms and sensors know their temporary statuses by names of their own."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import WINDOWS, problem, soon

BOOKING = f"{WINDOWS}/by-reference/booking-17"
SENSOR = "/v2/sensors/bay-17"


@pytest.fixture
def platform(client_of, token):
    return client_of(token("booking"))


@pytest.fixture
def sensor(client_of, token):
    return client_of(token("sensor"))


def booking(**other):
    return {"evseId": "DE*ABC*E1", "temporaryStatus": "RESERVED", "validTo": soon(hours=2)} | other


def test_what_is_put_by_reference_is_there_once(platform):
    first = platform.put(BOOKING, json=booking())
    again = platform.put(BOOKING, json=booking(validTo=soon(hours=3)))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["location"] == f"{WINDOWS}/{first.json()['id']}"
    assert (again.json()["id"], again.json()["reference"]) == (first.json()["id"], "booking-17")
    assert platform.get(BOOKING).json() == again.json()
    assert platform.get(WINDOWS).json() == [again.json()]


def test_the_same_put_again_changes_nothing(platform):
    wanted = booking(validFrom=soon(hours=1))
    first, again = (platform.put(BOOKING, json=wanted) for _ in range(2))
    assert first.json() == again.json()
    assert first.headers["etag"] == again.headers["etag"] == platform.get(BOOKING).headers["etag"]
    assert platform.get(BOOKING, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert len(platform.get(f"{WINDOWS}/{first.json()['id']}/history").json()) == 1


def test_a_reference_whose_status_is_over_takes_a_new_one(platform):
    first = platform.put(BOOKING, json=booking()).json()
    assert platform.delete(BOOKING).status_code == 204
    assert platform.delete(BOOKING).status_code == 204
    assert platform.get(BOOKING).json()["state"] == "ended"
    again = platform.put(BOOKING, json=booking())
    assert again.status_code == 201
    assert again.json()["id"] != first["id"]


def test_a_reference_that_nothing_stands_under_is_not_found(platform):
    problem(platform.get(BOOKING), 404, "not-found")
    problem(platform.delete(BOOKING), 404, "not-found")


def test_references_belong_to_their_token(platform, client_of, token):
    other = client_of(token("booking", name="other"))
    mine = platform.put(BOOKING, json=booking()).json()
    problem(other.get(BOOKING), 404, "not-found")
    assert other.put(BOOKING, json=booking()).status_code == 201
    assert platform.get(BOOKING).json() == mine


def test_bulk_and_by_reference_are_no_numbers(api):
    problem(api.get(f"{WINDOWS}/bulk"), 422, "invalid")
    problem(api.get(f"{WINDOWS}/by-reference"), 422, "invalid")


def report(**other):
    return {"evseId": "DE*ABC*E1", "blocked": True, "timeToLive": 300} | other


def test_a_bay_is_blocked_for_as_long_as_the_report_lives(sensor, api):
    seen = sensor.put(SENSOR, json=report())
    assert seen.status_code == 200
    body = seen.json()
    assert (body["reference"], body["evseId"], body["blocked"]) == ("bay-17", "DE*ABC*E1", True)
    lives = datetime.fromisoformat(body["validTo"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < lives <= timedelta(minutes=5)
    assert sensor.get(SENSOR).json() == body
    assert [(each["temporaryStatus"], each["createdBy"]) for each in api.get(WINDOWS).json()] == [("BLOCKED", "sensor")]


def test_a_report_again_prolongs_and_one_of_a_free_bay_ends(sensor, api):
    first = sensor.put(SENSOR, json=report()).json()
    longer = sensor.put(SENSOR, json=report(timeToLive=3600)).json()
    assert longer["window"]["id"] == first["window"]["id"]
    assert longer["validTo"] > first["validTo"]
    free = sensor.put(SENSOR, json=report(blocked=False)).json()
    assert (free["blocked"], free["validTo"], free["window"]["state"]) == (False, None, "ended")
    assert api.get(WINDOWS).json() == []


@pytest.mark.parametrize("role", ["sensor", "operator"])
@pytest.mark.parametrize("change", [{"temporaryStatus": "MAINTENANCE"}, {"evseId": "DE*ABC*E2"}])
def test_what_a_person_made_of_a_sensors_window_is_no_report_and_is_not_ended_by_one(
    client_of, token, api, role, change
):
    sensor = client_of(token(role, name="bay sensors"))
    made = sensor.put(SENSOR, json=report()).json()["window"]
    theirs = api.patch(f"{WINDOWS}/{made['id']}", json=change | {"validTo": soon(hours=5)}).json()
    seen = sensor.get(SENSOR).json()
    assert (seen["evseId"], seen["blocked"], seen["validTo"], seen["window"]) == ("DE*ABC*E1", False, None, None)
    assert sensor.put(SENSOR, json=report()).json()["window"]["id"] != made["id"]
    assert sensor.put(SENSOR, json=report(blocked=False)).json()["blocked"] is False
    assert api.get(f"{WINDOWS}/{made['id']}").json() == theirs


def test_a_sensor_that_has_died_frees_its_bay(sensor, desk, api):
    sensor.put(SENSOR, json=report(timeToLive=10))
    assert len(api.get(WINDOWS).json()) == 1
    move_into_the_past(desk)
    assert api.get(WINDOWS).json() == []
    seen = sensor.get(SENSOR).json()
    assert (seen["blocked"], seen["validTo"], seen["window"]["endedBy"]) == (False, None, None)


def move_into_the_past(desk):
    """Let time pass for what was set."""
    with desk.store.writing() as connection:
        if desk.store.dialect == "sqlite":
            hour = "strftime('%Y-%m-%d %H:%M:%f', {0}, '-3600 seconds')"
        else:
            hour = "{0} - interval '1 hour'"
        changes = ", ".join(f"{column} = {hour.format(column)}" for column in ("valid_from", "valid_to"))
        connection.exec_driver_sql(f"UPDATE temporary_status SET {changes}")


def test_a_bay_that_was_never_blocked_has_no_window(sensor):
    seen = sensor.put(SENSOR, json=report(blocked=False)).json()
    assert (seen["blocked"], seen["window"]) == (False, None)
    assert sensor.get(SENSOR).json()["window"] is None
    problem(sensor.get("/v2/sensors/bay-18"), 404, "not-found")


@pytest.mark.parametrize("lives", [0, 9, 86_401, "a while", 1.5, None])
def test_a_time_to_live_that_makes_no_sense_is_refused(sensor, lives):
    body = problem(sensor.put(SENSOR, json=report(timeToLive=lives)), 422, "invalid")
    assert [each["field"] for each in body["errors"]] == ["timeToLive"]
