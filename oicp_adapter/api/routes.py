"""
Lists every route of the API: its scope, its answers and how it is described.

1. A route has exactly the scope that stands here; one that does not stand here cannot be made.
2. Literal paths stand before those with a parameter in the same place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from oicp_adapter.api import bulk, evses, references, windows
from oicp_adapter.api.answers import WINDOWS
from oicp_adapter.api.models import (
    AuditOut,
    BulkDone,
    EvseOut,
    ExplanationOut,
    LocationOut,
    PreviewOut,
    SensorOut,
    WindowOut,
)
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import Refusal

_ALWAYS: Final = (
    Refusal.UNAUTHENTICATED,
    Refusal.NOT_PERMITTED,
    "body-too-large",
    Refusal.INVALID,
    Refusal.RATE_LIMITED,
    "internal-error",
    "store-unavailable",
)
"""Problems that every route may answer with."""

_BODY: Final = ("malformed-request",)
_FOUND: Final = (Refusal.NOT_FOUND,)
_OPEN: Final = (Refusal.WINDOW_OVER, Refusal.START_PASSED)
_NAMES_EVSE: Final = (*_BODY, Refusal.UNKNOWN_EVSE)
_MATCHED: Final = (Refusal.CHANGED_MEANWHILE,)
_MADE: Final = ("Location", "ETag")
_TAGGED: Final = ("ETag",)
_ONCE: Final = ("Idempotent-Replayed",)
_PAGED: Final = ("Link",)


class _ReferenceConvertor(Convertor[str]):
    """A reference as it stands in a path: with slashes, and with whatever else is to be refused in words."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("reference", _ReferenceConvertor())


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """
    One route.

    Attributes:
        answers: What it answers with when all is well, by status; None: nothing.
        problems: Names of the problems that it may answer with, beyond those of every route.
        headers: That its good answers may have.
    """

    method: str
    path: str
    scope: Scope
    endpoint: Callable[..., Response]
    summary: str
    tag: str
    answers: Mapping[int, Any]
    problems: Sequence[str] = ()
    headers: Sequence[str] = ()

    @property
    def documented_path(self) -> str:
        """Its path as the OpenAPI document has it; a reference may have slashes, as booking numbers do."""
        return self.path.replace(":reference}", "}")

    @property
    def all_problems(self) -> Sequence[str]:
        """Names of all problems that it may answer with."""
        return (*_ALWAYS, *self.problems)


_ONE: Final[Mapping[int, Any]] = {200: WindowOut}
_TEMPORARY: Final = "Temporary statuses"
_NAMED: Final = "By reference"
_EVSES: Final = "EVSEs"

ROUTES: Final = (
    RouteSpec(
        "POST",
        WINDOWS,
        Scope.SET,
        windows.set_one,
        "Set a temporary status",
        _TEMPORARY,
        {201: WindowOut},
        (*_NAMES_EVSE, Refusal.KEY_REUSED),
        headers=(*_MADE, *_ONCE),
    ),
    RouteSpec(
        "GET",
        WINDOWS,
        Scope.READ,
        windows.list_some,
        "List temporary statuses",
        _TEMPORARY,
        {200: list[WindowOut]},
        headers=_PAGED,
    ),
    RouteSpec(
        "POST",
        f"{WINDOWS}/bulk",
        Scope.SET,
        bulk.set_many,
        "Set a temporary status on many EVSEs",
        _TEMPORARY,
        {200: PreviewOut, 201: BulkDone},
        (*_NAMES_EVSE, Refusal.TOO_MANY, Refusal.KEY_REUSED),
        headers=_ONCE,
    ),
    RouteSpec(
        "PUT",
        f"{WINDOWS}/by-reference/{{reference:reference}}",
        Scope.SET,
        references.put_by_reference,
        "Set or change what stands under a reference",
        _NAMED,
        {200: WindowOut, 201: WindowOut},
        (*_NAMES_EVSE, Refusal.START_PASSED),
        headers=_MADE,
    ),
    RouteSpec(
        "GET",
        f"{WINDOWS}/by-reference/{{reference:reference}}",
        Scope.READ,
        references.get_by_reference,
        "Read what stands under a reference",
        _NAMED,
        {200: WindowOut, 304: None},
        _FOUND,
        headers=_TAGGED,
    ),
    RouteSpec(
        "DELETE",
        f"{WINDOWS}/by-reference/{{reference:reference}}",
        Scope.SET,
        references.delete_by_reference,
        "End what stands under a reference",
        _NAMED,
        {204: None},
        _FOUND,
    ),
    RouteSpec(
        "GET",
        f"{WINDOWS}/{{id}}",
        Scope.READ,
        windows.get_one,
        "Read a temporary status",
        _TEMPORARY,
        {200: WindowOut, 304: None},
        _FOUND,
        headers=_TAGGED,
    ),
    RouteSpec(
        "PATCH",
        f"{WINDOWS}/{{id}}",
        Scope.SET,
        windows.patch_one,
        "Change a temporary status",
        _TEMPORARY,
        _ONE,
        (*_NAMES_EVSE, *_FOUND, *_OPEN, *_MATCHED),
        headers=_TAGGED,
    ),
    RouteSpec(
        "DELETE",
        f"{WINDOWS}/{{id}}",
        Scope.SET,
        windows.delete_one,
        "End a temporary status",
        _TEMPORARY,
        {204: None},
        (*_FOUND, *_MATCHED),
    ),
    RouteSpec(
        "POST",
        f"{WINDOWS}/{{id}}/end",
        Scope.SET,
        windows.end_one,
        "End a temporary status and see it",
        _TEMPORARY,
        _ONE,
        (*_FOUND, *_MATCHED),
        headers=_TAGGED,
    ),
    RouteSpec(
        "POST",
        f"{WINDOWS}/{{id}}/extend",
        Scope.SET,
        windows.extend_one,
        "Move the end of a temporary status",
        _TEMPORARY,
        _ONE,
        (*_BODY, *_FOUND, Refusal.WINDOW_OVER, *_MATCHED),
        headers=_TAGGED,
    ),
    RouteSpec(
        "GET",
        f"{WINDOWS}/{{id}}/history",
        Scope.READ,
        windows.history_of_one,
        "Read who changed a temporary status",
        _TEMPORARY,
        {200: list[AuditOut]},
        _FOUND,
    ),
    RouteSpec(
        "PUT",
        "/v2/sensors/{reference:reference}",
        Scope.SET,
        references.put_sensor_state,
        "Report what a sensor sees",
        _NAMED,
        {200: SensorOut},
        _NAMES_EVSE,
    ),
    RouteSpec(
        "GET",
        "/v2/sensors/{reference:reference}",
        Scope.READ,
        references.get_sensor_state,
        "Read what a sensor reported",
        _NAMED,
        {200: SensorOut},
        _FOUND,
    ),
    RouteSpec(
        "GET", "/v2/evses", Scope.READ, evses.list_evses, "List EVSEs", _EVSES, {200: list[EvseOut]}, headers=_PAGED
    ),
    RouteSpec("GET", "/v2/evses/{evseId}", Scope.READ, evses.get_evse, "Read an EVSE", _EVSES, {200: EvseOut}, _FOUND),
    RouteSpec(
        "GET",
        "/v2/evses/{evseId}/explain",
        Scope.READ,
        evses.explain_one,
        "Explain an EVSE",
        _EVSES,
        {200: ExplanationOut},
        _FOUND,
    ),
    RouteSpec(
        "GET", "/v2/locations", Scope.READ, evses.list_locations, "List locations", _EVSES, {200: list[LocationOut]}
    ),
)
"""All of them, in the order in which they are tried."""

SCOPES: Final[Mapping[tuple[str, str], Scope]] = {(spec.method, spec.path): spec.scope for spec in ROUTES}
"""What each route demands, by its method and path."""
