"""What people ask of a lane: a full load, a release from quarantine, an approval of withdrawals, another store."""

import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json_array, print_table
from oicp_adapter.control.health import set_name
from oicp_adapter.control.lanes import configured_lanes
from oicp_adapter.control.quarantine import SHOWN, Detained, refused_records, rejected_rows, why_not_released
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import configured_store
from oicp_adapter.store.engine import Store
from oicp_adapter.store.operations import (
    HeldWithdrawal,
    adopt_store,
    approve_withdrawals,
    held_withdrawals,
    release_quarantine,
    request_full_load,
    strangeness,
)
from oicp_adapter.store.scope import LaneScope

_Operator = Annotated[str | None, typer.Option(metavar="OPERATOR_ID", help="One lane; none: all.")]
_Author = Annotated[str | None, typer.Option(help="Who decides; none: the user of this process.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DETAINED = ("operator", "EVSE", "since", "failures", "reason", "detail", "next attempt", "releasable", "what to do")
_HELD = ("operator", "EVSE", "at the hub", "held since")

quarantine = typer.Typer(
    add_completion=False, no_args_is_help=True, help="EVSEs that the hub refused, and rows that never leave the house."
)
withdrawals = typer.Typer(add_completion=False, no_args_is_help=True, help="Withdrawals that wait for a person.")


@dataclass(frozen=True, slots=True)
class _Lanes:
    """
    The lanes that a command is about.

    Attributes:
        every: All lanes of the settings, by OperatorID.
        wanted: Those that the command line names, else all.
    """

    settings: Settings
    store: Store
    every: dict[str, LaneScope]
    wanted: dict[str, LaneScope]


def full_load(
    context: typer.Context,
    operator: _Operator = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Ask for a full load as the next request of a lane; it waits until the lane is clean."""
    with _lanes(context, operator) as lanes:
        if not yes and not _confirmed(f"send everything that {', '.join(lanes.wanted)} has as a full load?"):
            raise typer.Abort
        for name, scope in lanes.wanted.items():
            request_full_load(lanes.store, scope.lane, by=getpass.getuser())
            note(f"{name}: a full load is the lane's next request once it has no doubt, debt, refusal or hold")


def adopt(
    context: typer.Context,
    operator: _Operator = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: _Author = None,
) -> None:
    """Take a store that was moved, restored or cloned for a lane's own; the daemon pushes from it then."""
    with _lanes(context, operator) as lanes:
        hub_url, policy = lanes.settings.hub.url, lanes.settings.policy()
        strange = {name: strangeness(lanes.store, scope.lane, hub_url=hub_url) for name, scope in lanes.wanted.items()}
        for name, different in strange.items():
            note(f"{name}: {'; '.join(different) or 'the store is its own: there is nothing to adopt'}")
        adopted = [name for name, different in strange.items() if different]
        if adopted and not yes and not _confirmed(f"push from this store for {', '.join(adopted)}?"):
            raise typer.Abort
        for name in adopted:
            scope = lanes.wanted[name]
            adopt_store(lanes.store, scope.lane, hub_url=hub_url, by=by or getpass.getuser(), policy=policy)
            note(f"{name}: adopted; every EVSE is asserted again, and no full load goes out before you ask for it")


@quarantine.command("list")
def list_quarantine(context: typer.Context, operator: _Operator = None, *, as_json: _AsJson = False) -> None:
    """List EVSEs that the hub refused, and rows that never leave the house, with what to do; times are UTC."""
    with _lanes(context, operator) as lanes:
        rejected = rejected_rows(
            lanes.store, lanes.every, lanes.settings.status_mapping(), None if operator is None else lanes.wanted
        )
        detained = chain(refused_records(lanes.store, lanes.wanted), rejected)
        if as_json:
            print_json_array(_detained_document(each) for each in detained)
            return
        print_table(_DETAINED, (_detained_row(each) for each in detained))


@quarantine.command("release")
def release(
    context: typer.Context,
    evse_id: Annotated[
        list[str] | None, typer.Argument(metavar="[EVSE_ID…]", help="In any spelling; or --all.")
    ] = None,
    operator: _Operator = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Release all.")] = False,
) -> None:
    """Try refused EVSEs again at once."""
    if not evse_id and not everything:
        raise typer.BadParameter("name the EVSEs to release, or say --all")
    with _lanes(context, operator) as lanes:
        released: set[str] = set()
        for name, scope in lanes.wanted.items():
            done = release_quarantine(lanes.store, scope.lane, evse_id or None, by=getpass.getuser())
            note(f"{name}: {len(done)} released")
            released.update(evse_key(each) for each in done)
        others = [each for each in evse_id or () if evse_key(each) not in released]
        mapping = lanes.settings.status_mapping()
        for sentence in why_not_released(lanes.store, list(lanes.every.values()), mapping, others):
            note(sentence)


@withdrawals.command("list")
def list_withdrawals(context: typer.Context, operator: _Operator = None, *, as_json: _AsJson = False) -> None:
    """List withdrawals that are held, with the name of the set that can be approved; times are UTC."""
    with _lanes(context, operator) as lanes:
        held = {name: held_withdrawals(lanes.store, scope.lane) for name, scope in lanes.wanted.items()}
    sets = {name: set_name(these) for name, these in held.items() if these}
    each_held = [(name, each) for name, these in held.items() for each in these]
    if as_json:
        print_json_array(_held_document(name, each, sets[name]) for name, each in each_held)
    else:
        print_table(
            _HELD,
            [(name, foreign_text(each.evse_id, SHOWN), each.acknowledged, each.held_since) for name, each in each_held],
        )
    for name, this_set in sets.items():
        count = len(held[name])
        note(f"{name}: to withdraw exactly these {count}: oicp-adapter withdrawals approve {this_set}")


@withdrawals.command()
def approve(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SET", help="As `withdrawals list` names it.")],
    operator: _Operator = None,
    *,
    by: _Author = None,
) -> None:
    """Approve exactly the set of withdrawals that was shown; a set that has changed since is refused."""
    with _lanes(context, operator) as lanes:
        author = by or getpass.getuser()
        for lane, scope in lanes.wanted.items():
            shown = held_withdrawals(lanes.store, scope.lane)
            if shown and set_name(shown) == name:
                done = approve_withdrawals(lanes.store, scope.lane, [each.evse_id for each in shown], by=author)
                note(f"{lane}: {len(done)} withdrawals approved by {author}")
                return
    unknown = foreign_text(name, SHOWN)
    raise typer.BadParameter(f"no lane holds the set {unknown}: list the held withdrawals and approve what is shown")


@contextmanager
def _lanes(context: typer.Context, operator: str | None) -> Iterator[_Lanes]:
    settings = invocation(context).settings()
    every = dict(configured_lanes(settings))
    wanted = every
    if operator is not None:
        wanted = {name: scope for name, scope in every.items() if operator_key(name) == operator_key(operator)}
        if not wanted:
            unknown = foreign_text(operator, SHOWN)
            raise typer.BadParameter(f"no lane has the OperatorID {unknown}: the settings have {', '.join(every)}")
    with configured_store(settings) as store:
        yield _Lanes(settings, store, every, wanted)


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter("say --yes where nobody can be asked")
    return typer.confirm(question, err=True)


def _detained_row(each: Detained) -> Sequence[object]:
    return (
        foreign_text(each.operator, SHOWN),
        foreign_text(each.evse_id, SHOWN),
        each.since,
        each.failures,
        each.reason,
        each.detail,
        each.retry_at,
        each.releasable,
        each.cure,
    )


def _detained_document(each: Detained) -> dict[str, object]:
    return {
        "operatorId": each.operator,
        "evseId": each.evse_id,
        "refusedSince": each.since,
        "failures": each.failures,
        "reason": each.reason,
        "detail": each.detail,
        "nextAttemptAt": each.retry_at,
        "releasable": each.releasable,
        "whatToDo": each.cure,
    }


def _held_document(operator: str, each: HeldWithdrawal, set_name: str) -> dict[str, object]:
    return {
        "operatorId": operator,
        "evseId": each.evse_id,
        "acknowledgedStatus": each.acknowledged,
        "heldSince": each.held_since,
        "set": set_name,
    }
