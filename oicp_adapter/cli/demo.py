"""Shows everything on this machine: a simulated hub and fleet, the daemon, and whether they agree at the end."""

import signal
from pathlib import Path
from typing import Annotated, Final

import typer

from oicp_adapter.cli import LONGEST
from oicp_adapter.cli.output import note, stdout_console
from oicp_adapter.cli.stopping import stop_on
from oicp_adapter.demo.play import Wishes, play

DEFAULT_EVSES: Final = 200

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(min=0, max=LONGEST, help="End by itself after this long, compare, exit 0 only if equal."),
    ] = None,
    evses: Annotated[int | None, typer.Option(min=4, max=100_000, help="Size of the made-up fleet. [200]")] = None,
    file: Annotated[
        Path | None, typer.Option("--from", metavar="CSV", help="A fleet with evse_id, operator_id and status.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Keep certificates, store, settings and logs here.")
    ] = None,
) -> None:
    """Watch a simulated fleet's statuses arrive at a simulated hub over mutual TLS."""
    if file is not None and evses is not None:
        raise typer.BadParameter("it is the size of the made-up fleet, --from brings its own", param_hint="--evses")
    wishes = Wishes(seconds=seconds, evses=evses or DEFAULT_EVSES, file=file, directory=directory)
    with stop_on(*_SIGNALS) as stop:  # so that the children are always ended in order
        code = play(wishes, console=stdout_console(), say=note, stop=stop)
    raise typer.Exit(code)
