"""
Puts the API together: an ASGI application for every path below `ROOT`, and for its own description.

It stands beside the operator page and knows nothing of it; whoever puts both together asks `serves`.
"""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from oicp_adapter import __version__
from oicp_adapter.api.guard import Guard, guarded
from oicp_adapter.api.openapi import described
from oicp_adapter.api.problems import problem_response
from oicp_adapter.api.routes import ROUTES, SCOPES, RouteSpec
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.rates import RateLimits

DOCUMENT: Final = "/openapi.json"
ROOT: Final = "/v2"


def serves(path: str) -> bool:
    """Tell whether a path is the API's."""
    return path in {ROOT, DOCUMENT} or path.startswith(f"{ROOT}/")


def api_app(desk: Desk, limits: RateLimits) -> FastAPI:
    """
    Return the API.

    Args:
        limits: Shared with the operator page, so that attempts to sign in there and here count together.
    """
    app = FastAPI(
        title="oicp-adapter control API",
        version=__version__,
        openapi_url=DOCUMENT,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.route_class = guarded(Guard(desk, limits, SCOPES))
    for spec in ROUTES:
        _add(app, spec)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.openapi = _Remembered(app)  # type: ignore[method-assign]  # the framework's own way of describing more
    return app


class _Remembered:
    """The OpenAPI document, made when it is first asked for."""

    def __init__(self, app: FastAPI) -> None:
        self._make = partial(described, app, version=__version__)
        self._document: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any]:
        if self._document is None:
            self._document = self._make()
        return self._document


def _add(app: FastAPI, spec: RouteSpec) -> None:
    (status, model), *others = spec.answers.items()
    app.router.add_api_route(
        spec.path,
        spec.endpoint,
        methods=[spec.method],
        name=spec.endpoint.__name__,
        operation_id=spec.endpoint.__name__,
        summary=spec.summary,
        description=_prose(spec.endpoint.__doc__ or ""),
        tags=[spec.tag],
        status_code=status,
        response_model=model,
        responses={other: {"model": each} if each is not None else {} for other, each in others},
    )


def _prose(docstring: str) -> str:
    """Return a docstring without its indentation and line breaks within paragraphs."""
    paragraphs = docstring.strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in each.splitlines()) for each in paragraphs)


async def _answer_error(request: Request, error: Exception) -> Response:
    """Answer what no route does: paths and methods that are not known."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route of the path only.
        error.headers = {"Allow": ", ".join(_methods(request))}
    return problem_response(request, error)


def _methods(request: Request) -> Sequence[str]:
    known = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in known for method in route.methods})
