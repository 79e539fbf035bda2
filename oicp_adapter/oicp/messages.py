"""
Holds the messages of PushEvseStatus as they stand on the wire, and encodes requests.

1. Identifiers go out exactly as they came; nothing here rewrites them.
2. The hot path builds bytes, not model objects; the models describe the same document and the tests compare the two.
3. A streamed body is byte for byte the body that is sent in one piece.

Source: OICP 2.3 CPO, eRoamingPushEvseStatus and eRoamingAcknowledgment; hubject/oicp-cpo-2.3-api-doc.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.sync.model import Action, Record

EVSE_ID_PATTERN: Final = (
    r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9\*]{1,30})|(\+?[0-9]{1,3}\*[0-9]{3}\*[0-9\*]{1,32}))$"
)
"""EvseID as the OpenAPI description has it, which also admits the lower case that the leading document does not."""

OPERATOR_ID_PATTERN: Final = r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3})|(\+?[0-9]{1,3}\*[0-9]{3}))$"

OPERATOR_NAME_LENGTH: Final = 100
"""Characters of an OperatorName. Counted here in UTF-16 units, the stricter reading, since the hub's is not known."""

STREAM_RECORDS: Final = 10_000
"""Records in one piece of a streamed body: about half a megabyte, so memory does not grow with the fleet."""

PUSH_ROUTE: Final = "/evsepush/v21/operators/{operator_id}/status-records"
"""Path of PushEvseStatus below the hub's base URL."""

PROCESS_ID_HEADER: Final = "Process-ID"
"""Header of every answer; the handle that Hubject's support asks for."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class EvseStatusRecord(_Wire):
    """One EVSE and its status; in a delete the status is required and has no meaning."""

    evse_id: str = Field(alias="EvseID", pattern=EVSE_ID_PATTERN)
    evse_status: OicpStatus = Field(alias="EvseStatus")


class OperatorEvseStatus(_Wire):
    """The records of one operator; for a hub operator the OperatorID is its own, whoever the EVSEs belong to."""

    operator_id: str = Field(alias="OperatorID", pattern=OPERATOR_ID_PATTERN)
    operator_name: str | None = Field(default=None, alias="OperatorName", max_length=OPERATOR_NAME_LENGTH)
    evse_status_record: list[EvseStatusRecord] = Field(alias="EvseStatusRecord")


class PushEvseStatus(_Wire):
    """The request."""

    action_type: Action = Field(alias="ActionType")
    operator_evse_status: OperatorEvseStatus = Field(alias="OperatorEvseStatus")


class StatusCode(_Wire):
    """Hubject's code of three digits and its words; the words may be null."""

    code: str = Field(alias="Code")
    description: str | None = Field(default=None, alias="Description")
    additional_info: str | None = Field(default=None, alias="AdditionalInfo")


class Acknowledgement(_Wire):
    """The answer to a push that the hub received; `result` false means received and not performed."""

    result: bool = Field(alias="Result")
    status_code: StatusCode = Field(alias="StatusCode")
    session_id: str | None = Field(default=None, alias="SessionID")
    cpo_partner_session_id: str | None = Field(default=None, alias="CPOPartnerSessionID")
    emp_partner_session_id: str | None = Field(default=None, alias="EMPPartnerSessionID")


def push_path(operator_id: str) -> str:
    """
    Return the path of a push below the hub's base URL.

    `*` and `+` stand literally: both are legal in a path, and a plus must reach the hub as a plus.
    """
    return PUSH_ROUTE.format(operator_id=quote(operator_id, safe="*+", errors="replace"))


def encode_push(*, action: Action, operator_id: str, operator_name: str, records: Iterable[Record]) -> bytes:
    """
    Return the body of one push.

    Args:
        action: One per request.
        operator_id: As the client certificate spells it.
        operator_name: Cut to 100 characters; left out when blank.
        records: In the order in which a validation error will number them.
    """
    return b"".join(stream_push(action=action, operator_id=operator_id, operator_name=operator_name, records=records))


def stream_push(*, action: Action, operator_id: str, operator_name: str, records: Iterable[Record]) -> Iterator[bytes]:
    """
    Yield the body of one push in pieces of at most 10,000 records.

    Arguments as for `encode_push`. What *records* raises passes through; the document is then left without its end.
    """
    head: dict[str, str] = {"OperatorID": _encodable(operator_id)}
    if name := _operator_name(operator_name):
        head["OperatorName"] = name
    yield b'{"ActionType":%b,"OperatorEvseStatus":%b,"EvseStatusRecord":[' % (to_json(action.value), to_json(head)[:-1])
    remaining = iter(records)
    separator = b""
    while piece := [
        {"EvseID": record.evse_id, "EvseStatus": record.status.value} for record in islice(remaining, STREAM_RECORDS)
    ]:
        yield separator + to_json(piece)[1:-1]
        separator = b","
    yield b"]}}"


def _operator_name(name: str) -> str:
    """Cut to the hub's length, never through a surrogate pair, and free of what UTF-8 cannot carry."""
    units = name.strip().encode("utf-16-le", "replace")
    return units[: 2 * OPERATOR_NAME_LENGTH].decode("utf-16-le", "ignore")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
