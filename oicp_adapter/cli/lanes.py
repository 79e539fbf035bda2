"""What people ask of a lane: a full load, a release from quarantine, an approval of withdrawals."""

import getpass
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json_array, print_table
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.store.configured import configured_store, lane_scopes
from oicp_adapter.store.engine import Store
from oicp_adapter.store.operations import (
    HeldWithdrawal,
    approve_withdrawals,
    held_withdrawals,
    quarantined,
    release_quarantine,
    request_full_load,
)
from oicp_adapter.store.scope import LaneScope

_Operator = Annotated[str | None, typer.Option(metavar="OPERATOR_ID", help="One lane; none: all.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_REFUSED = ("operator", "EVSE", "since", "failures", "reason", "detail", "next attempt")
_HELD = ("operator", "EVSE", "at the hub", "held since")

quarantine = typer.Typer(no_args_is_help=True, help="EVSEs that the hub refused.")
withdrawals = typer.Typer(no_args_is_help=True, help="Withdrawals that wait for a person.")


def full_load(
    context: typer.Context,
    operator: _Operator = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Ask for a full load as the next request of a lane; it waits until the lane is clean."""
    with _lanes(context, operator) as (store, lanes):
        if not yes and not _confirmed(f"send everything that {', '.join(lanes)} has as a full load?"):
            raise typer.Abort
        for name, scope in lanes.items():
            request_full_load(store, scope.lane, by=getpass.getuser())
            note(f"{name}: a full load is the lane's next request once it has no doubt, debt, refusal or hold")


@quarantine.command("list")
def list_quarantine(context: typer.Context, operator: _Operator = None, *, as_json: _AsJson = False) -> None:
    """List EVSEs that the hub refused, and when they are tried again; times are UTC."""
    with _lanes(context, operator) as (store, lanes):
        rows = [
            (name, each.evse_id, each.first_failed_at, each.failures, each.refusal, each.refusal_detail, each.retry_at)
            for name, scope in lanes.items()
            for each in quarantined(store, scope.lane)
        ]
    _show(_REFUSED, rows, as_json=as_json)


@quarantine.command("release")
def release(
    context: typer.Context,
    evse_id: Annotated[list[str] | None, typer.Argument(metavar="[EVSE_ID…]")] = None,
    operator: _Operator = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Release all.")] = False,
) -> None:
    """Try refused EVSEs again at once."""
    if not evse_id and not everything:
        raise typer.BadParameter("name the EVSEs to release, or say --all")
    with _lanes(context, operator) as (store, lanes):
        for name, scope in lanes.items():
            note(f"{name}: {len(release_quarantine(store, scope.lane, evse_id or None))} released")


@withdrawals.command("list")
def list_withdrawals(context: typer.Context, operator: _Operator = None, *, as_json: _AsJson = False) -> None:
    """List withdrawals that are held, with the name of the set that can be approved; times are UTC."""
    with _lanes(context, operator) as (store, lanes):
        held = {name: held_withdrawals(store, scope.lane) for name, scope in lanes.items()}
    rows = [(name, each.evse_id, each.acknowledged, each.held_since) for name, these in held.items() for each in these]
    _show(_HELD, rows, as_json=as_json)
    for name, these in held.items():
        if these:
            note(f"{name}: to withdraw exactly these {len(these)}: oicp-adapter withdrawals approve {_set_name(these)}")


@withdrawals.command()
def approve(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SET", help="As `withdrawals list` names it.")],
    operator: _Operator = None,
    *,
    by: Annotated[str | None, typer.Option(help="Who approves; none: the user of this process.")] = None,
) -> None:
    """Approve exactly the set of withdrawals that was shown; a set that has changed since is refused."""
    with _lanes(context, operator) as (store, lanes):
        author = by or getpass.getuser()
        for lane, scope in lanes.items():
            shown = held_withdrawals(store, scope.lane)
            if shown and _set_name(shown) == name:
                done = approve_withdrawals(store, scope.lane, [each.evse_id for each in shown], by=author)
                note(f"{lane}: {len(done)} withdrawals approved by {author}")
                return
    raise typer.BadParameter(f"no lane holds the set {name}: list the held withdrawals and approve what is shown")


@contextmanager
def _lanes(context: typer.Context, operator: str | None) -> Iterator[tuple[Store, dict[str, LaneScope]]]:
    settings = invocation(context).settings()
    lanes = {each.id: scope for each, scope in zip(settings.operators, lane_scopes(settings), strict=True)}
    if operator is not None:
        lanes = {name: scope for name, scope in lanes.items() if operator_key(name) == operator_key(operator)}
        if not lanes:
            known = ", ".join(each.id for each in settings.operators) or "none"
            raise typer.BadParameter(f"no lane has the OperatorID {operator}: the settings have {known}")
    with configured_store(settings) as store:
        yield store, lanes


def _set_name(held: Sequence[HeldWithdrawal]) -> str:
    return hashlib.sha256("\n".join(sorted(each.evse_id for each in held)).encode()).hexdigest()[:12]


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter("say --yes where nobody can be asked")
    return typer.confirm(question, err=True)


def _show(columns: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    if as_json:
        print_json_array(dict(zip(columns, row, strict=True)) for row in rows)
    else:
        print_table(columns, rows)
