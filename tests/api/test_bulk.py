"""Many EVSEs at once: all of them or none, and before it a look at what it would do."""

import pytest
from sqlalchemy import text

from tests.api.conftest import FLEET, WINDOWS, problem, soon

BULK = f"{WINDOWS}/bulk"


def body(select, **other):
    return {"select": select, "temporaryStatus": "MAINTENANCE", "validTo": soon(hours=4)} | other


@pytest.mark.parametrize(
    ("select", "found"),
    [
        ({"evseIds": ["DE*ABC*E1", "deabce4"]}, ["DE*ABC*E1", "DE*ABC*E4"]),
        ({"evseIds": ["DE*ABC*E1", "DEABCE1"]}, ["DE*ABC*E1"]),
        ({"location": "Mainz, Rheinufer"}, ["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"]),
        ({"location": "Mainz, Rheinufer", "chargeBox": "CB1"}, ["DE*ABC*E1", "DE*ABC*E2"]),
        ({"chargeBox": "CB3"}, ["DE*ABC*E4"]),
        ({"pattern": "DE*ABC*E%"}, sorted(FLEET)),
        ({"pattern": "de-abc%"}, []),
    ],
)
def test_evses_are_chosen_in_four_ways(api, select, found):
    answer = api.post(BULK, json=body(select, reason="transformer", reference="T-1"))
    if not found:
        problem(answer, 422, "unknown-evse")
        return
    assert answer.status_code == 201
    made = answer.json()
    assert made["count"] == len(found)
    assert [each["evseId"] for each in made["windows"]] == found
    assert {(each["reason"], each["reference"], each["createdBy"]) for each in made["windows"]} == {
        ("transformer", "T-1", "operator")
    }
    assert api.get(WINDOWS).json() == made["windows"]


def test_one_unknown_evse_and_none_is_set(api):
    answer = api.post(BULK, json=body({"evseIds": ["DE*ABC*E1", "DE*ABC*E77", "DE*ABC*E78"]}))
    found = problem(answer, 422, "unknown-evse")
    assert (found["evseIds"], found["count"]) == (["DE*ABC*E77", "DE*ABC*E78"], 2)
    assert api.get(WINDOWS).json() == []


@pytest.mark.parametrize(
    "select",
    [
        {},
        {"evseIds": []},
        {"evseIds": ["DE*ABC*E1"], "location": "Mainz, Rheinufer"},
        {"pattern": "DE*ABC*E1"},
        {"pattern": "DE*ABC*%", "chargeBox": "CB1"},
    ],
)
def test_a_choice_that_is_none_or_several_is_refused(api, select):
    problem(api.post(BULK, json=body(select)), 422, "invalid")


def test_the_preview_says_how_many_which_and_what_is_seen_and_changes_nothing(api, made):
    there = made(evseId="DE*ABC*E2", temporaryStatus="RESERVED", validTo=soon(hours=8))
    select = {"evseIds": ["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E77"]}
    answer = api.post(BULK, json=body(select, dryRun=True))
    assert answer.status_code == 200
    seen = answer.json()
    assert (seen["count"], seen["unknown"]) == (2, ["DE*ABC*E77"])
    free, reserved = seen["evses"]
    assert (free["evseId"], free["location"], free["chargeBox"]) == ("DE*ABC*E1", "Mainz, Rheinufer", "CB1")
    assert [free[when]["driverStatus"] for when in ("now", "during", "after")] == [
        "Available",
        "Out of Service",
        "Available",
    ]
    assert free["during"] == {
        "effectiveStatus": "Maintenance",
        "oicpStatus": "OutOfService",
        "ocpiStatus": "INOPERATIVE",
        "driverStatus": "Out of Service",
    }
    assert [reserved[when]["driverStatus"] for when in ("now", "during", "after")] == [
        "Reserved",
        "Out of Service",
        "Reserved",
    ]
    assert [(each["id"], each["temporaryStatus"], each["wins"]) for each in reserved["overlaps"]] == [
        (there["id"], "RESERVED", False)
    ]
    assert api.get(WINDOWS).json() == [there]


def test_the_preview_warns_of_what_has_no_end(api):
    seen = api.post(BULK, json=body({"evseIds": ["DE*ABC*E1"]}, validTo=None, dryRun=True)).json()
    assert seen["evses"][0]["after"] is None
    assert any("no end" in warning for warning in seen["warnings"])


def test_a_preview_is_no_request_that_a_key_remembers(api):
    headers = {"Idempotency-Key": "k"}
    select = {"evseIds": ["DE*ABC*E1"]}
    assert api.post(BULK, json=body(select, dryRun=True), headers=headers).status_code == 200
    assert api.post(BULK, json=body(select), headers=headers).status_code == 201


def test_a_bulk_that_comes_again_with_its_key_is_done_once(api):
    headers, wanted = {"Idempotency-Key": "k"}, body({"location": "Mainz, Rheinufer"})
    first, again = (api.post(BULK, json=wanted, headers=headers) for _ in range(2))
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api.get(WINDOWS).json()) == 3


def test_one_evse_beyond_the_token_and_none_is_set(client_of, token, api):
    narrow = client_of(token(locations=frozenset({"Köln, Dom"})))
    problem(narrow.post(BULK, json=body({"evseIds": ["DE*ABC*E1", "DE*ABC*E4"]})), 403, "not-permitted")
    assert api.get(WINDOWS).json() == []
    assert narrow.post(BULK, json=body({"location": "Köln, Dom"})).status_code == 201


def test_five_thousand_are_set_at_once_and_one_more_is_too_many(api, desk):
    with desk.store.writing() as connection:
        statement = text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, 'DE*ABC', 'Available')")
        connection.execute(statement, [{"evse": f"DE*ABC*EX{number:04}"} for number in range(5001)])
    problem(api.post(BULK, json=body({"pattern": "DE*ABC*EX%"})), 422, "too-many")
    problem(api.post(BULK, json=body({"evseIds": ["DE*ABC*E1"] * 5001})), 422, "too-many")
    assert api.get(WINDOWS).json() == []
    answer = api.post(BULK, json=body({"evseIds": [f"DE*ABC*EX{number:04}" for number in range(5000)]}))
    assert (answer.status_code, answer.json()["count"]) == (201, 5000)
    assert len(api.get(WINDOWS).json()) == 5000
