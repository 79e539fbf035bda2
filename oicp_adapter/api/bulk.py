"""Answers requests that set one temporary status on many EVSEs, or ask what that would do."""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from oicp_adapter.api.answers import answer, done_answer, once, window_out, written
from oicp_adapter.api.guard import Calling
from oicp_adapter.api.models import (
    BulkDone,
    BulkRequest,
    EvsePreviewOut,
    OverlapOut,
    PreviewOut,
    SeenOut,
    WireKind,
)
from oicp_adapter.api.windows import IdempotencyKey, window_request
from oicp_adapter.control.bulk import Selection, WindowTemplate, set_windows
from oicp_adapter.control.preview import EvsePreview, Overlap, Preview, Seen, preview


def set_many(request: Request, call: Calling, body: BulkRequest, key: IdempotencyKey = None) -> Response:
    """
    Set one temporary status on many EVSEs: on all of them, or on none.

    With `dryRun` nothing is changed, and the answer is the preview: how many and which, what is seen of them now,
    during and after, what is set there already and which of both wins, and warnings.
    """
    selection = Selection(
        evse_ids=tuple(body.select.evse_ids or ()),
        location=body.select.location,
        charge_box=body.select.charge_box,
        pattern=body.select.pattern,
    )
    wanted = window_request(body, evse_id="", reference=body.reference)
    template = WindowTemplate(
        kind=wanted.kind,
        valid_from=wanted.valid_from,
        valid_to=wanted.valid_to,
        time_zone=wanted.time_zone,
        reason=wanted.reason,
        reference=wanted.reference,
    )
    if body.dry_run:
        return answer(written(_preview_out(preview(call.desk, call.actor, selection, template))))
    done = set_windows(call.desk, call.actor, selection, template, once=once(request, key, body, _render))
    return done_answer(done, _render)


def _render(views: Any) -> str:
    windows = [window_out(view) for view in views]
    return written(BulkDone(count=len(windows), windows=windows))


def _preview_out(seen: Preview) -> PreviewOut:
    return PreviewOut(
        count=len(seen.evses),
        valid_from=seen.valid_from,
        valid_to=seen.valid_to,
        evses=[_evse_out(each) for each in seen.evses],
        unknown=list(seen.unknown),
        warnings=list(seen.warnings),
    )


def _evse_out(seen: EvsePreview) -> EvsePreviewOut:
    return EvsePreviewOut(
        evse_id=seen.place.evse_id,
        location=seen.place.location,
        charge_box=seen.place.charge_box,
        now=_seen_out(seen.now),
        during=_seen_out(seen.during),
        after=_seen_out(seen.after) if seen.after is not None else None,
        overlaps=[_overlap_out(each) for each in seen.overlaps],
        warnings=list(seen.warnings),
    )


def _seen_out(seen: Seen) -> SeenOut:
    return SeenOut(
        effective_status=seen.effective, oicp_status=seen.oicp, ocpi_status=seen.ocpi, driver_status=seen.driver
    )


def _overlap_out(overlap: Overlap) -> OverlapOut:
    window = overlap.window
    return OverlapOut(
        id=window.id,
        temporary_status=WireKind(window.kind.upper()),
        valid_from=window.valid_from,
        valid_to=window.end,
        wins=overlap.wins,
    )
