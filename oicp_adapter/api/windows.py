"""Answers requests about temporary statuses, one at a time."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Header, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from oicp_adapter.api.answers import (
    WINDOWS,
    answer,
    array,
    if_match,
    matches,
    once,
    page_answer,
    window_answer,
    window_out,
    written,
)
from oicp_adapter.api.guard import Caller, Calling
from oicp_adapter.api.models import (
    AuditOut,
    Clean,
    EvseIdInQuery,
    Extension,
    Name,
    NewWindow,
    Reference,
    WindowPatch,
    WireKind,
)
from oicp_adapter.api.times import known_zone, wire_duration, wire_instant
from oicp_adapter.control.listing import LONGEST_PAGE, list_windows
from oicp_adapter.control.window_model import WindowChanges, WindowRequest, WindowView
from oicp_adapter.control.windows import change_window, end_windows, extend_windows, get_window, history, set_window
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.store.audit import AuditEntry
from oicp_adapter.store.windows import WindowFilter, WindowState

PAGE: Final = LONGEST_PAGE
"""Temporary statuses in one answer unless fewer are asked for; more than a fleet has at once, for clients of old."""

_TIMES: Final = ("validFrom", "validTo", "endedAt")


def _digits(text: object) -> object:
    """Let nothing be a number that only Python reads as one, as 1_0."""
    if isinstance(text, str) and not (text.isascii() and text.removeprefix("-").isdigit()):
        raise ValueError("it is no number of a temporary status")
    return text


WindowId = Annotated[
    int, BeforeValidator(_digits), Path(alias="id", description="As `id` of the answer that set it.", examples=[17])
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="`ETag` that it must still have, else 412.", examples=['"9f2c"']),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="`ETag` that the client has; the same one: 304.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Chosen by the client; a request that comes again with it within 24 h gets the first answer.",
        examples=["6f1c1f0e-7a54-4a8f-9a57-3c4f1f3d2b11"],
    ),
]


class WindowQuery(BaseModel):
    """Which temporary statuses are wanted; all that is named must hold."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    evse_id: list[EvseIdInQuery] = Field([], description="Of these EVSEs, in any spelling; may come several times.")
    active_only: bool = Field(True, description="Only those that apply now.")  # noqa: FBT003 - a default
    state: list[WindowState] = Field([], description="In these states; `activeOnly` does not matter then.")
    temporary_status: list[WireKind] = Field([], description="Of these kinds.")
    reference: Reference | None = Field(None, description="With exactly this reference.")
    location: Name | None = Field(None, description="Of EVSEs at this location.")
    search: Annotated[str, Clean] | None = Field(
        None, max_length=200, description="A part of the EvseID, the reason, the reference or the author."
    )
    limit: int = Field(PAGE, ge=1, le=PAGE, description="At most so many in one answer.")
    after: Annotated[str, Clean] | None = Field(None, max_length=500, description="From the `Link` of a page before.")

    def filter(self) -> WindowFilter:
        """Return what the service looks for."""
        states = frozenset(self.state) or (frozenset({WindowState.ACTIVE}) if self.active_only else frozenset())
        return WindowFilter(
            states=states,
            evse_ids=frozenset(self.evse_id),
            kinds=frozenset(each.kind for each in self.temporary_status),
            reference=self.reference,
            search=self.search,
            location=self.location,
        )


def set_one(request: Request, call: Calling, body: NewWindow, key: IdempotencyKey = None) -> Response:
    """
    Set a temporary status on one EVSE, from now or a time, to a time or until it is ended.

    Several may apply at once; Maintenance wins, then Commissioning, then Blocked, then Reserved.
    """
    wanted = window_request(body, evse_id=body.evse_id, reference=body.reference)
    done = set_window(call.desk, call.actor, wanted, once=once(request, key, body, _render))
    if done.value is not None:
        return window_answer(done.value, status=201)
    told = str(done.rendered)
    made = NewlyMade.model_validate_json(told)
    return answer(told, status=201, headers={"Location": f"{WINDOWS}/{made.id}", "Idempotent-Replayed": "true"})


def list_some(request: Request, call: Calling, query: Annotated[WindowQuery, Query()]) -> Response:
    """
    List temporary statuses in the order in which they were set, those that apply now unless asked for others.

    A page that is not the last has the header `Link` with `rel="next"`.
    """
    page = list_windows(call.desk, call.actor, query.filter(), after=query.after, limit=query.limit)
    return page_answer(request, [window_out(view) for view in page.items], page.next)


def get_one(call: Calling, key: WindowId, if_none_match: IfNoneMatch = None) -> Response:
    """Return one temporary status, also one that is over."""
    return unless_known(get_window(call.desk, call.actor, key), if_none_match)


def patch_one(call: Calling, key: WindowId, body: WindowPatch, match: IfMatch = None) -> Response:
    """
    Change a temporary status.

    What is over never changes; a start that has passed does not move; all else may, and the history keeps what was.
    """
    expected = _expected(call, key, match)
    return window_answer(change_window(call.desk, call.actor, key, _changes(body), if_match=expected))


def delete_one(call: Calling, key: WindowId, match: IfMatch = None) -> Response:
    """End a temporary status now; one that is over stays as it is. It can still be read, and its history."""
    end_windows(call.desk, call.actor, [key], if_match=_expected(call, key, match))
    return Response(status_code=204)


def end_one(call: Calling, key: WindowId, match: IfMatch = None) -> Response:
    """End a temporary status now, and return it; one that is over stays as it is."""
    (view,) = end_windows(call.desk, call.actor, [key], if_match=_expected(call, key, match))
    return window_answer(view)


def extend_one(call: Calling, key: WindowId, body: Extension, match: IfMatch = None) -> Response:
    """Move the end of a temporary status, by a duration or to a time."""
    if (body.by is None) == (body.valid_to is None):
        raise RequestRefusedError(
            Refusal.INVALID,
            "an extension names either a duration or a time",
            cure='send {"by": "PT1H"}, or {"validTo": "2026-12-03T14:00:00+01:00"}',
            field="by",
        )
    by = wire_duration(body.by, field="by") if body.by is not None else None
    to = wire_instant(body.valid_to, body.time_zone, field="validTo") if body.valid_to is not None else None
    expected = _expected(call, key, match)
    (view,) = extend_windows(
        call.desk, call.actor, [key], by=by, to=to, time_zone=body.time_zone if by is None else None, if_match=expected
    )
    return window_answer(view)


def history_of_one(call: Calling, key: WindowId) -> Response:
    """Return who changed a temporary status, when, and what was before; the oldest change first."""
    return answer(array([_audit_out(entry) for entry in history(call.desk, call.actor, key)]))


def window_request(body: Any, *, evse_id: str, reference: str | None) -> WindowRequest:
    """
    Return what the service is to set.

    Args:
        body: Any of the bodies that set a temporary status.

    Raises:
        RequestRefusedError: INVALID: a time or the zone is wrong.
    """
    zone = known_zone(body.time_zone) if body.time_zone is not None else None
    return WindowRequest(
        evse_id=evse_id,
        kind=body.temporary_status.kind,
        valid_from=wire_instant(body.valid_from, zone, field="validFrom") if body.valid_from is not None else None,
        valid_to=wire_instant(body.valid_to, zone, field="validTo") if body.valid_to is not None else None,
        time_zone=zone,
        reason=body.reason,
        reference=reference,
    )


def unless_known(view: WindowView, if_none_match: str | None) -> Response:
    """Return a temporary status, or that it is still the one that the client has."""
    if matches(if_none_match, view.etag):
        return Response(status_code=304, headers={"ETag": f'"{view.etag}"'})
    return window_answer(view)


class NewlyMade(BaseModel):
    """What is read of an answer that was given before."""

    id: int


def _render(view: Any) -> str:
    return written(window_out(view))


def _expected(call: Caller, key: int, match: str | None) -> str | None:
    """Return the entity tag to be held against; of several the one that holds."""
    several = match is not None and "," in match
    return if_match(match, get_window(call.desk, call.actor, key).etag if several else None)


def _changes(body: WindowPatch) -> WindowChanges:
    sent = body.model_fields_set
    changes: WindowChanges = {}
    zone = body.time_zone
    if "evse_id" in sent:
        changes["evse_id"] = body.evse_id
    if "temporary_status" in sent:
        changes["kind"] = body.temporary_status.kind
    if "valid_from" in sent:
        changes["valid_from"] = wire_instant(body.valid_from, zone, field="validFrom")
    if "valid_to" in sent:
        to = body.valid_to
        changes["valid_to"] = wire_instant(to, zone, field="validTo") if to is not None else None
    if "time_zone" in sent:
        changes["time_zone"] = known_zone(zone) if zone is not None else None
    if "reason" in sent:
        changes["reason"] = body.reason
    if "reference" in sent:
        changes["reference"] = body.reference
    return changes


def _audit_out(entry: AuditEntry) -> AuditOut:
    return AuditOut(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        token_id=entry.token_id,
        action=entry.action,
        before=_fields(entry.before),
        after=_fields(entry.after),
    )


def _fields(kept: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what the audit keeps, its times written like all others."""
    if kept is None:
        return None
    times = {name: kept[name].replace("+00:00", "Z") for name in _TIMES if isinstance(kept.get(name), str)}
    return {**kept, **times}
