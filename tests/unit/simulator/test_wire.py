import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.simulator.wire import (
    Malformed,
    Push,
    PushRecord,
    acknowledgement,
    operator_in,
    read_push,
    validation_errors,
)

OPENAPI = Path(__file__).parents[4] / "shared" / "oicp" / "push-evse-status.openapi.json"


def push(**changes: object) -> bytes:
    operators = {
        "OperatorID": "DE*ABC",
        "OperatorName": "ABC technologies",
        "EvseStatusRecord": [{"EvseID": "DE*ABC*E1", "EvseStatus": "Available"}],
    }
    document = {"ActionType": "update", "OperatorEvseStatus": operators}
    for key, value in changes.items():
        (document if key == "ActionType" else operators)[key] = value
    return json.dumps(document).encode()


def references(body: bytes) -> list[str]:
    read = read_push(body)
    return [reference for reference, _ in read.errors] if isinstance(read, Malformed) else []


def test_a_push_is_read_with_its_identifiers_as_they_came_and_their_keys():
    read = read_push(push())
    assert isinstance(read, Push)
    assert (read.action, read.operator_id, read.operator_name) == ("update", "DE*ABC", "ABC technologies")
    assert read.records == [PushRecord("DEABCE1", "DE*ABC*E1", "Available")]
    assert read.keys == {"DEABCE1": 0}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"1", b'{"OperatorEvseStatus": null}', b'"\\ud800"'])
def test_a_body_that_is_no_push_is_malformed(body):
    assert isinstance(read_push(body), Malformed)


@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({"ActionType": "FullLoad"}, "actionType"),
        ({"ActionType": None}, "actionType"),
        ({"ActionType": 1}, "actionType"),
        ({"ActionType": ["update"]}, "actionType"),
        ({"ActionType": {}}, "actionType"),
        ({"OperatorID": "DE*ABCD"}, "operatorEvseStatus.operatorId"),
        ({"OperatorID": None}, "operatorEvseStatus.operatorId"),
        ({"OperatorName": "x" * 101}, "operatorEvseStatus.operatorName"),
        ({"EvseStatusRecord": None}, "operatorEvseStatus.evseStatusRecord"),
        ({"EvseStatusRecord": [7]}, "operatorEvseStatus.evseStatusRecord[0].evseId"),
        ({"EvseStatusRecord": ["EvseID"]}, "operatorEvseStatus.evseStatusRecord[0].evseId"),
        ({"EvseStatusRecord": [{"EvseStatus": "Unknown"}]}, "operatorEvseStatus.evseStatusRecord[0].evseId"),
    ],
)
def test_each_breach_of_the_grammar_is_named_by_its_field(changes, reference):
    assert reference in references(push(**changes))


@pytest.mark.parametrize("status", ["available", "EvseNotFound", "", None, 1, [], {}])
def test_a_status_that_a_cpo_may_not_send_is_named_by_index(status):
    records = [
        {"EvseID": "DE*ABC*E1", "EvseStatus": "Available"},
        {"EvseID": "DE*ABC*E2", "EvseStatus": status},
    ]
    assert references(push(EvseStatusRecord=records)) == ["operatorEvseStatus.evseStatusRecord[1].evseStatus"]


@pytest.mark.parametrize("evse_id", ["CH-REP*1", "DE*ABC*E", "DE*ABC*E1\n", "DE*ABC*1", "", "x" * 10_000, None, 3])
def test_an_evse_id_outside_the_grammar_is_named_by_index(evse_id):
    records = [{"EvseID": evse_id, "EvseStatus": "Available"}]
    assert references(push(EvseStatusRecord=records)) == ["operatorEvseStatus.evseStatusRecord[0].evseId"]


def test_a_garbled_full_load_is_answered_with_a_bounded_number_of_errors():
    assert len(references(push(EvseStatusRecord=[{}] * 10_000))) == 100


def test_an_empty_list_of_records_is_a_push():
    read = read_push(push(EvseStatusRecord=[]))
    assert isinstance(read, Push)
    assert (list(read.records), dict(read.keys)) == ([], {})


iso = st.from_regex(r"\A[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30}\Z")
din = st.from_regex(r"\A\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}\Z")


@given(evse_ids=st.lists(iso | din, min_size=1, max_size=5))
def test_records_are_keyed_as_the_adapter_keys_them(evse_ids):
    read = read_push(push(EvseStatusRecord=[{"EvseID": one, "EvseStatus": "Unknown"} for one in evse_ids]))
    assert isinstance(read, Push)
    assert [record.key for record in read.records] == [evse_key(one) for one in evse_ids]
    assert read.keys == {evse_key(one): [evse_key(two) for two in evse_ids].index(evse_key(one)) for one in evse_ids}


@pytest.mark.parametrize(
    ("evse_id", "operator"),
    [("DE*ABC*E1", "DE*ABC"), ("deabcE1", "DE*ABC"), ("+49*810*000*438", "+49*810"), ("1*234*5", "1*234")],
)
def test_the_operator_inside_an_evse_id_is_found(evse_id, operator):
    assert operator_in(PushRecord(evse_key(evse_id), evse_id, "Unknown")) == operator_key(operator)


def test_a_validation_error_has_the_shape_that_the_hub_was_seen_to_send():
    assert json.loads(validation_errors([("actionType", "must not be null")])) == {
        "message": "Error parsing/validating JSON.",
        "validationErrors": [{"fieldReference": "actionType", "errorMessage": "must not be null"}],
    }


@pytest.mark.skipif(not OPENAPI.exists(), reason="the protocol's OpenAPI description is not beside this checkout")
def test_the_reader_agrees_with_the_protocols_description():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schemas = json.loads(OPENAPI.read_text())["components"]["schemas"]
    jsonschema.validate(json.loads(push()), schemas["eRoamingPushEvseStatus"])
    acknowledged = {
        key: value for key, value in json.loads(acknowledgement("018", result=False)).items() if value is not None
    }
    acknowledged["StatusCode"].pop("AdditionalInfo")
    jsonschema.validate(acknowledged, schemas["eRoamingAcknowledgment"])
