"""Answers requests about EVSEs: how they stand, why, and where they are."""

from typing import Annotated, Final

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from oicp_adapter.api.answers import answer, array, page_answer, written
from oicp_adapter.api.guard import Caller, Calling
from oicp_adapter.api.models import (
    ChargeBoxOut,
    Clean,
    EvseIdInQuery,
    EvseIdText,
    EvseOut,
    ExplanationOut,
    LocationOut,
    Name,
    WireKind,
)
from oicp_adapter.control.chargers import LONGEST_ID, ChargerFilter, ChargerView, get_charger, list_chargers, locations
from oicp_adapter.control.evse_document import evse_document
from oicp_adapter.control.explanation import explain_evse, explain_removed
from oicp_adapter.control.listing import LONGEST_PAGE
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.statuses import Status
from oicp_adapter.store.evses import EvseState, removed_rows

PAGE: Final = 1000
"""EVSEs in one answer unless another number is asked for."""

MOST: Final = LONGEST_PAGE
LONGEST_CURSOR: Final = 2 * LONGEST_ID
"""Characters of a cursor, which holds an EvseID as it is spelled."""

EvsePath = Annotated[EvseIdText, Path(alias="evseId", description="In any spelling.", examples=["DE*ABC*E1234*1"])]


class EvseQuery(BaseModel):
    """Which EVSEs are wanted; all that is named must hold."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    evse_id: list[EvseIdInQuery] = Field([], description="These, in any spelling; may come several times.")
    search: Annotated[str, Clean] | None = Field(None, max_length=200, description="A part of the EvseID or place.")
    operator_id: Name | None = Field(None, description="Of this operator, in any spelling.")
    location: Name | None = Field(None, description="At this location.")
    charge_box: Name | None = Field(None, description="Of this charge box.")
    effective_status: Status | None = Field(None, description="With this effective status.")
    temporary_status: WireKind | None = Field(None, description="With this temporary status now.")
    state: EvseState | None = Field(None, description="So far is Hubject from the store.")
    limit: int = Field(PAGE, ge=1, le=MOST, description="At most so many in one answer.")
    after: Annotated[str, Clean] | None = Field(
        None, max_length=LONGEST_CURSOR, description="From the `Link` of a page before."
    )

    def filter(self) -> ChargerFilter:
        """Return what the service looks for."""
        return ChargerFilter(
            evse_ids=frozenset(self.evse_id),
            search=self.search,
            operator_id=self.operator_id,
            location=self.location,
            charge_box=self.charge_box,
            effective=self.effective_status,
            temporary=self.temporary_status.kind if self.temporary_status is not None else None,
            state=self.state,
        )


def list_evses(request: Request, call: Calling, query: Annotated[EvseQuery, Query()]) -> Response:
    """
    List EVSEs in the order of their EvseIDs: what the charger says, what is set, what is published and acknowledged.

    A page that is not the last has the header `Link` with `rel="next"`; it may have fewer than `limit`.
    """
    page = list_chargers(call.desk, call.actor, query.filter(), after=query.after, limit=query.limit)
    return page_answer(request, [_evse_out(view) for view in page.items], page.next)


def get_evse(call: Calling, evse_id: EvsePath) -> Response:
    """Return one EVSE."""
    return answer(written(_evse_out(_find(call, evse_id))))


def explain_one(call: Calling, evse_id: EvsePath) -> Response:
    """Say in sentences why an EVSE is shown as it is; times are UTC."""
    try:
        found = _find(call, evse_id).overview
    except RequestRefusedError as refused:
        # A row that says Removed is no EVSE any more, but there is something to say about it.
        rows = removed_rows(call.desk.store, list(call.desk.lanes.values()), [evse_id])
        if refused.refusal is not Refusal.NOT_FOUND or not rows or not call.actor.grant.covers(evse_id, None):
            raise
        sentences = [sentence for row in rows for sentence in explain_removed(row)]
        return answer(written(ExplanationOut(evse_id=rows[0].evse_id, sentences=sentences)))
    return answer(written(ExplanationOut(evse_id=found.evse_id, sentences=list(explain_evse(found)))))


def list_locations(call: Calling) -> Response:
    """List the locations with their charge boxes, and how many EVSEs each has."""
    found = [
        LocationOut(
            location=each.location,
            charge_boxes=[ChargeBoxOut(charge_box=box.charge_box, evses=box.evses) for box in each.charge_boxes],
            evses=each.evses,
        )
        for each in locations(call.desk, call.actor)
    ]
    return answer(array(found))


def _find(call: Caller, evse_id: str) -> ChargerView:
    try:
        return get_charger(call.desk, call.actor, evse_id)
    except RequestRefusedError as refused:
        if refused.refusal is not Refusal.UNKNOWN_EVSE:
            raise
        # Here it is what the path names, not what a request is about.
        raise RequestRefusedError(Refusal.NOT_FOUND, refused.what, cure="GET /v2/evses lists all") from refused


def _evse_out(view: ChargerView) -> EvseOut:
    document = evse_document(view.overview)
    return EvseOut.model_validate(
        {**document, "location": view.location, "chargeBox": view.charge_box, "timeZone": view.time_zone}
    )
