"""Shows where EVSEs stand, why, and what would be sent now."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json_array, print_table
from oicp_adapter.control.dry_run import planned_requests
from oicp_adapter.control.evse_document import evse_document
from oicp_adapter.control.explanation import explain_evse, explain_lane, explain_removed
from oicp_adapter.control.lanes import configured_lanes
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import configured_store, lane_scopes
from oicp_adapter.store.engine import Store
from oicp_adapter.store.evses import EvseOverview, RemovedRow, evse_overviews, removed_rows
from oicp_adapter.store.position import lane_position
from oicp_adapter.sync.model import Action

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN = {
    "EVSE": "evseId",
    "charger says": "technicalStatus",
    "since": "changedAt",
    "temporary": "temporaryStatus",
    "effective": "effectiveStatus",
    "OICP": "oicpStatus",
    "acknowledged": "acknowledgedStatus",
    "acknowledged at": "acknowledgedAt",
    "state": "state",
    "reason": "reason",
}
"""The headings of the table, and which field of the document stands below each."""

_WORD_WIDTH = 60
"""Characters of an identifier or a word of somebody else's that the table shows."""


@dataclass(frozen=True, slots=True)
class _View:
    settings: Settings
    store: Store

    def evses(self, evse_ids: Collection[str] | None) -> Iterator[EvseOverview]:
        return evse_overviews(self.store, lane_scopes(self.settings), self.settings.status_mapping(), evse_ids)

    def removed(self, evse_id: str) -> Sequence[RemovedRow]:
        return removed_rows(self.store, lane_scopes(self.settings), [evse_id])


def status(
    context: typer.Context,
    evse_id: Annotated[list[str] | None, typer.Argument(metavar="[EVSE_ID…]", help="None: all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """
    Show who leads each lane and what it waits for, and of each EVSE what it says, what is published and acknowledged.

    Times are UTC.
    """
    settings = invocation(context).settings()
    with configured_store(settings) as store:
        seen = _naming_absent(_View(settings, store), evse_id or [])
        for each in settings.operators:
            note(f"lane {each.id}: {explain_lane(*lane_position(store, each.canonical))}")
        if as_json:
            print_json_array(evse_document(each) for each in seen)
            return
        print_table(tuple(_SHOWN), (_row(each) for each in seen))


def explain(
    context: typer.Context, evse_id: Annotated[str, typer.Argument(metavar="EVSE_ID", help="In any spelling.")]
) -> None:
    """Say in sentences why an EVSE is shown as it is; times are UTC."""
    settings = invocation(context).settings()
    with configured_store(settings) as store:
        view = _View(settings, store)
        sentences = [sentence for each in view.evses([evse_id]) for sentence in explain_evse(each)]
        if not sentences:
            sentences = [sentence for row in view.removed(evse_id) for sentence in explain_removed(row)]
        if not sentences:
            raise typer.BadParameter(_not_there(evse_id))
        for sentence in sentences:
            typer.echo(sentence)


def plan(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the requests that would be sent now, with the reason for each record; sends nothing."""
    settings = invocation(context).settings()
    lanes = configured_lanes(settings)
    rows: list[tuple[object, ...]] = []
    with configured_store(settings) as store:
        for operator, scope in lanes.items():
            requests = planned_requests(store, scope, settings.status_mapping(), settings.policy())
            for number, request in enumerate(requests, start=1):
                replaces = "; they replace all that the hub holds" if request.action is Action.FULL_LOAD else ""
                note(f"{operator}: request {number} is {request.action} with {request.size} records{replaces}")
                rows += [
                    (operator, number, request.action, each.record.evse_id, each.record.status, each.reason)
                    for each in request.work
                ]
    columns = ("operator", "request", "action", "evseId", "evseStatus", "reason")
    if as_json:
        print_json_array(dict(zip(columns, row, strict=True)) for row in rows)
        return
    if not rows:
        note("nothing is to be sent")
        return
    print_table(columns, rows)


def _naming_absent(view: _View, wanted: Sequence[str]) -> Iterator[EvseOverview]:
    """Pass on what is found, then say which of the wanted EVSEs are not."""
    found: set[str] = set()
    for each in view.evses(wanted or None):
        found.add(evse_key(each.evse_id))
        yield each
    for absent in (each for each in wanted if evse_key(each) not in found):
        removed = [sentence for row in view.removed(absent) for sentence in explain_removed(row)]
        note(" ".join(removed) or _not_there(absent))


def _not_there(evse_id: str) -> str:
    return f"no EVSE {foreign_text(evse_id, _WORD_WIDTH)} is in the store: `oicp-adapter status` lists all"


def _row(seen: EvseOverview) -> tuple[object, ...]:
    document = evse_document(seen)
    # The words are cut from the store's own text, not from the document's, which may be cut already.
    foreign = {"evseId": seen.evse_id, "technicalStatus": seen.technical}
    return tuple(
        foreign_text(foreign[name], _WORD_WIDTH) if foreign.get(name) is not None else document[name]
        for name in _SHOWN.values()
    )
