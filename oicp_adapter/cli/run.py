"""Runs the daemon."""

import os
from typing import Annotated

import typer

from oicp_adapter.app import build_daemon
from oicp_adapter.checks import Level, run_checks
from oicp_adapter.cli import invocation
from oicp_adapter.cli.check import exit_code
from oicp_adapter.cli.output import note, print_json
from oicp_adapter.logs import configure_logging


def run(
    context: typer.Context,
    *,
    monitoring_port: Annotated[int | None, typer.Option(help="Instead of monitoring.port; 0: a free one.")] = None,
    announce: Annotated[bool, typer.Option("--announce", help="Print the monitoring address as JSON.")] = False,
) -> None:
    """Run the daemon until it is told to stop (SIGTERM, SIGINT); a second signal cuts what is under way."""
    overrides = {} if monitoring_port is None else {"monitoring.port": monitoring_port}
    settings = invocation(context).settings(overrides)
    repeats = configure_logging(settings.log)
    findings = [found for found in run_checks(settings, online=False, fleet=False) if found.level is not Level.OK]
    for found in findings:
        note(f"{found.level}: {found.subject}: {found.what}: {found.cure}")
    if any(found.level is Level.ERROR for found in findings):
        raise typer.Exit(exit_code(findings))
    daemon = build_daemon(settings, repeats=repeats)
    if announce:
        print_json({"monitoring": daemon.url, "pid": os.getpid()})
    daemon.run()
