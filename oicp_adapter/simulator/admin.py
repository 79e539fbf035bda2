"""
Serves the admin endpoint: faults, journal, state and settings of a running simulator, as JSON over plain HTTP.

    GET, POST, DELETE /faults    list; inject one (`Fault`), answers its id; remove all, or `/faults/{id}`
    GET  /journal                counters and requests, `?since=` number, `?limit=` newest
    GET  /state                  what is held, `?operator=`
    POST /state                  {"operator", "evse_id"?, "status"?}: overwrite, or without status forget (one or all)
    PUT  /settings               any of `Settings`; answers what holds now
    POST /reset                  everything as at the start
    GET  /healthz
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.simulator.exchange import HubApp
from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.hub import HubOptions

_DEFAULT_LIMIT: Final = 1000
"""Journal entries in one answer unless asked otherwise."""


class Settings(BaseModel):
    """
    What can be changed while the simulator runs; what is absent stays.

    Attributes:
        delay: Seconds from the end of a push to its answer.
    """

    model_config = ConfigDict(extra="forbid")

    strict: bool = True
    explain_refusals: bool = False
    refuse_unknown_deletes: bool = False
    rate_limit: Annotated[int, Field(ge=0)] = 2000
    retry_after: str | None = None
    max_body: Annotated[int, Field(ge=0)] | None = None
    delay: Annotated[timedelta, Field(ge=timedelta())] = timedelta()


class StateChange(BaseModel):
    """
    A silent change of what the hub holds.

    Attributes:
        evse_id: None: all of the operator.
        status: None: forget.
    """

    model_config = ConfigDict(extra="forbid")

    operator: str
    evse_id: str | None = None
    status: OicpStatus | None = None


_FAULTS: Final = TypeAdapter(Fault | list[Fault])


def admin_app(app: HubApp, options: HubOptions, delay: timedelta) -> Starlette:
    """Return the admin endpoint of *app*; *options* and *delay* are what a reset returns to."""
    routes = _Routes(app, options, delay)
    return Starlette(
        routes=[
            Route("/faults", routes.faults, methods=["GET", "POST", "DELETE"]),
            Route("/faults/{number:int}", routes.remove_fault, methods=["DELETE"]),
            Route("/journal", routes.journal),
            Route("/state", routes.state, methods=["GET", "POST"]),
            Route("/settings", routes.settings, methods=["GET", "PUT"]),
            Route("/reset", routes.reset, methods=["POST"]),
            Route("/healthz", routes.healthz),
        ],
        exception_handlers={ValidationError: _unprocessable, ValueError: _unprocessable},
    )


class _Routes:
    def __init__(self, app: HubApp, options: HubOptions, delay: timedelta) -> None:
        self._app = app
        self._options = options
        self._delay = delay

    async def faults(self, request: Request) -> Response:
        book = self._app.faults
        match request.method:
            case "POST":
                injected = _FAULTS.validate_json(await request.body())
                numbers = [book.add(fault) for fault in (injected if isinstance(injected, list) else [injected])]
                return _answer({"ids": numbers}, 201)
            case "DELETE":
                book.clear()
                return _answer({"faults": []})
            case _:
                return _answer({"faults": book.as_json()})

    async def remove_fault(self, request: Request) -> Response:
        removed = self._app.faults.remove(request.path_params["number"])
        return _answer({"removed": removed}, 200 if removed else 404)

    async def journal(self, request: Request) -> Response:
        since = int(request.query_params.get("since", "0"))
        limit = int(request.query_params.get("limit", str(_DEFAULT_LIMIT)))
        if limit < 0:
            raise ValueError(f"limit = {limit} is no number of entries: expected 0 or more")
        hub = self._app.hub
        entries = [entry.as_json() for entry in hub.journal.entries if entry.number > since]
        peaks = {operator: hub.journal.peak_per_minute(operator_key(operator)) for operator in hub.operators()}
        return _answer(
            {
                "counters": dict(hub.journal.counters),
                "peak_per_minute": peaks,
                "overlaps": list(hub.journal.last_overlaps),
                "requests": entries[-limit:] if limit else [],
            }
        )

    async def state(self, request: Request) -> Response:
        hub, now = self._app.hub, datetime.now(UTC)
        hub.due(now)
        if request.method == "POST":
            change = StateChange.model_validate_json(await request.body())
            if change.status is None:
                hub.forget(change.operator, change.evse_id, now)
            elif change.evse_id is None:
                raise ValueError("a status needs evse_id")
            else:
                hub.overwrite(change.operator, change.evse_id, change.status, now)
        wanted = request.query_params.get("operator")
        operators = hub.operators() if wanted is None else [wanted]
        return _answer({"operators": {operator: _held(self._app, operator) for operator in operators}})

    async def settings(self, request: Request) -> Response:
        app = self._app
        if request.method == "PUT":
            wanted = Settings.model_validate_json(await request.body()).model_dump(exclude_unset=True)
            app.delay = wanted.pop("delay", app.delay)
            app.hub.options = replace(app.hub.options, **wanted)
        held = Settings(delay=app.delay, **{name: getattr(app.hub.options, name) for name in _OPTIONS})
        return _answer(held.model_dump() | {"delay": app.delay.total_seconds()})

    async def reset(self, _request: Request) -> Response:
        self._app.faults.clear()
        self._app.hub.reset(self._options)
        self._app.delay = self._delay
        return _answer({"reset": True})

    async def healthz(self, _request: Request) -> Response:
        return _answer({"status": "ok"})


_OPTIONS: Final = tuple(name for name in Settings.model_fields if name != "delay")


def _held(app: HubApp, operator: str) -> list[dict[str, object]]:
    held = app.hub.held(operator).values()
    return [{"evse_id": one.evse_id, "status": one.status, "changed_at": one.changed_at} for one in held]


def _answer(document: object, http_status: int = 200) -> Response:
    return Response(to_json(document), http_status, media_type="application/json")


async def _unprocessable(_request: Request, exc: Exception) -> Response:
    return _answer({"error": str(exc)}, 422)
