"""Describes what the framework cannot know: the problems of each route, the headers of answers, the token."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from oicp_adapter.api.examples import ANSWERS
from oicp_adapter.api.models import ProblemOut
from oicp_adapter.api.problem_kinds import PROBLEMS
from oicp_adapter.api.problems import MEDIA_TYPE
from oicp_adapter.api.routes import ROUTES, RouteSpec

_DESCRIPTION: Final = """\
Sets temporary statuses of EVSEs (maintenance, commissioning, blocked, reserved), now or for a time to come, and tells
what drivers, roaming partners and Hubject are shown. Every time is an instant: it has an offset, or stands beside
`timeZone`. Every error is a problem of RFC 9457, whose `detail` says what is wrong and what to do about it."""

_PROBLEM: Final = {"$ref": "#/components/schemas/ProblemOut"}
_SCHEME: Final = "token"

_RATE_HEADERS: Final = {
    "X-RateLimit-Limit": "Requests of this token within any sixty seconds.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "Seconds until one more is free.",
}
_COUNT: Final = {"type": "integer", "minimum": 0}
_HEADERS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    **{name: (description, _COUNT) for name, description in _RATE_HEADERS.items()},
    "ETag": ("Another one after each change; for `If-Match` and `If-None-Match`.", {"type": "string"}),
    "Location": ("Where the new temporary status is.", {"type": "string"}),
    "Link": ('With `rel="next"` the next page; absent on the last one.', {"type": "string"}),
    "Idempotent-Replayed": ("`true`: the answer of the first time, nothing was done again.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", _COUNT),
    "WWW-Authenticate": ("`Bearer`.", {"type": "string"}),
}
_OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_MEANINGS: Final[Mapping[int, str]] = {
    200: "Done.",
    201: "Set.",
    204: "Ended, or over already.",
    304: "Still the one that the client has.",
}


def described(app: FastAPI, *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document = get_openapi(
        title="oicp-adapter control API", version=version, description=_DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = ProblemOut.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemOut"] = problem
    for name, example in ANSWERS.items():
        schemas[name]["examples"] = [example]  # here, for the framework leaves out what is null
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["headers"] = {
        name: {"description": description, "schema": schema} for name, (description, schema) in _HEADERS.items()
    }
    components["securitySchemes"] = {
        _SCHEME: {"type": "http", "scheme": "bearer", "description": "A token of `oicp-adapter token create`."}
    }
    document["security"] = [{_SCHEME: []}]
    document["servers"] = [{"url": "/"}]
    for spec in ROUTES:
        _complete(document["paths"][spec.documented_path][spec.method.lower()], spec)
    return document


def _complete(operation: dict[str, Any], spec: RouteSpec) -> None:
    responses = operation["responses"]
    for status in spec.answers:
        response = responses[str(status)]
        response["description"] = _MEANINGS[status]
    responses.pop("422", None)
    for status in sorted({PROBLEMS[name].status.value for name in spec.all_problems}):
        responses[str(status)] = _problem_response(status, spec)
    for status, response in responses.items():
        own = spec.headers if int(status) in spec.answers else _OF_STATUS.get(int(status), ())
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in (*_RATE_HEADERS, *own)}
    operation["x-scope"] = spec.scope.value


def _problem_response(status: int, spec: RouteSpec) -> dict[str, Any]:
    kinds = [PROBLEMS[name] for name in spec.all_problems if PROBLEMS[name].status.value == status]
    examples = {
        kind.name: {
            "summary": kind.title,
            "value": {
                "type": kind.type,
                "title": kind.title,
                "status": status,
                "detail": kind.meaning,
                "instance": spec.documented_path,
                "errors": [],
            },
        }
        for kind in kinds
    }
    return {
        "description": " ".join(f"{kind.title}: {kind.meaning}" for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": _PROBLEM, "examples": examples}},
    }
