"""Lists and sets temporary statuses."""

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json_array, print_table
from oicp_adapter.cli.times import instant_after, parse_instant
from oicp_adapter.domain.errors import ConfigurationError, foreign_text
from oicp_adapter.domain.statuses import StatusMapping, TemporaryStatus, normalise
from oicp_adapter.store.configured import configured_store
from oicp_adapter.store.engine import Store
from oicp_adapter.store.evses import evse_overviews
from oicp_adapter.store.temporary import (
    TemporaryRecord,
    end_temporary,
    extend_temporary,
    get_temporary,
    list_temporary,
    set_temporary,
)

temporary = typer.Typer(no_args_is_help=True, help="Temporary statuses: maintenance, commissioning, blocked, reserved.")

_Id = Annotated[int, typer.Argument(metavar="NUMBER", help="As `temporary list` shows it.")]
_For = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="As 4h, 90m, 1d 12h.")]
_To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="With an offset, or in --zone.")]
_Zone = Annotated[str | None, typer.Option("--zone", metavar="ZONE", help="Of times without an offset.")]
_COLUMNS = ("number", "EVSE", "status", "from", "to", "reason", "reference", "by", "ended")
_KINDS = {normalise(kind): kind for kind in TemporaryStatus}


@temporary.command("list")
def list_(
    context: typer.Context,
    evse_id: Annotated[str | None, typer.Argument(metavar="[EVSE_ID]", help="None: of all.")] = None,
    *,
    past: Annotated[bool, typer.Option("--past", help="Those that are over too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List temporary statuses that apply or are ahead; times are UTC."""
    with configured_store(invocation(context).settings()) as store:
        wanted = [evse_id] if evse_id is not None else None
        _show(list(list_temporary(store, evse_ids=wanted, over_too=past)), as_json=as_json)


@temporary.command("set")
def set_(  # noqa: PLR0917 - every one is an option on the command line
    context: typer.Context,
    evse_id: Annotated[str, typer.Argument(metavar="EVSE_ID")],
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(kind.lower() for kind in TemporaryStatus))],
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="None: now.")] = None,
    duration: _For = None,
    end: _To = None,
    zone: _Zone = None,
    reason: Annotated[str | None, typer.Option(help="For people.")] = None,
    reference: Annotated[str | None, typer.Option(help="Of the system that asks, as a booking number.")] = None,
) -> None:
    """Set a temporary status, from now or a time, for a duration, to a time, or until it is ended."""
    if normalise(kind) not in _KINDS:
        raise typer.BadParameter(f"{foreign_text(kind, 60)!r} is none of {', '.join(_KINDS)}")
    valid_from = parse_instant(start, zone) if start is not None else None
    with configured_store(invocation(context).settings()) as store:
        valid_to = _end(valid_from or store.now(), duration, end, zone)
        _require_evse(store, evse_id)
        with _as_wrong_usage():
            made = set_temporary(
                store,
                evse_id=evse_id,
                kind=_KINDS[normalise(kind)],
                valid_from=valid_from,
                valid_to=valid_to,
                reason=reason,
                reference=reference,
                created_by=getpass.getuser(),
            )
        _note_past(made, store.now())
    _show([made])


@temporary.command("end")
def end_(context: typer.Context, number: _Id) -> None:
    """End a temporary status now."""
    with configured_store(invocation(context).settings()) as store:
        open_ = _open(store, number)
        _show([end_temporary(store, open_.window.id, by=getpass.getuser()) or open_])


@temporary.command("extend")
def extend(context: typer.Context, number: _Id, duration: _For = None, end: _To = None, zone: _Zone = None) -> None:
    """Move the end of a temporary status, by a duration or to a time."""
    if duration is None and end is None:
        raise typer.BadParameter("say --for how long, or --to which time")
    with configured_store(invocation(context).settings()) as store:
        open_ = _open(store, number)
        valid_to = _end(open_.window.valid_to or store.now(), duration, end, zone)
        with _as_wrong_usage():
            changed = extend_temporary(store, number, valid_to=valid_to) or open_
        _note_past(changed, store.now())
    _show([changed])


def _require_evse(store: Store, evse_id: str) -> None:
    if next(evse_overviews(store, (), StatusMapping(), [evse_id]), None) is None:
        raise typer.BadParameter(
            f"no EVSE {foreign_text(evse_id, 60)} is in the store: `oicp-adapter status` lists all"
        )


def _open(store: Store, number: int) -> TemporaryRecord:
    """Return a temporary status that is not over."""
    found = get_temporary(store, number)
    if found is None:
        raise typer.BadParameter(
            f"there is no temporary status {number}: `oicp-adapter temporary list` has their numbers"
        )
    end = found.window.end
    if end is not None and end <= store.now():
        raise typer.BadParameter(
            f"temporary status {number} has been over since {end:%Y-%m-%d %H:%M:%S} UTC: set a new one"
        )
    return found


def _end(start: datetime, duration: str | None, end: str | None, zone: str | None) -> datetime | None:
    if duration is not None and end is not None:
        raise typer.BadParameter("--for and --to exclude each other")
    if duration is not None:
        return instant_after(start, duration)
    return parse_instant(end, zone) if end is not None else None


@contextmanager
def _as_wrong_usage() -> Iterator[None]:
    """Show a window that cannot be as what it is here: times on the command line that contradict each other."""
    try:
        yield
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error


def _note_past(record: TemporaryRecord, now: datetime) -> None:
    end = record.window.end
    if end is not None and end <= now:
        note(
            f"temporary status {record.window.id} lies in the past: it was over at {end:%Y-%m-%d %H:%M:%S} UTC, so it "
            "changes nothing that is published"
        )


def _show(records: Sequence[TemporaryRecord], *, as_json: bool = False) -> None:
    if as_json:
        print_json_array(_document(each) for each in records)
        return
    rows = [
        (
            each.window.id,
            foreign_text(each.evse_id, 60),
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
        "reason": record.reason,
        "reference": record.reference,
        "createdBy": record.created_by,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "endedAt": record.window.ended_at,
        "endedBy": record.ended_by,
    }
