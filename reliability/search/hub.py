"""
Lets the simulator's hub perform requests: what it holds before, what after, and what its answer means.

The hub is the simulator's own, filled anew for each request. Of each content and request it is asked once.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from oicp_adapter.simulator.fault_book import FaultBook
from oicp_adapter.simulator.faults import Fault, Request
from oicp_adapter.simulator.hub import Hub, HubOptions
from oicp_adapter.simulator.wire import read_push
from oicp_adapter.sync.answers import Answer, Progress, TransportFault, Verdict
from oicp_adapter.sync.classify import classify
from oicp_adapter.sync.model import Action

from .parts import CANONICAL, EVSES, NOW, OPERATOR
from .scenario import Scenario

ERRORS: Final[Mapping[str, Mapping[str, object]]] = {
    "performed, 503": {"kind": "http_status", "http_status": 503, "applied": "now"},
    "half performed, 009": {"kind": "status_code", "code": "009", "applied": "partly"},
    "429": {"kind": "rate_limited"},
    "401": {"kind": "unauthorized"},
    "undecodable": {"kind": "truncated", "applied": "now"},
}
"""What `Scenario.answers` may name, as the simulator's faults."""

Content = tuple[str | None, ...]
Body = tuple[tuple[int, str], ...]


class Performed(NamedTuple):
    """What a request did: what the hub holds afterwards, and what its answer means."""

    content: Content
    verdict: Verdict


NOT_SENT: Final = classify(Answer(Progress.NOT_SENT, TransportFault.DEADLINE_BEFORE_SEND), 1)
UNREACHABLE: Final = classify(Answer(Progress.NOT_SENT, TransportFault.CONNECT), 1)
TIMED_OUT: Final = classify(Answer(Progress.SENT, TransportFault.TIMEOUT), 1)
CUT: Final = classify(Answer(Progress.SENT, TransportFault.CUT), 1)


def perform(
    scenario: Scenario, content: Content, action: Action, body: Body, *, error: str | None = None, healed: bool = False
) -> Performed:
    """
    Hand one request to a hub.

    Args:
        content: What it holds.
        error: Which fault of `ERRORS` strikes it; None: none does.
        healed: The poison is poisonous no more.
    """
    options = HubOptions(
        strict=scenario.strict,
        explain_refusals=scenario.explain,
        refuse_unknown_deletes=scenario.refuse_unknown_deletes,
    )
    hub = Hub(options)
    for number, status in enumerate(content):
        if status is not None:
            hub.overwrite(OPERATOR, EVSES[number], status, NOW)
    text = _body(action, body)
    faults = FaultBook()
    if error is not None:
        faults.add(Fault.model_validate(ERRORS[error]))
    if scenario.poison is not None and not healed:
        faults.add(Fault.model_validate({"kind": "poison", "evse_id": EVSES[scenario.poison], "poison": "022"}))
    effect = faults.strike(Request(OPERATOR, read_push(text)))
    answer = hub.push(OPERATOR, None, text, NOW, process_id="p", effect=effect)
    held = hub.statuses(OPERATOR)
    truncated = error == "undecodable"
    verdict = classify(
        Answer(Progress.SENT, http_status=answer.http_status, body=answer.body, truncated=truncated), len(body)
    )
    after = tuple(held.get(CANONICAL[number]) for number in range(len(content)))
    return Performed(after, replace(verdict, detail=None))


def _body(action: Action, body: Body) -> bytes:
    records = [{"EvseID": EVSES[number], "EvseStatus": status} for number, status in body]
    operators = {"OperatorID": OPERATOR, "EvseStatusRecord": records}
    return json.dumps({"ActionType": action.value, "OperatorEvseStatus": operators}).encode()
