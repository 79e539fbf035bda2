import json
from datetime import UTC, datetime

import pytest

from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.simulator.pulls import pull_all, pull_by_id, pull_by_operator

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def hub() -> Hub:
    made = Hub(HubOptions())
    made.overwrite("DE*ABC", "DE*ABC*E1", "Available", NOW)
    made.overwrite("NL*XYZ", "NL*XYZ*E1", "Occupied", NOW)
    return made


def asked(**document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_pull_of_everything_shows_all_operators(hub):
    answer = pull_all(hub)
    assert json.loads(answer.body) == {
        "EvseStatuses": {
            "OperatorEvseStatus": [
                {
                    "OperatorID": operator,
                    "OperatorName": None,
                    "EvseStatusRecord": [{"EvseID": f"{operator}*E1", "EvseStatus": status}],
                }
                for operator, status in (("DE*ABC", "Available"), ("NL*XYZ", "Occupied"))
            ]
        },
        "StatusCode": {"Code": "000", "Description": None, "AdditionalInfo": None},
    }


def test_a_pull_by_operator_shows_only_those_asked_for(hub):
    answer = pull_by_operator(hub, asked(ProviderID="DE*EMP", OperatorID=["NL*XYZ", "FR*NIX"]))
    operators = json.loads(answer.body)["EvseStatuses"]["OperatorEvseStatus"]
    assert [operator["OperatorID"] for operator in operators] == ["NL*XYZ"]


def test_a_pull_by_id_says_evse_not_found_for_what_the_hub_does_not_hold(hub):
    answer = pull_by_id(hub, asked(ProviderID="DE*EMP", EvseID=["DEABCE1", "DE*ABC*E2"]))
    document = json.loads(answer.body)
    assert document["EVSEStatusRecords"]["EvseStatusRecord"] == [
        {"EvseID": "DEABCE1", "EvseStatus": "Available"},
        {"EvseID": "DE*ABC*E2", "EvseStatus": "EvseNotFound"},
    ]
    assert document["StatusCode"]["Code"] == "000"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", asked(EvseID="DE*ABC*E1"), asked(EvseID=["DE*ABC*E1"] * 101)])
def test_a_pull_that_cannot_be_understood_is_answered_400(hub, body):
    assert pull_by_id(hub, body).http_status == 400
    assert pull_by_operator(hub, body).http_status == 400
