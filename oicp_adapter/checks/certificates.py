"""Looks at the certificate and private key of one operator."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from oicp_adapter.checks.finding import Finding, Level
from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.oicp.certificates import (
    EXPIRES_SOON,
    CertificateFacts,
    inspect_certificate,
    key_permissions_problem,
    load_client_context,
)
from oicp_adapter.settings import OperatorSettings

_RENEW: Final = "have a new one signed and put it in its place, the daemon takes it up without restart"


def certificate_findings(operator: OperatorSettings, *, ca_file: Path | None, now: datetime) -> Iterator[Finding]:
    """
    Look at the files of one operator.

    Args:
        operator: Names the files.
        ca_file: What must load with them; None: the system's trust store.
        now: Aware, UTC.
    """
    problem = key_permissions_problem(operator.private_key)
    if problem is not None:
        what, _, cure = problem.rpartition(": ")
        yield Finding(Level.ERROR, operator.id, what, cure)
    password = operator.private_key_password
    try:
        facts = inspect_certificate(operator.certificate)
        load_client_context(
            certificate=operator.certificate,
            private_key=operator.private_key,
            password=password.get_secret_value().encode() if password else None,
            ca_file=ca_file,
        )
    except CertificateError as exc:
        yield Finding.from_error(operator.id, exc)
        return
    yield _validity(operator, facts, now)
    if not facts.names_operator(operator.canonical):
        names = foreign_text(facts.common_name or facts.subject)
        yield Finding(
            Level.WARNING,
            operator.id,
            f"certificate {operator.certificate} names {names}, settings say {operator.id}",
            "if it belongs to another account, Hubject will answer 017 to every request: use that account's OperatorID",
        )


def _validity(operator: OperatorSettings, facts: CertificateFacts, now: datetime) -> Finding:
    shown = f"certificate {operator.certificate}"
    if now < facts.not_before:
        return Finding(
            Level.ERROR,
            operator.id,
            f"{shown} is not valid before {facts.not_before:%Y-%m-%d %H:%M} UTC",
            f"wait, or correct this machine's clock, which says {now:%Y-%m-%d %H:%M} UTC",
        )
    if now > facts.not_after:
        return Finding(Level.ERROR, operator.id, f"{shown} expired on {facts.not_after:%Y-%m-%d %H:%M} UTC", _RENEW)
    left = facts.not_after - now
    if left <= EXPIRES_SOON:
        return Finding(
            Level.WARNING,
            operator.id,
            f"{shown} expires on {facts.not_after:%Y-%m-%d %H:%M} UTC, in {_days(left)}",
            _RENEW,
        )
    return Finding(
        Level.OK, operator.id, f"{shown} and its key load, valid until {facts.not_after:%Y-%m-%d}, {_days(left)}"
    )


def _days(left: timedelta) -> str:
    if not left.days:
        return "less than a day"
    return "1 day" if left.days == 1 else f"{left.days} days"
