"""
Decides which injected fault strikes a request, and what it does to it.

1. A fault is data; what it does is one entry of `KINDS`, so that adding one is adding an entry.
2. Faults are asked in the order in which they were injected; the first that matches strikes, alone.
3. Nothing here acts: the hub applies (`hub.py`), the shell delivers (`exchange.py`) what an effect says.
"""

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.simulator.wire import (
    SUCCESS,
    HubAnswer,
    Malformed,
    Push,
    acknowledgement,
    json_answer,
    record_reference,
    refusal,
    refused,
    validation_errors,
)
from oicp_adapter.sync.model import Action

_MAX_SIZE: Final = 256 * 1024 * 1024
"""Bytes of the largest answer that may be asked for."""


class FaultKind(StrEnum):
    """Name of a fault, as the admin endpoint spells it."""

    ANSWER_LOST = "answer_lost"
    NEVER_APPLIED = "never_applied"
    LATE_APPLY = "late_apply"
    DOUBLE_APPLY = "double_apply"
    HTTP_STATUS = "http_status"
    STATUS_CODE = "status_code"
    TRUNCATED = "truncated"
    HTML = "html"
    EMPTY = "empty"
    ENORMOUS = "enormous"
    GZIP_BOMB = "gzip_bomb"
    DRIP = "drip"
    CONTRADICTORY = "contradictory"
    DELAY = "delay"
    RATE_LIMITED = "rate_limited"
    POISON = "poison"
    REFUSE_EVERYTHING = "refuse_everything"
    FORGET = "forget"
    OVERWRITE = "overwrite"
    UNAUTHORIZED = "unauthorized"
    HTML_403 = "html_403"
    NOT_FOUND_300 = "not_found_300"
    CLOSE_IDLE = "close_idle"
    CUT_MID_BODY = "cut_mid_body"


class Applying(StrEnum):
    """Whether and when the hub performs a request, whatever it answers."""

    NOW = "now"
    NEVER = "never"
    LATER = "later"
    TWICE = "twice"
    PARTLY = "partly"


class Delivery(StrEnum):
    """How the answer travels."""

    WHOLE = "whole"
    CUT = "cut"
    CUT_MID_BODY = "cut_mid_body"
    SILENT = "silent"
    DRIP = "drip"
    ENORMOUS = "enormous"


class PoisonAnswer(StrEnum):
    """What the hub answers to a request with the poisonous EVSE in it."""

    INDEX_RIGHT = "index_right"
    INDEX_WRONG = "index_wrong"
    INDEX_ABSENT = "index_absent"
    CODE_018 = "018"
    CODE_022 = "022"
    ERROR_500 = "500"
    HANG = "hang"


class Fault(BaseModel):
    """
    One injected fault. What a kind has no use for is ignored.

    Attributes:
        operator: Only requests of this operator; None: of any.
        action: Only requests of this action; None: of any.
        evse_id: Only requests with this EVSE, in any spelling; None: any. For `poison`, `forget` and `overwrite` also
            the EVSE that it is about; `forget` without it forgets all of the operator.
        count: How often it strikes; None: until removed.
        probability: With which it strikes a request that matches, drawn from a generator of its own.
        seed: Of that generator.
        delay: `late_apply`, `double_apply`: until the (second) application; `delay`: until the answer; `drip`: between
            two bytes; `close_idle`: from the answer to the closing.
        applied: Overrides whether and when the request is performed; None: as the kind does.
        silent: `late_apply`: no answer until the client gives up, instead of a cut.
        http_status: `http_status`: the status.
        code: `status_code`, `contradictory`: Hubject's code; None: 009, or the one that contradicts.
        result: `contradictory`: the `Result`.
        retry_after: `rate_limited`: the header's text; None: no header.
        poison: `poison`: what is answered.
        status: `overwrite`: what a second system writes.
        size: `enormous`, `gzip_bomb`: bytes of the (unpacked) body.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    operator: str | None = None
    action: Action | None = None
    evse_id: str | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: int = 0
    delay: Annotated[timedelta, Field(ge=timedelta())] = timedelta(seconds=1)
    applied: Applying | None = None
    silent: bool = False
    http_status: Annotated[int, Field(ge=200, le=599)] = 503
    code: Annotated[str, Field(pattern=r"^\d{3}$")] | None = None
    result: bool = True
    retry_after: str | None = None
    poison: PoisonAnswer = PoisonAnswer.INDEX_RIGHT
    status: OicpStatus | None = None
    size: Annotated[int, Field(ge=1, le=_MAX_SIZE)] = 50_000_000

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> Self:
        if self.kind in {FaultKind.POISON, FaultKind.OVERWRITE} and self.evse_id is None:
            raise ValueError(f"{self.kind} needs evse_id")
        if self.kind is FaultKind.OVERWRITE and self.status is None:
            raise ValueError("overwrite needs status")
        return self


@dataclass(frozen=True, slots=True)
class Afterwards:
    """
    What silently happens to the hub's state after a request.

    Attributes:
        evse_id: Which EVSE; None: all of the operator.
        status: What it becomes; None: it is forgotten.
    """

    evse_id: str | None = None
    status: OicpStatus | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """
    What happens to one request.

    Attributes:
        kind: Of the fault; None: none struck.
        late_by: From the request to its late application.
        answer: Replaces the hub's own answer; None: it does not.
        answer_after: From the request's end to the answer.
        pace: Between two bytes of a dripping answer.
        size: Bytes of an enormous answer.
        close_after: From the answer to the closing of the connection; None: it stays open.
    """

    kind: FaultKind | None = None
    applying: Applying = Applying.NOW
    late_by: timedelta = timedelta()
    answer: HubAnswer | None = None
    delivery: Delivery = Delivery.WHOLE
    answer_after: timedelta = timedelta()
    pace: timedelta = timedelta()
    size: int = 0
    close_after: timedelta | None = None
    afterwards: Afterwards | None = None


NO_EFFECT: Final = Effect()


@dataclass(frozen=True, slots=True)
class Request:
    """What a fault is matched with: the operator as the URL spells it, and the body as far as it was understood."""

    operator: str
    push: Push | Malformed


def choose(faults: Sequence[Fault], request: Request, draw: Callable[[int], float]) -> int | None:
    """
    Return the place of the first fault that strikes a request; None: none does.

    Args:
        draw: Called with the place of a fault that matches and is not certain; a number in [0, 1).
    """
    for place, fault in enumerate(faults):
        if matches(fault, request) and (fault.probability >= 1 or draw(place) < fault.probability):
            return place
    return None


def matches(fault: Fault, request: Request) -> bool:
    """Say whether a fault is meant for a request, its probability aside."""
    if fault.operator is not None and operator_key(fault.operator) != operator_key(request.operator):
        return False
    if fault.action is None and fault.evse_id is None:
        return True
    if isinstance(request.push, Malformed):
        return False
    if fault.action is not None and fault.action is not request.push.action:
        return False
    return fault.evse_id is None or evse_key(fault.evse_id) in request.push.keys


def effect_of(fault: Fault, request: Request) -> Effect:
    """Return what a fault does to a request that it strikes."""
    effect = replace(KINDS[fault.kind](fault, request), kind=fault.kind)
    if fault.applied is None:
        return effect
    return replace(effect, applying=fault.applied, late_by=fault.delay)


def _page(http_status: int, words: str) -> HubAnswer:
    page = f"<html><body><h1>{http_status} {words}</h1></body></html>"
    return HubAnswer(http_status, page.encode(), {"Content-Type": "text/html"})


def _late_apply(fault: Fault, _request: Request) -> Effect:
    delivery = Delivery.SILENT if fault.silent else Delivery.CUT
    return Effect(applying=Applying.LATER, late_by=fault.delay, delivery=delivery)


def _truncated(_fault: Fault, _request: Request) -> Effect:
    body = acknowledgement(SUCCESS, result=True)
    return Effect(answer=json_answer(200, body[: len(body) // 2]))


def _gzip_bomb(fault: Fault, _request: Request) -> Effect:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return Effect(answer=HubAnswer(200, _packed_zeros(fault.size), headers))


@lru_cache(maxsize=1)
def _packed_zeros(size: int) -> bytes:
    return gzip.compress(bytes(size), mtime=0)


def _contradictory(fault: Fault, _request: Request) -> Effect:
    code = fault.code or ("022" if fault.result else SUCCESS)
    return Effect(answer=json_answer(200, acknowledgement(code, result=fault.result), code))


def _rate_limited(fault: Fault, _request: Request) -> Effect:
    answer = json_answer(429, b"")
    if fault.retry_after is not None:
        answer = replace(answer, headers={**answer.headers, "Retry-After": fault.retry_after})
    return _not_performed(answer)


def _poison(fault: Fault, request: Request) -> Effect:
    if fault.poison is PoisonAnswer.HANG:
        return Effect(applying=Applying.NEVER, delivery=Delivery.SILENT)
    return Effect(applying=Applying.NEVER, answer=_poison_answer(fault, request))


def _poison_answer(fault: Fault, request: Request) -> HubAnswer:
    push = request.push
    place = push.keys[evse_key(fault.evse_id)] if isinstance(push, Push) and fault.evse_id is not None else 0
    match fault.poison:
        case PoisonAnswer.CODE_018 | PoisonAnswer.CODE_022:
            return refused(fault.poison.value)
        case PoisonAnswer.INDEX_RIGHT:
            return json_answer(400, validation_errors([(record_reference(place), "must match the grammar")]))
        case PoisonAnswer.INDEX_WRONG:
            wrong = 1 if place == 0 else place - 1
            return json_answer(400, validation_errors([(record_reference(wrong), "must match the grammar")]))
        case PoisonAnswer.INDEX_ABSENT:
            return json_answer(400, validation_errors([]))
        case _:
            return _page(500, "Internal Server Error")


def _afterwards(fault: Fault, _request: Request) -> Effect:
    return Effect(afterwards=Afterwards(fault.evse_id, fault.status if fault.kind is FaultKind.OVERWRITE else None))


def _not_performed(answer: HubAnswer) -> Effect:
    return Effect(applying=Applying.NEVER, answer=answer)


KINDS: Final[Mapping[FaultKind, Callable[[Fault, Request], Effect]]] = {
    FaultKind.ANSWER_LOST: lambda _fault, _request: Effect(delivery=Delivery.CUT),
    FaultKind.NEVER_APPLIED: lambda _fault, _request: Effect(applying=Applying.NEVER, delivery=Delivery.SILENT),
    FaultKind.LATE_APPLY: _late_apply,
    FaultKind.DOUBLE_APPLY: lambda fault, _request: Effect(applying=Applying.TWICE, late_by=fault.delay),
    FaultKind.HTTP_STATUS: lambda fault, _request: Effect(answer=_page(fault.http_status, "simulated")),
    FaultKind.STATUS_CODE: lambda fault, _request: _not_performed(refused(fault.code or "009")),
    FaultKind.TRUNCATED: _truncated,
    FaultKind.HTML: lambda _fault, _request: Effect(answer=_page(200, "OK")),
    FaultKind.EMPTY: lambda _fault, _request: Effect(answer=json_answer(200, b"")),
    FaultKind.ENORMOUS: lambda fault, _request: Effect(delivery=Delivery.ENORMOUS, size=fault.size),
    FaultKind.GZIP_BOMB: _gzip_bomb,
    FaultKind.DRIP: lambda fault, _request: Effect(delivery=Delivery.DRIP, pace=fault.delay),
    FaultKind.CONTRADICTORY: _contradictory,
    FaultKind.DELAY: lambda fault, _request: Effect(answer_after=fault.delay),
    FaultKind.RATE_LIMITED: _rate_limited,
    FaultKind.POISON: _poison,
    FaultKind.REFUSE_EVERYTHING: lambda _fault, _request: _not_performed(refused("022")),
    FaultKind.FORGET: _afterwards,
    FaultKind.OVERWRITE: _afterwards,
    FaultKind.UNAUTHORIZED: lambda _fault, _request: _not_performed(json_answer(401, refusal("017"), "017")),
    FaultKind.HTML_403: lambda _fault, _request: _not_performed(_page(403, "Forbidden")),
    FaultKind.NOT_FOUND_300: lambda _fault, _request: _not_performed(json_answer(404, refusal("300"), "300")),
    FaultKind.CLOSE_IDLE: lambda fault, _request: Effect(close_after=fault.delay),
    FaultKind.CUT_MID_BODY: lambda _fault, _request: Effect(delivery=Delivery.CUT_MID_BODY),
}
"""What each kind does. `applied` of a fault overrides `applying`."""
