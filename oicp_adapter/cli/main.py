"""
Puts the commands together and turns every way of ending into one line and an exit code.

Exit codes: 0 done, 2 wrong usage, 69 a dependency is unavailable, 70 internal error, 75 another process holds the lane,
78 bad configuration, 130 interrupted.
"""

import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import typer.main
from typer.core import TyperGroup

from oicp_adapter import __version__
from oicp_adapter.cli import Invocation
from oicp_adapter.cli.output import note
from oicp_adapter.domain.errors import AdapterError, foreign_text

INTERNAL_ERROR: Final = 70
NAME: Final = "oicp-adapter"


_COMMANDS: Final = {
    "demo": "demo:demo",
    "run": "run:run",
    "serve": "serve:serve",
    "hub": "hub:hub",
    "check": "check:check",
    "healthcheck": "healthcheck:healthcheck",
    "status": "status:status",
    "explain": "status:explain",
    "plan": "status:plan",
    "temporary": "temporary:temporary",
    "full-load": "lanes:full_load",
    "adopt": "lanes:adopt",
    "quarantine": "lanes:quarantine",
    "withdrawals": "lanes:withdrawals",
    "token": "token:token",
    "db": "db:db",
    "certs": "certs:certs",
}
"""Each command's module below `oicp_adapter.cli` and its name there, in the order of the help."""


class Commands(TyperGroup):
    """
    The group of all commands.

    It imports a command's module when the command is wanted, since all of them together take a second to import; and it
    lets no error out as a traceback unless that was asked for.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return [*_COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, None when there is none of that name."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"oicp_adapter.cli.{module}"), name)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(found)
            found = single
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

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
        except Exception as exc:  # whatever is left: nobody sees a traceback who did not ask for one
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
