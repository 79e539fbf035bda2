"""Looks at settings, certificates, store and the way to the hub, and says what is wrong and what to do."""

import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from oicp_adapter.checks import Check, Finding, Level, run_checks
from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json, print_table
from oicp_adapter.settings import examine_settings

_PRINTED: Final = ("check", "level", "subject", "what", "cure")
_STYLES: Final = {Level.ERROR: "red", Level.WARNING: "yellow", Level.OK: None}


def check(
    context: typer.Context,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not connect to the hub.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Check settings, certificates and store; online also the way to the hub, without an API call.

    Each finding has cause and cure; docs/check.md has more of each check, by its name.
    """
    findings = list(_findings(context, online=not offline))
    if as_json:
        print_json([{name: getattr(each, name) for name in _PRINTED} for each in findings])
    else:
        rows = [(each.level, each.check, each.subject, each.what, each.cure or None) for each in findings]
        print_table(("", "check", "about", "found", "cure"), rows, styles=[_STYLES[each.level] for each in findings])
    code = exit_code(findings)
    if code:
        note(consequence(findings))
    raise typer.Exit(code)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 without an error, 69 when only dependencies are unavailable, else 78."""
    codes = {each.exit_code for each in findings if each.level is Level.ERROR}
    return 0 if not codes else max(codes)


def consequence(findings: Sequence[Finding]) -> str:
    """Say in one line what the errors keep the daemon, and the clients of `serve`, from; there is at least one."""
    errors = [each for each in findings if each.level is Level.ERROR]
    serving = sum(each.check is Check.CONTROL_CERTIFICATE for each in errors)
    starting = sum(not each.starts for each in errors)
    pushing = len(errors) - starting - serving
    kept = []
    if starting:
        kept.append(f"{_keep(starting)} the daemon from starting")
    if pushing and starting:
        kept.append(f"{_keep(pushing)} it from pushing")
    elif pushing:
        kept.append(f"{_keep(pushing)} the daemon from pushing; it would start, and try again by itself")
    if serving:
        kept.append(f"{_keep(serving)} clients from `serve`")
    return ", and ".join(kept)


def _keep(errors: int) -> str:
    return "1 error keeps" if errors == 1 else f"{errors} errors keep"


def _findings(context: typer.Context, *, online: bool) -> Iterator[Finding]:
    settings, problems = examine_settings(invocation(context).config, None, os.environ)
    for problem in problems:
        yield Finding.from_error(Check.SETTINGS, "settings", problem)
    if settings is None:
        return
    yield Finding(Check.SETTINGS, Level.OK, "settings", _configured(len(settings.operators)))
    yield from run_checks(settings, online=online, environ=os.environ)


def _configured(operators: int) -> str:
    return "1 operator is configured" if operators == 1 else f"{operators} operators are configured"
