"""
Turns everything that goes wrong into `application/problem+json` (RFC 9457).

1. What came is shown only where it is no secret: never a header, never the body as a whole.
2. An error that nobody foresaw, or of the store, says nothing about itself but that it is in the log.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from oicp_adapter.api.problem_kinds import PROBLEMS
from oicp_adapter.domain.errors import (
    MalformedIdentifierError,
    Refusal,
    RequestRefusedError,
    StoreError,
    foreign_text,
)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 5
"""Seconds after which a client may ask a store again that did not answer."""

_SHOWN: Final = 60


_BY_STATUS: Final = {400: "malformed-request", 404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


def problem_response(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to a request that ended with an error."""
    match error:
        case RequestRefusedError():
            return _refused(request, error)
        case MalformedIdentifierError():
            return _problem(request, Refusal.INVALID, str(error))
        case StoreError():
            # What it says names files and servers, and may be answered to somebody who could not be asked for a token.
            headers = {"Retry-After": str(RETRY_AFTER)}
            detail = f"the store does not answer: try again in {RETRY_AFTER} s; the log of `serve` has more"
            return _problem(request, "store-unavailable", detail, headers=headers)
        case RequestValidationError():
            return _invalid(request, error)
        case HTTPException() if error.status_code in _BY_STATUS:
            name = _BY_STATUS[error.status_code]
            return _problem(request, name, _words(request, name, error), headers=error.headers)
        case _:
            return _problem(request, "internal-error", "an error that nobody foresaw: the log of `serve` has more")


def is_foreseen(error: Exception) -> bool:
    """Tell whether an error is part of the interface; any other belongs into the log."""
    known = isinstance(error, HTTPException) and error.status_code in _BY_STATUS
    foreseen = (RequestRefusedError, MalformedIdentifierError, StoreError, RequestValidationError)
    return known or isinstance(error, foreseen)


def _refused(request: Request, error: RequestRefusedError) -> JSONResponse:
    detail = str(error)
    errors = [{"field": error.field, "detail": detail}] if error.field is not None else []
    headers: dict[str, str] = {}
    if error.refusal is Refusal.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.refusal is Refusal.RATE_LIMITED:
        headers["Retry-After"] = str(error.facts.get("retryAfter", 1))
    return _problem(request, error.refusal, detail, errors=errors, headers=headers, facts=error.facts)


def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return _problem(request, "malformed-request", "the body is no JSON: send one JSON object in UTF-8")
    errors = [{"field": _field(each["loc"]), "detail": _what(each)} for each in found]
    told = "; ".join(f"{each['field']}: {each['detail']}" for each in errors[:3])
    return _problem(request, Refusal.INVALID, told, errors=errors)


def _problem(
    request: Request,
    name: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
) -> JSONResponse:
    kind = PROBLEMS[name]
    content: dict[str, Any] = {
        **(facts or {}),
        "type": kind.type,
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
        "instance": request.scope["path"],
        "errors": list(errors),
    }
    sent = dict(headers or {})
    return JSONResponse(_encodable(content), status_code=kind.status.value, headers=sent, media_type=MEDIA_TYPE)


def _words(request: Request, name: str, error: HTTPException) -> str:
    path = foreign_text(request.scope["path"], _SHOWN)
    match name:
        case "not-found":
            return f"there is no {path}: /openapi.json has all paths"
        case "method-not-allowed":
            allowed = (error.headers or {}).get("Allow", "others")
            return f"{path} does not know {foreign_text(request.method, _SHOWN)}: use {allowed}"
        case "malformed-request":
            return "the body cannot be read: send one JSON object in UTF-8"
        case _:
            return f"{error.detail}"


def _field(location: Sequence[object]) -> str:
    """Return the JSON name of a field or the name of a parameter; of the body as a whole `body`."""
    parts = [foreign_text(part, _SHOWN) for part in location[1:]]
    return ".".join(parts) or str(location[0])


def _what(found: Mapping[str, Any]) -> str:
    """Return what is wrong with a field, in words of ours where the library's do not say what to do."""
    match found["type"]:
        case "extra_forbidden":
            return "is not known: mind its spelling, or leave it out"
        case "missing":
            return "is missing"
        case "model_attributes_type" | "dict_type" | "model_type":
            return "is no JSON object: send one, with the header Content-Type: application/json"
        case "value_error":
            return str(found["ctx"]["error"])
        case _:
            words = str(found["msg"])
            return f"{words[:1].lower()}{words[1:]}"


def _encodable(value: Any) -> Any:
    """Replace what no UTF-8 can hold; it may come with a client's own text."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {_encodable(key): _encodable(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_encodable(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _encodable(str(value))
