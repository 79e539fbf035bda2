"""Shows where EVSEs stand, why, and what would be sent now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json_array, print_table
from oicp_adapter.control.dry_run import planned_requests
from oicp_adapter.control.evse_document import evse_document
from oicp_adapter.control.explanation import explain_evse
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import configured_store, lane_scopes
from oicp_adapter.store.engine import Store
from oicp_adapter.store.evses import EvseOverview, evse_overviews

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_COLUMNS = ("EVSE", "charger says", "temporary", "published", "acknowledged", "at", "state", "reason")


@dataclass(frozen=True, slots=True)
class _View:
    settings: Settings
    store: Store

    def evses(self, evse_ids: list[str] | None) -> Iterator[EvseOverview]:
        return evse_overviews(self.store, lane_scopes(self.settings), self.settings.status_mapping(), evse_ids)


def status(
    context: typer.Context,
    evse_id: Annotated[list[str] | None, typer.Argument(metavar="[EVSE_ID…]", help="None: all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what each EVSE says, is set to, publishes, and what the hub acknowledged; times are UTC."""
    settings = invocation(context).settings()
    with configured_store(settings) as store:
        seen = _naming_absent(_View(settings, store).evses(evse_id or None), evse_id or [])
        if as_json:
            print_json_array(evse_document(each) for each in seen)
            return
        print_table(_COLUMNS, (_row(each) for each in seen))


def explain(
    context: typer.Context, evse_id: Annotated[str, typer.Argument(metavar="EVSE_ID", help="In any spelling.")]
) -> None:
    """Say in sentences why an EVSE is shown as it is; times are UTC."""
    settings = invocation(context).settings()
    with configured_store(settings) as store:
        seen = list(_View(settings, store).evses([evse_id]))
        if not seen:
            raise typer.BadParameter(
                f"no EVSE {foreign_text(evse_id, 60)} is in the store: `oicp-adapter status` lists all"
            )
        for each in seen:
            for sentence in explain_evse(each):
                typer.echo(sentence)


def plan(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the requests that would be sent now, with the reason for each record; sends nothing."""
    settings = invocation(context).settings()
    rows: list[tuple[object, ...]] = []
    with configured_store(settings) as store:
        for operator, scope in zip(settings.operators, lane_scopes(settings), strict=True):
            requests = planned_requests(store, scope, settings.status_mapping(), settings.policy())
            for number, request in enumerate(requests, start=1):
                note(f"{operator.id}: request {number} is {request.action} with {request.size} records")
                rows += [
                    (operator.id, number, request.action, each.record.evse_id, each.record.status, each.reason)
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


def _naming_absent(seen: Iterable[EvseOverview], wanted: Sequence[str]) -> Iterator[EvseOverview]:
    """Pass on what was found, then say which of the wanted EVSEs were not."""
    found: set[str] = set()
    for each in seen:
        found.add(evse_key(each.evse_id))
        yield each
    for absent in (each for each in wanted if evse_key(each) not in found):
        note(f"no EVSE {foreign_text(absent, 60)} is in the store: `oicp-adapter status` lists all")


def _row(seen: EvseOverview) -> tuple[object, ...]:
    document = evse_document(seen)
    return foreign_text(seen.evse_id, 60), *(
        document[name]
        for name in (
            "technicalStatus",
            "temporaryStatus",
            "oicpStatus",
            "acknowledgedStatus",
            "acknowledgedAt",
            "state",
            "reason",
        )
    )
