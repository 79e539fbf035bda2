"""Runs the daemon; a signal that comes while it still starts ends it in order, too."""

import gc
import os
import signal
import sys
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json
from oicp_adapter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from oicp_adapter.settings import Settings

STOPS: Final = (signal.SIGINT, signal.SIGTERM)
"""In this order, so that whoever sees the second heeded may send either."""


def run(
    context: typer.Context,
    *,
    monitoring_port: Annotated[int | None, typer.Option(help="Instead of monitoring.port; 0: a free one.")] = None,
    announce: Annotated[bool, typer.Option("--announce", help="Print the monitoring address as JSON.")] = False,
) -> None:
    """
    Run the daemon until it is told to stop (SIGTERM, SIGINT); a second signal cuts what is under way.

    Settings are read again on SIGHUP and when their files change; wrong ones leave those in use as they are.
    """
    for number in STOPS:
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the settings are about to be read anyhow
    from oicp_adapter.app import build_daemon  # noqa: PLC0415 - imports take most of the start: handlers stand first
    from oicp_adapter.checks import Level, run_checks  # noqa: PLC0415 - as above
    from oicp_adapter.cli.check import exit_code  # noqa: PLC0415 - as above
    from oicp_adapter.logs import configure_logging  # noqa: PLC0415 - as above
    from oicp_adapter.settings import settings_files  # noqa: PLC0415 - as above

    overrides = {} if monitoring_port is None else {"monitoring.port": monitoring_port}
    invoked = invocation(context)
    settings = invoked.settings(overrides)
    repeats = configure_logging(settings.log)
    findings = [found for found in run_checks(settings, online=False, fleet=False) if found.level is not Level.OK]
    for found in findings:
        note(f"{found.level}: {found.subject}: {found.what}: {found.cure}")
    if stopping := [found for found in findings if found.level is Level.ERROR and not found.starts]:
        raise typer.Exit(exit_code(stopping))
    daemon = build_daemon(
        settings,
        read=partial(invoked.settings, overrides),
        examine=_examine,
        files=partial(settings_files, invoked.config, os.environ),
        repeats=repeats,
    )
    if announce:
        print_json({"monitoring": daemon.url, "pid": os.getpid()})
    # What was imported stays to the end. The collector would search it once more after the last word, and take half a
    # second of the little time that a stop has.
    gc.freeze()
    daemon.run()


def _examine(settings: "Settings") -> None:
    """
    Look at everything that a daemon with these settings needs.

    Raises:
        ConfigurationError: It would not start, or would hold lanes since the store is another one or a certificate does
            not hold.
    """
    from oicp_adapter.checks import Check, Level, run_checks  # noqa: PLC0415 - imported long ago, by `run`

    for found in run_checks(settings, online=False, fleet=False):
        if found.level is Level.ERROR and (not found.starts or found.check in (Check.IDENTITY, Check.VALIDITY)):
            raise ConfigurationError(f"{found.subject}: {found.what}", cure=found.cure)


def _leave(number: int, _: FrameType | None) -> None:
    """End a process that has sent nothing and holds nothing yet."""
    note(f"oicp-adapter: {signal.Signals(number).name} before the daemon ran: nothing was sent")
    sys.exit(0)
