"""EVSEs as `status --json` shows them, with the three translations, filters and pages."""

import json

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from oicp_adapter.cli.main import app
from oicp_adapter.control.listing import cursor_of
from reliability.real.machine import run_sql
from tests.api.conftest import FLEET, problem

EVSES = "/v2/evses"


def ids(answer):
    return [each["evseId"] for each in answer.json()]


def test_an_evse_has_what_status_prints_and_the_translations(api, made, desk, request):
    made(evseId="DE*ABC*E1", temporaryStatus="COMMISSIONING")
    path = desk.store.path
    env = {
        "OICP_ADAPTER_STORE__URL": f"sqlite:///{path}" if path else request.getfixturevalue("pg_url"),
        "OICP_ADAPTER_OPERATORS": json.dumps([{"id": "DE*ABC", "certificate": "c", "private_key": "k"}]),
    }
    (printed,) = json.loads(CliRunner().invoke(app, ["status", "--json", "DE*ABC*E1"], env=env).stdout)
    shown = api.get(f"{EVSES}/DE*ABC*E1").json()
    instants = {"changedAt", "acknowledgedAt", "pendingSince"}
    assert {name: shown[name] for name in printed if name not in instants} == {
        name: value for name, value in printed.items() if name not in instants
    }
    assert (shown["oicpStatus"], shown["ocpiStatus"], shown["driverStatus"]) == (
        "OutOfService",
        "PLANNED",
        "Out of Service",
    )


@pytest.mark.parametrize("spelling", ["DE*ABC*E1", "DEABCE1", "de*abc*e1"])
def test_an_evse_is_found_in_any_spelling(api, spelling):
    found = api.get(f"{EVSES}/{spelling}").json()
    assert (found["evseId"], found["location"], found["chargeBox"], found["timeZone"]) == (
        "DE*ABC*E1",
        "Mainz, Rheinufer",
        "CB1",
        "Europe/Berlin",
    )


def test_an_evse_of_the_din_form_has_a_path(api, desk):
    with desk.store.writing() as connection:
        statement = "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('+49*810*000*438', 'DE*ABC', 'x')"
        connection.execute(text(statement))
    assert api.get(f"{EVSES}/+49*810*000*438").json()["technicalStatus"] == "x"
    assert api.get(f"{EVSES}/%2B49%2A810%2A000%2A438").json()["evseId"] == "+49*810*000*438"


def test_an_evse_that_is_not_there_is_not_found(api):
    for path in (f"{EVSES}/DE*ABC*E77", f"{EVSES}/DE*ABC*E77/explain"):
        assert "DE*ABC*E77" in problem(api.get(path), 404, "not-found")["detail"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, sorted(FLEET)),
        ({"evseId": ["deabce2", "DE*ABC*E77"]}, ["DE*ABC*E2"]),
        ({"location": "Mainz, Rheinufer"}, ["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"]),
        ({"chargeBox": "CB1"}, ["DE*ABC*E1", "DE*ABC*E2"]),
        ({"operatorId": "deabc"}, sorted(FLEET)),
        ({"operatorId": "DE*XYZ"}, []),
        ({"search": "köln"}, ["DE*ABC*E4"]),
        ({"search": "abc*e5"}, ["DE*ABC*E5"]),
        ({"effectiveStatus": "Maintenance"}, ["DE*ABC*E1"]),
        ({"temporaryStatus": "MAINTENANCE"}, ["DE*ABC*E1"]),
        ({"temporaryStatus": "RESERVED"}, []),
        ({"state": "pending"}, sorted(FLEET)),
        ({"state": "in_sync"}, []),
    ],
)
def test_evses_are_filtered(api, made, params, found):
    made(evseId="DE*ABC*E1", temporaryStatus="MAINTENANCE")
    assert ids(api.get(EVSES, params=params)) == found


@pytest.mark.parametrize("spelled", ["+49*810*000*438", "%2B49*810*000*438", "49*810*000*438"])
def test_a_plus_that_a_client_left_bare_in_a_query_is_a_plus(api, desk, spelled):
    run_sql(
        desk.store,
        "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('+49*810*000*438', '+49*810', 'Available')",
        {},
    )
    assert ids(api.get(f"{EVSES}?evseId={spelled}")) == ["+49*810*000*438"]


def test_pages_of_evses_are_linked_and_keep_their_filter(api):
    seen, url = [], f"{EVSES}?limit=1&location=Mainz%2C+Rheinufer"
    while url is not None:
        answer = api.get(url)
        seen += ids(answer)
        url = answer.links.get("next", {}).get("url")
    assert seen == ["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"]


@pytest.mark.parametrize("leaving", [False, True])
@pytest.mark.parametrize("evse_id", ["DE*ABC*\ud800", "x" * 3001, 17, None])
def test_a_cursor_that_no_list_gave_is_refused(api, leaving, evse_id):
    body = problem(api.get(EVSES, params={"after": cursor_of([leaving, evse_id])}), 422, "invalid")
    assert [each["field"] for each in body["errors"]] == ["after"]


@pytest.mark.parametrize("leaving", [False, True])
def test_a_cursor_is_taken_as_far_as_the_store_can_hold_what_it_names(api, desk, leaving):
    answer = api.get(EVSES, params={"after": cursor_of([leaving, "DE*ABC*E3\0"])})
    if desk.store.dialect == "sqlite":
        assert ids(answer) == ([] if leaving else ["DE*ABC*E4", "DE*ABC*E5"])
    else:
        problem(answer, 422, "invalid")


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 5001}, {"limit": "x"}, {"state": "fine"}, {"effectiveStatus": "maintenance"}]
)
def test_a_filter_that_makes_no_sense_is_refused_by_name(api, params):
    body = problem(api.get(EVSES, params=params), 422, "invalid")
    assert [each["field"] for each in body["errors"]] == list(params)


def test_an_evse_is_explained_in_sentences(api, made):
    made(evseId="DE*ABC*E1")
    answer = api.get(f"{EVSES}/deabce1/explain").json()
    assert answer["evseId"] == "DE*ABC*E1"
    assert any("Maintenance is set" in sentence and "wins" in sentence for sentence in answer["sentences"])


def test_a_row_that_says_removed_is_explained_though_it_is_no_evse(api, desk):
    with desk.store.writing() as connection:
        connection.execute(text("UPDATE evse_status SET status = 'Removed' WHERE evse_id = 'DE*ABC*E1'"))
    problem(api.get(f"{EVSES}/DE*ABC*E1"), 404, "not-found")
    assert "says Removed" in api.get(f"{EVSES}/DE*ABC*E1/explain").json()["sentences"][0]


def test_locations_have_their_charge_boxes_and_counts(api):
    assert api.get("/v2/locations").json() == [
        {"location": "Köln, Dom", "chargeBoxes": [{"chargeBox": "CB3", "evses": 1}], "evses": 1},
        {
            "location": "Mainz, Rheinufer",
            "chargeBoxes": [{"chargeBox": "CB1", "evses": 2}, {"chargeBox": "CB2", "evses": 1}],
            "evses": 3,
        },
        {"location": None, "chargeBoxes": [{"chargeBox": None, "evses": 1}], "evses": 1},
    ]


def test_what_others_wrote_into_the_store_is_shown_as_text(api, desk):
    hostile = "<script>alert(1)</script>\u202e\x07\"'"
    with desk.store.writing() as connection:
        connection.execute(
            text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, 'DE*ABC', :status)"),
            {"evse": hostile, "status": hostile * 20},
        )
    answer = api.get(EVSES)
    assert answer.headers["content-type"] == "application/json"
    found = next(each for each in answer.json() if each["evseId"] == hostile)
    assert len(found["technicalStatus"]) < 300
