"""
Answers what an EMP would pull.

Any client certificate that the hub accepts may pull; the contracts of EMPs are not simulated.

Source: OICP 2.3 EMP, eRoamingPullEvseStatus, …ByID, …ByOperatorID.
"""

from collections.abc import Sequence

from pydantic_core import from_json, to_json

from oicp_adapter.simulator.hub import Hub
from oicp_adapter.simulator.wire import MAX_PULL_IDS, SUCCESS, HubAnswer, json_answer, status_code, validation_errors


def pull_all(hub: Hub) -> HubAnswer:
    """Return what the hub holds of all operators."""
    return _by_operator(hub, hub.operators())


def pull_by_operator(hub: Hub, body: bytes) -> HubAnswer:
    """Return what the hub holds of the operators in `{"OperatorID": [...]}`; one that it does not know is left out."""
    operators = _strings(body, "OperatorID")
    return _malformed("operatorId") if operators is None else _by_operator(hub, operators)


def pull_by_id(hub: Hub, body: bytes) -> HubAnswer:
    """Return the status of each of at most 100 EVSEs in `{"EvseID": [...]}`, `EvseNotFound` for the unknown."""
    evse_ids = _strings(body, "EvseID")
    if evse_ids is None or len(evse_ids) > MAX_PULL_IDS:
        return _malformed("evseId")
    found = [(evse_id, hub.find(evse_id)) for evse_id in evse_ids]
    records = [_record(evse_id, held.status if held else "EvseNotFound") for evse_id, held in found]
    return _done({"EVSEStatusRecords": {"EvseStatusRecord": records}, "StatusCode": status_code(SUCCESS)})


def _by_operator(hub: Hub, operators: Sequence[str]) -> HubAnswer:
    answered = [
        {
            "OperatorID": operator,
            "OperatorName": hub.name(operator),
            "EvseStatusRecord": [_record(held.evse_id, held.status) for held in records.values()],
        }
        for operator in operators
        if (records := hub.held(operator))
    ]
    return _done({"EvseStatuses": {"OperatorEvseStatus": answered}, "StatusCode": status_code(SUCCESS)})


def _record(evse_id: str, status: str) -> dict[str, str]:
    return {"EvseID": evse_id, "EvseStatus": status}


def _strings(body: bytes, key: str) -> list[str] | None:
    try:
        document = from_json(body)
    except ValueError:
        return None
    found = document.get(key) if isinstance(document, dict) else None
    if not (isinstance(found, list) and all(isinstance(one, str) for one in found)):
        return None
    return found


def _done(document: object) -> HubAnswer:
    return json_answer(200, to_json(document), SUCCESS)


def _malformed(field: str) -> HubAnswer:
    errors = validation_errors([(field, f"must be a list of strings, at most {MAX_PULL_IDS} EvseIDs")])
    return json_answer(400, errors)
