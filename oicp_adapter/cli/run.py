"""Runs the daemon; a signal that comes while it still starts ends it in order, too."""

import gc
import os
import signal
import sys
from types import FrameType
from typing import Annotated, Final

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json

STOPS: Final = (signal.SIGINT, signal.SIGTERM)
"""In this order, so that whoever sees the second heeded may send either."""


def run(
    context: typer.Context,
    *,
    monitoring_port: Annotated[int | None, typer.Option(help="Instead of monitoring.port; 0: a free one.")] = None,
    announce: Annotated[bool, typer.Option("--announce", help="Print the monitoring address as JSON.")] = False,
) -> None:
    """Run the daemon until it is told to stop (SIGTERM, SIGINT); a second signal cuts what is under way."""
    for number in STOPS:
        signal.signal(number, _leave)
    from oicp_adapter.app import build_daemon  # noqa: PLC0415 - imports take most of the start: handlers stand first
    from oicp_adapter.checks import Level, run_checks  # noqa: PLC0415 - as above
    from oicp_adapter.cli.check import exit_code  # noqa: PLC0415 - as above
    from oicp_adapter.logs import configure_logging  # noqa: PLC0415 - as above

    overrides = {} if monitoring_port is None else {"monitoring.port": monitoring_port}
    settings = invocation(context).settings(overrides)
    repeats = configure_logging(settings.log)
    findings = [found for found in run_checks(settings, online=False, fleet=False) if found.level is not Level.OK]
    for found in findings:
        note(f"{found.level}: {found.subject}: {found.what}: {found.cure}")
    if stopping := [found for found in findings if found.level is Level.ERROR and not found.starts]:
        raise typer.Exit(exit_code(stopping))
    daemon = build_daemon(settings, repeats=repeats)
    if announce:
        print_json({"monitoring": daemon.url, "pid": os.getpid()})
    # What was imported stays to the end. The collector would search it once more after the last word, and take half a
    # second of the little time that a stop has.
    gc.freeze()
    daemon.run()


def _leave(number: int, _: FrameType | None) -> None:
    """End a process that has sent nothing and holds nothing yet."""
    note(f"oicp-adapter: {signal.Signals(number).name} before the daemon ran: nothing was sent")
    sys.exit(0)
