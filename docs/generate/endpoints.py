"""Documents every HTTP endpoint: those of the daemon, of the control API and of the operator page."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, cast

from starlette.routing import BaseRoute, Route

from docs.generate import markdown
from docs.generate.markdown import code, described, table
from oicp_adapter.api.app import DOCUMENT, api_app
from oicp_adapter.api.probes import probe_routes
from oicp_adapter.api.routes import ROUTES
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.monitoring import monitoring_app
from oicp_adapter.page.assets import show_asset
from oicp_adapter.page.router import OPEN, SIGNED_IN, STREAMS
from oicp_adapter.store.engine import Store

_INTRO: Final = """\
`run` listens on `monitoring.host` and `monitoring.port`, `serve` on `control.host` and `control.port`
([settings](settings.md)). Nothing else listens."""
_MONITORING: Final = "Of `run`; without a token, and none of them asks the hub anything."
_PROBES: Final = "Of `serve`; without a token, and neither asks the hub anything."
_API: Final = f"""\
Of `serve`; how to use it stands in [`docs/api.md`](../api.md), and for programs at `{DOCUMENT}`, open without a token.
All others want the header `Authorization: Bearer TOKEN` of a token with the scope. Errors are
[problems](reasons.md#problems-of-the-api)."""
_PAGE: Final = """\
Of `serve`, for browsers; people know it from [`docs/operators.md`](../operators.md). Its addresses may change with any
version: programs use the API."""


def page() -> str:
    """Return the whole page."""
    blocks = [_INTRO, "## Monitoring", _MONITORING, table(["method", "path", "what it does"], monitoring())]
    blocks += ["## Health of `serve`", _PROBES, table(["method", "path", "what it does"], probes())]
    blocks += ["## Control API", _API]
    document = _document()
    for spec in ROUTES:
        blocks += _operation(spec.method, spec.documented_path, document)
    blocks += ["## Operator page", _PAGE, table(["method", "path", "who", "what it does"], _page_rows())]
    return markdown.page("Endpoints", *blocks)


def monitoring() -> Iterator[list[str]]:
    """Return the rows of the daemon's endpoints."""
    return _simple(monitoring_app(Metrics([]), not_alive=lambda: None, not_ready=lambda: None).routes)


def probes() -> Iterator[list[str]]:
    """Return the rows of the control server's probes; none is asked, so no store is needed."""
    return _simple(probe_routes(cast("Store", None)))


def _simple(served: Iterable[BaseRoute]) -> Iterator[list[str]]:
    for route in served:
        assert isinstance(route, Route)  # noqa: S101 - nothing else is there
        yield ["GET", code(route.path), described(f"endpoint {route.path}", route.endpoint.__doc__)]


def routes() -> str:
    """Return the table of the API's routes for `docs/api.md`."""
    document = _document()
    rows = []
    for spec in ROUTES:
        operation = document["paths"][spec.documented_path][spec.method.lower()]
        title = f"{spec.method} {spec.documented_path}"
        link = f"[`{spec.documented_path}`](reference/endpoints.md#{markdown.anchor(title)})"
        what = described(f"route {title}", operation.get("description")).split("\n")[0]
        rows.append([spec.method, link, spec.scope.value, f"{what} {_answers(operation)}"])
    return table(["method", "path", "scope", "what it does"], rows)


@cache
def _document() -> Mapping[str, Any]:
    """Return the OpenAPI document; no request is answered, so no store is needed."""
    return api_app(cast("Desk", None), RateLimits()).openapi()


def _operation(method: str, path: str, document: Mapping[str, Any]) -> Iterator[str]:
    operation = document["paths"][path][method.lower()]
    yield f"### `{method} {path}`"
    yield f"{described(f'route {method} {path}', operation.get('description'))} Scope: `{operation['x-scope']}`."
    fields = [*_parameters(operation, document), *_body(operation, document)]
    if fields:
        yield table(["name", "in", "meaning"], fields)
    rows = [[f"{status}", _answer(path, status, response)] for status, response in operation["responses"].items()]
    yield table(["answer", "meaning"], rows)


def _answer(path: str, status: str, response: Mapping[str, Any]) -> str:
    examples = response.get("content", {}).get("application/problem+json", {}).get("examples")
    if examples:
        return ", ".join(f"[`{name}`](reasons.md#problems-of-the-api)" for name in examples)
    return described(f"answer {status} of {path}", response["description"])


def _answers(operation: Mapping[str, Any]) -> str:
    good = [status for status in operation["responses"] if status < "400"]
    return f"Answers {', '.join(good)}."


def _parameters(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[list[str]]:
    for given in operation.get("parameters", ()):
        parameter = _resolved(given, document)
        name = f"`{parameter['name']}`{'' if parameter.get('required') else ' (optional)'}"
        yield [name, parameter["in"], described(f"parameter {parameter['name']}", parameter.get("description"))]


def _body(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[list[str]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    schema = _resolved(content["schema"], document)
    for name, field in schema["properties"].items():
        text = field.get("description") or _resolved(field, document).get("description")
        shown = f"`{name}`{'' if name in schema.get('required', ()) else ' (optional)'}"
        yield [shown, "body", described(f"field {name} of {schema['title']}", text)]


def _resolved(thing: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in thing:
        inner = next((each for each in thing.get("anyOf", ()) if "$ref" in each), None)
        return thing if inner is None else {**_resolved(inner, document), **thing}
    found: Any = document
    for part in thing["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{name: value for name, value in thing.items() if name != "$ref"}}


def _page_rows() -> Iterator[list[str]]:
    for who, views in (("anybody", OPEN), ("signed in", SIGNED_IN)):
        for method, path, view in views:
            yield [method, code(path), who, described(f"page {method} {path}", view.__doc__)]
    for path, begin in STREAMS:
        yield ["GET", code(path), "signed in", f"{described(f'stream {path}', begin().__doc__)} Server-sent events."]
    yield ["GET", code("/static/{name}"), "anybody", described("/static", show_asset.__doc__)]
