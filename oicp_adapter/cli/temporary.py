"""Lists, sets, ends and extends temporary statuses, through the service that the API and the operator page use."""

from collections.abc import Sequence
from typing import Annotated

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json_array, print_table
from oicp_adapter.cli.person import end_argument, kind_argument, opened_desk, person
from oicp_adapter.cli.times import parse_duration, parse_instant
from oicp_adapter.control.bulk import Selection, WindowTemplate, set_windows
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.preview import EvsePreview, preview
from oicp_adapter.control.windows import end_windows, extend_windows, get_window
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.configured import configured_store
from oicp_adapter.store.temporary import TemporaryRecord, list_temporary
from oicp_adapter.store.windows import WindowState

temporary = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Temporary statuses: maintenance, commissioning, blocked, reserved.",
)

_Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER…", help="As `temporary list` shows them.")]
_For = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="As 4h, 90m, 1d 12h.")]
_To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="With an offset, or in --zone.")]
_Zone = Annotated[str | None, typer.Option("--zone", metavar="ZONE", help="Of times without an offset.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_COLUMNS = ("number", "EVSE", "status", "from", "to", "reason", "reference", "by", "ended")
_PREVIEW = ("EVSE", "location", "drivers see now", "during", "after", "note")
_ALL = "all"
_WIDTH = 60
"""Characters of somebody else's text that a table shows."""


@temporary.command("list")
def list_(
    context: typer.Context,
    evse_id: Annotated[str | None, typer.Argument(metavar="[EVSE_ID]", help="None: of all.")] = None,
    *,
    past: Annotated[bool, typer.Option("--past", help="Those that are over too.")] = False,
    as_json: _AsJson = False,
) -> None:
    """List temporary statuses that apply or are ahead; times are UTC."""
    with configured_store(invocation(context).settings()) as store:
        wanted = [evse_id] if evse_id is not None else None
        _show(list(list_temporary(store, evse_ids=wanted, over_too=past)), as_json=as_json)


@temporary.command("set")
def set_(  # noqa: PLR0917 - every one is an option on the command line
    context: typer.Context,
    evses: Annotated[
        str,
        typer.Argument(
            metavar="EVSES", help="An EvseID, several with commas between, a pattern with %, or `all` of a --location."
        ),
    ],
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(kind.lower() for kind in TemporaryStatus))],
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="None: now.")] = None,
    duration: _For = None,
    end: _To = None,
    zone: _Zone = None,
    reason: Annotated[str | None, typer.Option(help="For people.")] = None,
    reference: Annotated[str | None, typer.Option(help="Of the system that asks, as a booking number.")] = None,
    location: Annotated[str | None, typer.Option(help="With `all`: the EVSEs that stand there.")] = None,
    charge_box: Annotated[str | None, typer.Option(help="With `all`: the EVSEs of this charge box.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Set a temporary status from now or a time, for a duration, to a time or until ended, on all EVSEs or none."""
    wanted = kind_argument(kind)
    valid_from = parse_instant(start, zone) if start is not None else None
    with opened_desk(context) as desk:
        template = WindowTemplate(
            kind=wanted,
            valid_from=valid_from,
            valid_to=end_argument(valid_from or desk.store.now(), duration, end, zone),
            time_zone=zone,
            reason=reason,
            reference=reference,
        )
        selection = _selection(evses, location, charge_box)
        if dry_run:
            _show_preview(desk, selection, template, as_json=as_json)
            return
        made = set_windows(desk, person(), selection, template).value or ()
        _show([each.record for each in made], as_json=as_json)


@temporary.command("end")
def end_(
    context: typer.Context,
    numbers: _Numbers,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which, and do nothing.")] = False,
    as_json: _AsJson = False,
) -> None:
    """End temporary statuses now, all or none."""
    with opened_desk(context) as desk:
        if dry_run:
            _show_open(desk, numbers, as_json=as_json)
            return
        _show([each.record for each in end_windows(desk, person(), numbers)], as_json=as_json)


@temporary.command("extend")
def extend(
    context: typer.Context,
    numbers: _Numbers,
    duration: _For = None,
    end: _To = None,
    zone: _Zone = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which, and do nothing.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Move the end of temporary statuses, by a duration or to a time, all or none."""
    if (duration is None) == (end is None):
        raise typer.BadParameter("say either --for how much longer, or --to which time")
    by = parse_duration(duration) if duration is not None else None
    to = parse_instant(end, zone) if end is not None else None
    with opened_desk(context) as desk:
        if dry_run:
            _show_open(desk, numbers, as_json=as_json)
            return
        _show(
            [each.record for each in extend_windows(desk, person(), numbers, by=by, to=to, time_zone=zone)],
            as_json=as_json,
        )


def _selection(evses: str, location: str | None, charge_box: str | None) -> Selection:
    if location is not None or charge_box is not None:
        if evses.lower() != _ALL:
            raise typer.BadParameter("write `all` in place of EVSES with --location or --charge-box")
        return Selection(location=location, charge_box=charge_box)
    if EvsePattern(evses).has_wildcard:
        return Selection(pattern=evses)
    return Selection(evse_ids=[each.strip() for each in evses.split(",") if each.strip()])


def _show_preview(desk: Desk, selection: Selection, template: WindowTemplate, *, as_json: bool) -> None:
    shown = preview(desk, person(), selection, template)
    for unknown in shown.unknown:
        note(f"no EVSE {foreign_text(unknown, _WIDTH)} is in the store: nothing could be set")
    for warning in shown.warnings:
        note(f"note: {warning}")
    if as_json:
        print_json_array(_previewed(each) for each in shown.evses)
        return
    print_table(
        _PREVIEW,
        [
            (
                foreign_text(each.place.evse_id, _WIDTH),
                foreign_text(each.place.location, _WIDTH) if each.place.location is not None else None,
                each.now.driver,
                each.during.driver,
                each.after.driver if each.after is not None else None,
                "; ".join(each.warnings) or None,
            )
            for each in shown.evses
        ],
    )
    note(f"{len(shown.evses)} EVSEs; nothing was set")


def _previewed(each: EvsePreview) -> dict[str, object]:
    return {
        "evseId": each.place.evse_id,
        "location": each.place.location,
        "chargeBox": each.place.charge_box,
        "now": each.now.driver,
        "during": each.during.driver,
        "after": each.after.driver if each.after is not None else None,
        "overlaps": [{"id": overlap.window.id, "wins": overlap.wins} for overlap in each.overlaps],
        "warnings": list(each.warnings),
    }


def _show_open(desk: Desk, numbers: Sequence[int], *, as_json: bool) -> None:
    """Show what would be changed."""
    found = [get_window(desk, person(), number) for number in numbers]
    for each in found:
        if each.state is WindowState.ENDED:
            note(f"temporary status {each.record.window.id} is over")
    _show([each.record for each in found], as_json=as_json)
    note("nothing was changed")


def _show(records: Sequence[TemporaryRecord], *, as_json: bool = False) -> None:
    if as_json:
        print_json_array(_document(each) for each in records)
        return
    rows = [
        (
            each.window.id,
            foreign_text(each.evse_id, _WIDTH),
            each.window.kind,
            each.window.valid_from,
            each.window.valid_to,
            each.reason,
            each.reference,
            each.created_by,
            each.window.ended_at,
        )
        for each in records
    ]
    print_table(_COLUMNS, rows)


def _document(record: TemporaryRecord) -> dict[str, object]:
    """Return what `--json` prints of one; instants are aware, UTC."""
    return {
        "id": record.window.id,
        "evseId": record.evse_id,
        "status": record.window.kind,
        "validFrom": record.window.valid_from,
        "validTo": record.window.valid_to,
        "timeZone": record.time_zone,
        "reason": record.reason,
        "reference": record.reference,
        "createdBy": record.created_by,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "endedAt": record.window.ended_at,
        "endedBy": record.ended_by,
    }
