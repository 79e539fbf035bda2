"""Times as clients send them: with an offset, or local beside their zone; the zone is kept."""

import pytest

from tests.api.conftest import WINDOWS, problem

BODY = {"evseId": "DE*ABC*E1", "temporaryStatus": "MAINTENANCE"}
LOCAL = {"validFrom": "2036-12-03T08:00", "validTo": "2036-12-03T12:00", "timeZone": "Europe/Berlin"}


def test_a_time_without_an_offset_is_refused_with_an_example(api):
    for field in ("validFrom", "validTo"):
        body = problem(api.post(WINDOWS, json=BODY | {field: "2036-12-03T08:00:00"}), 422, "invalid")
        assert [each["field"] for each in body["errors"]] == [field]
        assert "+01:00" in body["detail"]


def test_a_local_time_is_taken_beside_its_zone_which_is_kept(api):
    made = api.post(WINDOWS, json=BODY | LOCAL).json()
    assert (made["validFrom"], made["validTo"], made["timeZone"]) == (
        "2036-12-03T07:00:00Z",
        "2036-12-03T11:00:00Z",
        "Europe/Berlin",
    )
    url = f"{WINDOWS}/{made['id']}"
    problem(api.patch(url, json={"validTo": "2036-12-03T13:00"}), 422, "invalid")
    changed = api.patch(url, json={"validTo": "2036-12-03T13:00", "timeZone": "Europe/Lisbon"}).json()
    assert (changed["validTo"], changed["timeZone"]) == ("2036-12-03T13:00:00Z", "Europe/Lisbon")
    later = api.post(f"{url}/extend", json={"validTo": "2036-12-03T15:00", "timeZone": "Europe/Berlin"}).json()
    assert later["validTo"] == "2036-12-03T14:00:00Z"


@pytest.mark.parametrize("time", ["2036-03-30T02:30", "2036-10-26T02:30"])
def test_the_night_of_the_clock_change_is_refused_with_the_nearest_times(api, time):
    body = problem(api.post(WINDOWS, json=BODY | LOCAL | {"validFrom": time}), 422, "invalid")
    assert [each["field"] for each in body["errors"]] == ["validFrom"]
    for nearest in body["nearest"]:
        assert nearest in body["detail"]
        assert api.post(WINDOWS, json=BODY | LOCAL | {"validFrom": nearest}).status_code == 201


def test_a_zone_that_there_is_not_is_refused_also_where_no_time_needs_it(api):
    for body in (BODY | LOCAL, BODY):
        answer = problem(api.post(WINDOWS, json=body | {"timeZone": "Mars/Olympus"}), 422, "invalid")
        assert [each["field"] for each in answer["errors"]] == ["timeZone"]


@pytest.mark.parametrize(
    "times",
    [
        {"validFrom": "2036-12-03T12:00:00Z", "validTo": "2036-12-03T12:00:00Z"},
        {"validFrom": "2036-12-03T12:00:00Z", "validTo": "2036-12-03T11:00:00Z"},
        {"validTo": "2001-01-01T00:00:00Z"},
        {"validFrom": "1999-01-01T00:00:00Z"},
        {"validTo": "9999-12-31T23:59:59Z"},
    ],
)
def test_times_that_contradict_each_other_or_the_calendar_are_refused(api, times):
    problem(api.post(WINDOWS, json=BODY | times), 422, "invalid")
    assert api.get(WINDOWS, params={"activeOnly": "false"}).json() == []
