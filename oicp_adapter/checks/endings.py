"""Looks when the certificates end that are not an operator's: that of `serve`, and the authorities that are trusted."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from oicp_adapter.checks.certificates import in_days
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.oicp.certificates import EXPIRES_SOON, Link, inspect_certificate
from oicp_adapter.settings import ControlSettings

_SHOWN: Final = 3
"""Authorities of a file that are named; the others are counted."""


def control_certificate_lasts(control: ControlSettings, now: datetime) -> Iterator[Finding]:
    """
    Do the certificate of `serve` and the intermediates in its file hold for some time to come?

    One that cannot be read is a warning: the daemon does not need it, and may run where it is not.
    """
    file = control.certificate
    if file is None:
        return
    try:
        first = inspect_certificate(file).endings[0]
    except CertificateError as exc:
        what = f"`serve` would be refused, and it cannot be told when its certificate ends: {exc.what}"
        yield Finding(Check.CONTROL_CERTIFICATE, Level.WARNING, "control", what, exc.cure)
        return
    if (left := first.not_after - now) > EXPIRES_SOON:
        return
    which = f"control.certificate {file}" if first.own else f"{_name(first)} in control.certificate {file}"
    cure = "have a new one signed, put it and its chain in its place, and restart `serve`"
    if now > first.not_after:
        what = f"{which} expired on {_instant(first)}: browsers and clients refuse `serve`"
        yield Finding(Check.CONTROL_CERTIFICATE, Level.ERROR, "control", what, cure, starts=True)
    else:
        what = f"{which} expires on {_instant(first)}, in {in_days(left)}"
        yield Finding(Check.CONTROL_CERTIFICATE, Level.WARNING, "control", what, cure)


def trusted_authorities_last(ca_file: Path | None, now: datetime) -> Iterator[Finding]:
    """
    Do the authorities of hub.ca_file hold for some time to come?

    Never an error: others of the file may vouch for the hub, which `hub.certificate` tells online.
    """
    if ca_file is None:
        return
    try:
        authorities = inspect_certificate(ca_file).chain
    except CertificateError:
        return  # told where the operators' pairs are loaded with it
    cure = "get the new certificates of these authorities from who runs the hub, and put them into the file"
    ended = [each for each in authorities if now > each.not_after]
    soon = [each for each in authorities if each not in ended and each.not_after - now <= EXPIRES_SOON]
    for found, said in ((ended, "have expired"), (soon, "expire soon")):
        if found:
            named = ", ".join(f"{_name(each)} ({_instant(each)})" for each in found[:_SHOWN])
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            what = f"{len(found)} of {len(authorities)} in hub.ca_file {ca_file} {said}: {named}{more}"
            yield Finding(Check.AUTHORITIES, Level.WARNING, "hub", what, cure)


def _name(link: Link) -> str:
    return foreign_text(link.subject, 120)


def _instant(link: Link) -> str:
    return f"{link.not_after:%Y-%m-%d %H:%M} UTC"
