import json
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.oicp.messages import (
    EVSE_ID_PATTERN,
    OPERATOR_ID_PATTERN,
    OPERATOR_NAME_LENGTH,
    STREAM_RECORDS,
    Acknowledgement,
    PushEvseStatus,
    encode_push,
    push_path,
    stream_push,
)
from oicp_adapter.sync.model import Action, Record

PUBLISHED = Path(__file__).parents[4] / "shared" / "oicp" / "push-evse-status.openapi.json"

EVSE_IDS = st.from_regex(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}", fullmatch=True)
RECORDS = st.lists(
    st.builds(lambda text, status: Record(evse_key(text), text, status), EVSE_IDS, st.sampled_from(OicpStatus)),
    max_size=20,
)
ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=150)


def published_schema() -> dict:
    if not PUBLISHED.exists():
        pytest.skip("the published description lies beside the repository and is absent here")
    return json.loads(PUBLISHED.read_text())["components"]["schemas"]["eRoamingPushEvseStatus"]


@given(st.sampled_from(Action), ANY_TEXT, RECORDS)
def test_what_is_encoded_is_what_the_models_describe(action, name, records):
    body = encode_push(action=action, operator_id="DE*ABC", operator_name=name, records=records)
    model = PushEvseStatus.model_validate_json(body)
    assert model.model_dump(mode="json", exclude_none=True) == json.loads(body)
    assert model.action_type is action
    sent = [(one.evse_id, one.evse_status) for one in model.operator_evse_status.evse_status_record]
    assert sent == [(record.evse_id, record.status) for record in records]


@given(st.sampled_from(Action), ANY_TEXT, RECORDS)
def test_what_is_encoded_follows_the_published_description(action, name, records):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    body = encode_push(action=action, operator_id="DE*ABC", operator_name=name, records=records)
    jsonschema.validate(json.loads(body), published_schema())


def test_patterns_and_names_are_those_of_the_published_description():
    status = published_schema()["properties"]["OperatorEvseStatus"]["properties"]
    record = status["EvseStatusRecord"]["items"]["properties"]
    assert status["OperatorID"]["pattern"] == OPERATOR_ID_PATTERN
    assert record["EvseID"]["pattern"] == EVSE_ID_PATTERN
    assert set(OicpStatus) < set(record["EvseStatus"]["enum"])
    assert set(Action) == set(published_schema()["properties"]["ActionType"]["enum"])


@given(ANY_TEXT)
def test_an_operator_name_of_any_text_is_cut_and_never_crashes(name):
    body = encode_push(action=Action.UPDATE, operator_id="DE*ABC", operator_name=name, records=[])
    written = json.loads(body)["OperatorEvseStatus"].get("OperatorName")
    assert (written is None) == (not name.strip())
    assert len((written or "").encode("utf-16-le")) <= 2 * OPERATOR_NAME_LENGTH


def test_a_lone_surrogate_and_a_split_pair_do_not_reach_the_wire():
    body = encode_push(action=Action.UPDATE, operator_id="DE*ABC", operator_name="a\ud800" + "😀" * 80, records=[])
    assert json.loads(body)["OperatorEvseStatus"]["OperatorName"] == "a?" + "😀" * 49


@pytest.mark.parametrize("number", [0, 1, STREAM_RECORDS - 1, STREAM_RECORDS, STREAM_RECORDS + 1, 25_000])
def test_a_streamed_body_is_the_body_in_one_piece_and_its_pieces_are_bounded(number):
    def records():
        return (Record(evse_key(f"DE*ABC*E{n}"), f"DE*ABC*E{n}", OicpStatus.RESERVED) for n in range(number))

    facts = {"action": Action.FULL_LOAD, "operator_id": "DE*ABC", "operator_name": "ABC"}
    pieces = list(stream_push(**facts, records=records()))
    assert b"".join(pieces) == encode_push(**facts, records=records())
    assert all(piece.count(b"EvseID") <= STREAM_RECORDS for piece in pieces)
    assert len(json.loads(b"".join(pieces))["OperatorEvseStatus"]["EvseStatusRecord"]) == number


def test_records_that_break_off_leave_the_document_without_its_end():
    def broken():
        yield Record(evse_key("DE*ABC*E1"), "DE*ABC*E1", OicpStatus.AVAILABLE)
        raise RuntimeError("store gone")

    pieces = stream_push(action=Action.FULL_LOAD, operator_id="DE*ABC", operator_name="", records=broken())
    sent = []
    with pytest.raises(RuntimeError, match="store gone"):
        sent.extend(pieces)
    assert not b"".join(chain(sent)).endswith(b"]}}")


@pytest.mark.parametrize(
    ("operator", "path"),
    [
        ("DE*ABC", "/evsepush/v21/operators/DE*ABC/status-records"),
        ("+49*810", "/evsepush/v21/operators/+49*810/status-records"),
        ("a/b c?#%", "/evsepush/v21/operators/a%2Fb%20c%3F%23%25/status-records"),
        ("\ud800", "/evsepush/v21/operators/%3F/status-records"),
    ],
)
def test_the_path_keeps_asterisk_and_plus_and_escapes_the_rest(operator, path):
    assert push_path(operator) == path


def test_an_acknowledgement_may_leave_out_what_the_hub_leaves_out():
    least = Acknowledgement.model_validate_json('{"Result": false, "StatusCode": {"Code": "018"}, "New": 1}')
    assert (least.result, least.status_code.code, least.session_id) == (False, "018", None)
    written = Acknowledgement(result=True, status_code={"Code": "000"}).model_dump()
    assert set(written) == {"Result", "StatusCode", "SessionID", "CPOPartnerSessionID", "EMPPartnerSessionID"}
    assert set(written["StatusCode"]) == {"Code", "Description", "AdditionalInfo"}


@pytest.mark.parametrize("evse_id", ["", "DE*ABC*X1", "DE*ABC*E1\n", "DE*ABC*E" + "1" * 31])
def test_the_model_refuses_a_malformed_evse_id(evse_id):
    body = {"OperatorID": "DE*ABC", "EvseStatusRecord": [{"EvseID": evse_id, "EvseStatus": "Available"}]}
    with pytest.raises(ValidationError, match="EvseID"):
        PushEvseStatus.model_validate({"ActionType": "update", "OperatorEvseStatus": body})
