"""Looks at settings, certificates, store and the way to the hub, and says what is wrong and what to do."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Final

import typer

from oicp_adapter.checks import Finding, Level, run_checks
from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json, print_table
from oicp_adapter.settings import examine_settings

_STYLES: Final = {Level.ERROR: "red", Level.WARNING: "yellow", Level.OK: None}


def check(
    context: typer.Context,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not connect to the hub.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check settings, certificates and store; online also the TLS handshake with the hub, without an API call."""
    findings = list(_findings(context, online=not offline))
    if as_json:
        print_json([{key: value for key, value in asdict(each).items() if key != "exit_code"} for each in findings])
    else:
        rows = [(each.level, each.subject, each.what, each.cure or None) for each in findings]
        print_table(("", "about", "found", "cure"), rows, styles=[_STYLES[each.level] for each in findings])
    code = exit_code(findings)
    if code:
        note(f"{sum(each.level is Level.ERROR for each in findings)} errors: the daemon would not start")
    raise typer.Exit(code)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 without an error, 69 when only dependencies are unavailable, else 78."""
    codes = {each.exit_code for each in findings if each.level is Level.ERROR}
    return 0 if not codes else max(codes)


def _findings(context: typer.Context, *, online: bool) -> Iterator[Finding]:
    settings, problems = examine_settings(invocation(context).config, None, os.environ)
    for problem in problems:
        yield Finding.from_error("settings", problem)
    if settings is None:
        return
    yield Finding(Level.OK, "settings", f"{len(settings.operators)} operators are configured")
    yield from run_checks(settings, online=online)
