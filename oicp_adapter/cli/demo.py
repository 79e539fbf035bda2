"""Shows everything on this machine: a simulated hub and fleet, the daemon, and whether they agree at the end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from oicp_adapter.cli import LONGEST
from oicp_adapter.cli.output import note, stdout_console
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
    with _stop_signals() as stop:
        code = play(wishes, console=stdout_console(), say=note, stop=stop)
    raise typer.Exit(code)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turn the signals that end a command into an event, so that the children are always ended in order."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
