"""CONTRACT §6: a client of the published API works with another base URL and token; and what goes beyond it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import WINDOWS, problem, soon, wire

PUBLISHED = ("id", "evseId", "temporaryStatus", "validFrom", "validTo")


def fields(errors):
    return [each["field"] for each in errors["errors"]]


def test_a_status_is_set_with_the_fields_of_the_published_api_alone(api):
    answer = api.post(WINDOWS, json={"evseId": "DE*ABC*E1", "temporaryStatus": "MAINTENANCE"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{WINDOWS}/{answer.json()['id']}"
    body = answer.json()
    assert tuple(body)[:5] == PUBLISHED
    assert (body["evseId"], body["temporaryStatus"], body["validTo"]) == ("DE*ABC*E1", "MAINTENANCE", None)
    assert abs(datetime.fromisoformat(body["validFrom"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert body["validFrom"].endswith("Z")


@pytest.mark.parametrize("kind", ["MAINTENANCE", "COMMISSIONING", "BLOCKED", "RESERVED"])
def test_every_kind_goes_in_and_comes_out_in_upper_case(api, kind):
    start, end = soon(hours=1), soon(hours=2)
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": kind, "validFrom": start, "validTo": end}
    made = api.post(WINDOWS, json=body).json()
    assert {name: made[name] for name in body} == body
    assert api.get(f"{WINDOWS}/{made['id']}").json() == made


def test_a_time_with_another_offset_is_the_same_instant(made):
    one = made(validTo="2036-12-03T08:00:00+01:00", validFrom="2036-12-03T06:00:00.5Z")
    assert (one["validFrom"], one["validTo"]) == ("2036-12-03T06:00:00.500000Z", "2036-12-03T07:00:00Z")


def test_our_own_fields_come_back(made):
    one = made(reason="cable replaced", reference="T-4711", timeZone="Europe/Berlin")
    assert (one["reason"], one["reference"], one["timeZone"]) == ("cable replaced", "T-4711", "Europe/Berlin")
    assert (one["state"], one["endedAt"], one["endedBy"]) == ("active", None, None)
    assert one["createdAt"] == one["updatedAt"]


def test_the_author_is_the_token_and_never_the_body(api, made):
    assert made()["createdBy"] == "operator"
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "createdBy": "mallory"}
    assert fields(problem(api.post(WINDOWS, json=body), 422, "invalid")) == ["createdBy"]


def test_the_list_is_a_plain_array_of_what_applies_now(api, made):
    now, later = made(), made(validFrom=soon(hours=1))
    over = made()
    api.delete(f"{WINDOWS}/{over['id']}")
    assert api.get(WINDOWS).json() == [now]
    assert api.get(WINDOWS, params={"activeOnly": "true"}).json() == [now]
    everything = api.get(WINDOWS, params={"activeOnly": "false"}).json()
    assert [each["id"] for each in everything] == [now["id"], later["id"], over["id"]]
    assert [each["state"] for each in everything] == ["active", "upcoming", "ended"]


def test_the_list_knows_an_evse_in_any_spelling(api, made):
    one, _ = made(evseId="DE*ABC*E1"), made(evseId="DE*ABC*E2")
    for spelling in ("DE*ABC*E1", "DEABCE1", "de*abc*e1"):
        assert api.get(WINDOWS, params={"evseId": spelling}).json() == [one]
    assert api.get(WINDOWS, params={"evseId": "DE*ABC*E77"}).json() == []


def test_the_list_is_filtered_by_kind_state_reference_place_and_words(api, made):
    one = made(evseId="DE*ABC*E4", temporaryStatus="RESERVED", reference="B-1", reason="tour")
    two = made(evseId="DE*ABC*E1", validFrom=soon(hours=1))
    for params, found in (
        ({"temporaryStatus": "RESERVED"}, [one]),
        ({"state": "upcoming"}, [two]),
        ({"reference": "B-1"}, [one]),
        ({"location": "Köln, Dom"}, [one]),
        ({"search": "TOUR"}, [one]),
        ({"search": "%"}, []),
        ({"state": ["active", "upcoming"]}, [one, two]),
    ):
        assert api.get(WINDOWS, params=params).json() == found, params


def test_pages_are_linked_until_everything_was_seen_once(api, made):
    ids = [made()["id"] for _ in range(5)]
    seen, url = (
        [],
        f"{WINDOWS}?limit=2&evseId=DE*ABC*E1&evseId=DE*ABC*E2&evseId=DE*ABC*E3&evseId=DE*ABC*E4&evseId=DE*ABC*E5",
    )
    while url is not None:
        answer = api.get(url)
        seen += [each["id"] for each in answer.json()]
        assert len(answer.json()) <= 2
        url = answer.links.get("next", {}).get("url")
    assert seen == ids


def test_a_cursor_that_was_made_up_is_refused(api):
    problem(api.get(WINDOWS, params={"after": "made up"}), 422, "invalid")
    problem(api.get("/v2/evses", params={"after": "bWFkZSB1cA"}), 422, "invalid")


def test_a_parameter_that_is_not_known_is_refused_by_name(api):
    assert fields(problem(api.get(WINDOWS, params={"activeonly": "false"}), 422, "invalid")) == ["activeonly"]


def test_what_is_absent_in_a_patch_stays_and_null_clears(api, made):
    one = made(validTo=soon(hours=2), reason="cable", reference="T-1", timeZone="Europe/Berlin")
    url = f"{WINDOWS}/{one['id']}"
    kept = api.patch(url, json={"reason": "plug"}).json()
    assert {**kept, "reason": "cable", "updatedAt": one["updatedAt"]} == one
    cleared = api.patch(url, json={"validTo": None, "reason": None, "reference": None, "timeZone": None}).json()
    assert [cleared[name] for name in ("validTo", "reason", "reference", "timeZone")] == [None] * 4
    assert api.patch(url, json={}).json() == cleared


@pytest.mark.parametrize("field", ["evseId", "temporaryStatus", "validFrom"])
def test_what_cannot_be_empty_is_not_cleared(api, made, field):
    answer = api.patch(f"{WINDOWS}/{made()['id']}", json={field: None})
    assert fields(problem(answer, 422, "invalid")) == [field]


def test_a_start_to_come_moves_and_one_that_has_passed_does_not(api, made):
    later, now = made(validFrom=soon(hours=1)), made()
    moved = api.patch(f"{WINDOWS}/{later['id']}", json={"validFrom": soon(hours=3)})
    assert moved.status_code == 200
    refused = api.patch(f"{WINDOWS}/{now['id']}", json={"validFrom": soon(hours=3)})
    assert fields(problem(refused, 409, "start-passed")) == ["validFrom"]


def test_what_is_over_never_changes(api, made):
    one = made()
    url = f"{WINDOWS}/{one['id']}"
    api.delete(url)
    over = api.get(url).json()
    problem(api.patch(url, json={"reason": "else"}), 409, "window-over")
    problem(api.post(f"{url}/extend", json={"validTo": soon(hours=1)}), 409, "window-over")
    assert api.get(url).json() == over


def test_a_delete_ends_and_does_so_once(api, made):
    one = made(validTo=soon(hours=2))
    url = f"{WINDOWS}/{one['id']}"
    first = api.delete(url)
    assert (first.status_code, first.content) == (204, b"")
    over = api.get(url).json()
    assert (over["state"], over["endedBy"], over["validTo"]) == ("ended", "operator", one["validTo"])
    assert api.delete(url).status_code == 204
    assert api.get(url).json() == over


def test_an_end_is_a_delete_that_shows_what_is_left(api, made):
    one = made()
    ended = api.post(f"{WINDOWS}/{one['id']}/end")
    assert (ended.status_code, ended.json()["state"]) == (200, "ended")
    assert api.post(f"{WINDOWS}/{one['id']}/end").json() == ended.json()


@pytest.mark.parametrize("call", ["get", "delete"])
def test_a_number_that_no_status_has_is_not_found(api, call):
    for key in (1, 0, -1, 2**63, 10**30):
        problem(getattr(api, call)(f"{WINDOWS}/{key}"), 404, "not-found")


def test_an_extension_adds_to_the_end_or_names_it(api, made):
    end = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    one = made(validTo=wire(end))
    url = f"{WINDOWS}/{one['id']}/extend"
    assert api.post(url, json={"by": "PT1H30M"}).json()["validTo"] == wire(end + timedelta(minutes=90))
    assert api.post(url, json={"by": "P1D"}).json()["validTo"] == wire(end + timedelta(days=1, minutes=90))
    assert api.post(url, json={"validTo": wire(end)}).json()["validTo"] == wire(end)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "by"),
        ({"by": "PT1H", "validTo": "2036-01-01T00:00:00Z"}, "by"),
        ({"by": "1h"}, "by"),
        ({"by": "P"}, "by"),
        ({"by": "PT"}, "by"),
        ({"by": "PT0S"}, "by"),
        ({"by": "-PT1H"}, "by"),
        ({"by": "P999999999D"}, "by"),
        ({"by": "P999999999W"}, "by"),
        ({"validTo": "2001-01-01T00:00:00Z"}, "validTo"),
    ],
)
def test_an_extension_that_makes_no_sense_names_the_field(api, made, body, field):
    one = made(validTo=soon(hours=1))
    assert fields(problem(api.post(f"{WINDOWS}/{one['id']}/extend", json=body), 422, "invalid")) == [field]


def test_a_status_without_an_end_has_none_to_add_to(api, made):
    answer = api.post(f"{WINDOWS}/{made()['id']}/extend", json={"by": "PT1H"})
    assert fields(problem(answer, 422, "invalid")) == ["by"]


def test_the_history_has_who_when_and_what_was_before(api, client_of, token, made):
    one = made(reason="cable")
    url = f"{WINDOWS}/{one['id']}"
    client_of(token(name="bob")).patch(url, json={"reason": "plug"})
    api.delete(url)
    first, second, third = api.get(f"{url}/history").json()
    assert [each["actor"] for each in (first, second, third)] == ["operator", "bob", "operator"]
    assert first["before"] is None
    assert (second["before"]["reason"], second["after"]["reason"]) == ("cable", "plug")
    assert third["after"]["endedAt"].endswith("Z")
    assert all(each["at"].endswith("Z") for each in (first, second, third))


def test_a_tag_changes_with_the_status_and_only_then(api, made):
    url = f"{WINDOWS}/{made()['id']}"
    tag = api.get(url).headers["etag"]
    assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert api.get(url, headers={"If-None-Match": f'"x", W/{tag}'}).status_code == 304
    assert api.get(url, headers={"If-None-Match": "*"}).status_code == 304
    changed = api.patch(url, json={"reason": "plug"})
    assert changed.headers["etag"] != tag
    assert api.get(url, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda api, url, headers: api.patch(url, json={"reason": "plug"}, headers=headers),
        lambda api, url, headers: api.delete(url, headers=headers),
        lambda api, url, headers: api.post(f"{url}/end", headers=headers),
        lambda api, url, headers: api.post(f"{url}/extend", json={"by": "PT1H"}, headers=headers),
    ],
)
def test_who_names_a_tag_overwrites_nobody(api, made, change):
    one = made(validTo=soon(hours=2))
    url = f"{WINDOWS}/{one['id']}"
    old = api.get(url).headers["etag"]
    new = api.patch(url, json={"reason": "somebody else's"}).headers["etag"]
    problem(change(api, url, {"If-Match": old}), 412, "changed-meanwhile")
    assert api.get(url).headers["etag"] == new
    assert change(api, url, {"If-Match": f'"else", {new}'}).status_code in {200, 204}


def test_any_tag_will_do_for_a_star(api, made):
    assert api.delete(f"{WINDOWS}/{made()['id']}", headers={"If-Match": "*"}).status_code == 204


def test_a_request_that_comes_again_with_its_key_is_done_once(api):
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "validTo": soon(hours=1)}
    headers = {"Idempotency-Key": "6f1c"}
    first, again = (api.post(WINDOWS, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.content, first.headers["location"]) == (again.content, again.headers["location"])
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert len(api.get(WINDOWS).json()) == 1


def test_requests_with_one_key_at_the_same_time_are_done_once(api):
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(api.post(WINDOWS, json=body, headers={"Idempotency-Key": "k"})))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(api.get(WINDOWS).json()) == 1


def test_a_key_is_for_one_request_of_one_token(api, client_of, token):
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}
    headers = {"Idempotency-Key": "6f1c"}
    api.post(WINDOWS, json=body, headers=headers)
    problem(api.post(WINDOWS, json=body | {"evseId": "DE*ABC*E2"}, headers=headers), 422, "key-reused")
    other = client_of(token(name="other")).post(WINDOWS, json=body, headers=headers)
    assert (other.status_code, "idempotent-replayed" in other.headers) == (201, False)


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
def test_a_key_that_cannot_be_one_is_refused(api, key):
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}
    answer = api.post(WINDOWS, json=body, headers={"Idempotency-Key": key.encode()})
    assert fields(problem(answer, 422, "invalid")) == ["Idempotency-Key"]


def test_a_refused_request_uses_no_key_up(api):
    headers = {"Idempotency-Key": "6f1c"}
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "validTo": "2001-01-01T00:00:00Z"}
    problem(api.post(WINDOWS, json=body, headers=headers), 422, "invalid")
    assert api.post(WINDOWS, json=body | {"validTo": None}, headers=headers).status_code == 201


def test_an_evse_that_the_store_does_not_know_is_named(api):
    answer = api.post(WINDOWS, json={"evseId": "DE*ABC*E77", "temporaryStatus": "BLOCKED"})
    body = problem(answer, 422, "unknown-evse")
    assert ("DE*ABC*E77" in body["detail"], fields(body)) == (True, ["evseId"])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["temporaryStatus", "evseId"]),
        ({"evseId": "DE*ABC*E1", "temporaryStatus": "Maintenance"}, ["temporaryStatus"]),
        ({"evseId": "", "temporaryStatus": "BLOCKED"}, ["evseId"]),
        ({"evseId": "x" * 65, "temporaryStatus": "BLOCKED"}, ["evseId"]),
        ({"evseId": "a\x00b", "temporaryStatus": "BLOCKED"}, ["evseId"]),
        ({"evseId": 17, "temporaryStatus": "BLOCKED"}, ["evseId"]),
        ({"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "reason": "x" * 501}, ["reason"]),
        ({"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "reason": "a\nb"}, ["reason"]),
        ({"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "vaildTo": "x"}, ["vaildTo"]),
    ],
)
def test_a_body_that_is_wrong_names_each_field(api, body, named):
    assert fields(problem(api.post(WINDOWS, json=body), 422, "invalid")) == named


def test_a_kind_that_there_is_not_is_told_which_there_are(api):
    answer = api.post(WINDOWS, json={"evseId": "DE*ABC*E1", "temporaryStatus": "BROKEN"})
    for kind in ("MAINTENANCE", "COMMISSIONING", "BLOCKED", "RESERVED"):
        assert kind in problem(answer, 422, "invalid")["detail"]


def test_half_a_character_is_refused_and_not_echoed_as_such(api):
    raw = b'{"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "reason": "\\ud800"}'
    answer = api.post(WINDOWS, content=raw, headers={"Content-Type": "application/json"})
    assert fields(problem(answer, 422, "invalid")) == ["reason"]
    raw = b'{"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED", "\\ud800": 1}'
    problem(api.post(WINDOWS, content=raw, headers={"Content-Type": "application/json"}), 422, "invalid")
