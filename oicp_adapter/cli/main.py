"""
Puts the commands together and turns every way of ending into one line and an exit code.

Exit codes: 0 done, 2 wrong usage, 69 a dependency is unavailable, 70 internal error, 75 another process holds the lane,
78 bad configuration, 130 interrupted.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from oicp_adapter import __version__
from oicp_adapter.cli import Invocation
from oicp_adapter.cli.certs import certs
from oicp_adapter.cli.check import check
from oicp_adapter.cli.db import db
from oicp_adapter.cli.hub import hub
from oicp_adapter.cli.lanes import full_load, quarantine, withdrawals
from oicp_adapter.cli.output import note
from oicp_adapter.cli.run import run
from oicp_adapter.cli.status import explain, plan, status
from oicp_adapter.cli.temporary import temporary
from oicp_adapter.domain.errors import AdapterError, foreign_text

INTERNAL_ERROR: Final = 70
NAME: Final = "oicp-adapter"


class Commands(TyperGroup):
    """The group of all commands, which lets no error out as a traceback unless it was asked for."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command and map what it raises."""
        try:
            return super().invoke(ctx)
        except AdapterError as exc:
            _show(exc, str(exc), debug=bool(ctx.params.get("debug")))
            raise typer.Exit(exc.exit_code) from exc
        except BrokenPipeError as exc:
            raise typer.Exit(0) from exc  # the reader has seen enough; `main` lets go of stdout
        except (typer.Abort, typer.Exit):
            raise
        except Exception as exc:
            if hasattr(exc, "exit_code"):  # wrong usage, which Typer shows itself
                raise
            what = f"internal error: {type(exc).__name__}: {foreign_text(exc)} (--debug shows where)"
            _show(exc, what, debug=bool(ctx.params.get("debug")))
            raise typer.Exit(INTERNAL_ERROR) from exc


app = typer.Typer(
    name=NAME,
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Keeps the EVSE statuses at Hubject equal to an operator's own, temporary statuses included.",
)
app.command()(run)
app.command()(hub)
app.command()(check)
app.command()(status)
app.command()(explain)
app.command()(plan)
app.command("full-load")(full_load)
app.add_typer(temporary, name="temporary")
app.add_typer(quarantine, name="quarantine")
app.add_typer(withdrawals, name="withdrawals")
app.add_typer(db, name="db")
app.add_typer(certs, name="certs")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature is Typer's
    if wanted:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings as TOML; else OICP_ADAPTER_CONFIG.")
    ] = None,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the EVSE statuses at Hubject equal to an operator's own, temporary statuses included."""
    context.obj = Invocation(config=config, debug=debug)


def main() -> None:
    """Run the command line of this process; always ends with SystemExit."""
    try:
        app(prog_name=NAME)
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _let_go_of_stdout()


def _show(exc: Exception, what: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(exc, file=sys.stderr)
    note(f"{NAME}: {what}")


def _let_go_of_stdout() -> None:
    """Point stdout at nothing, so that its last flush does not complain about the reader that has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
