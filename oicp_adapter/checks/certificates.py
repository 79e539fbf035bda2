"""Looks at the certificate and private key of one operator; each check looks at one thing, and none asks the hub."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from oicp_adapter.checks.client_chain import chain_complete, made_for_clients
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.oicp.certificates import (
    EXPIRES_SOON,
    CertificateFacts,
    certificate_chain,
    inspect_certificate,
)
from oicp_adapter.oicp.client_chain import NEW_AUTHORITY
from oicp_adapter.oicp.client_context import load_client_context
from oicp_adapter.settings import OperatorSettings

_RENEW: Final = "have a new one signed and put it in its place, the daemon takes it up without restart"


@dataclass(frozen=True, slots=True)
class Pair:
    """
    An operator's pair that has loaded.

    Attributes:
        now: Aware, UTC.
        alone: There is no other operator, so that a daemon could push nothing without it.
    """

    operator: OperatorSettings
    facts: CertificateFacts
    chain: Sequence[x509.Certificate]
    now: datetime
    alone: bool


def certificate_findings(
    operator: OperatorSettings, *, ca_file: Path | None, now: datetime, alone: bool = True
) -> Iterator[Finding]:
    """
    Look at the files of one operator.

    Args:
        operator: Names the files.
        ca_file: What must load with them; None: the system's trust store.
        now: Aware, UTC.
        alone: There is no other operator; else the daemon starts for the others, whatever this one's dates are.
    """
    yield from key_kept_secret(operator)
    password = operator.private_key_password
    try:
        facts = inspect_certificate(operator.certificate)
        chain = certificate_chain(operator.certificate)
        load_client_context(
            certificate=operator.certificate,
            private_key=operator.private_key,
            password=password.get_secret_value().encode() if password else None,
            ca_file=ca_file,
        )
    except CertificateError as exc:
        yield Finding.from_error(Check.PAIR, operator.id, exc)
        return
    pair = Pair(operator, facts, chain, now, alone)
    for check in PAIR_CHECKS:
        yield from check(pair)


def key_kept_secret(operator: OperatorSettings) -> Iterator[Finding]:
    """
    May nobody else read the private key?

    A file that belongs to root may be readable by its group: so Kubernetes hands a secret to a user that is not root
    (`fsGroup`), and systemd a credential, whose access list shows as the group's bit.
    """
    path = operator.private_key
    try:
        found = path.stat()
    except OSError:
        return  # told where the pair is loaded
    mode = stat.S_IMODE(found.st_mode)
    lent = found.st_uid == 0 and os.geteuid() != 0
    allowed = stat.S_IRGRP if lent else 0
    readers = [who for bit, who in ((stat.S_IRGRP, "its group"), (stat.S_IROTH, "others")) if mode & bit & ~allowed]
    if readers:
        what = f"private key {path} is readable by {' and '.join(readers)} (mode {mode:04o})"
        yield Finding(Check.KEY_FILE, Level.ERROR, operator.id, what, f"chmod {'640' if lent else '600'} {path}")


def holds_now(pair: Pair) -> Iterator[Finding]:
    """Do the certificate and the intermediates in its file hold now, and for some time to come?"""
    operator, facts, now = pair.operator, pair.facts, pair.now
    shown = f"certificate {operator.certificate}"
    level, cure = Level.ERROR, _RENEW
    if now < facts.not_before:
        what = f"{shown} is not valid before {facts.not_before:%Y-%m-%d %H:%M} UTC"
        cure = f"wait, or correct this machine's clock, which says {now:%Y-%m-%d %H:%M} UTC"
    elif now > facts.not_after:
        what = f"{shown} expired on {facts.not_after:%Y-%m-%d %H:%M} UTC"
    else:
        # An intermediate that has ended already is told with the chain.
        first = next(link for link in facts.endings if now <= link.not_after)
        left, until = first.not_after - now, f"{first.not_after:%Y-%m-%d %H:%M} UTC"
        which = "" if first.own else f", with {foreign_text(first.subject, 120)} in its file,"
        if left <= EXPIRES_SOON:
            level, what = Level.WARNING, f"{shown} expires{which} on {until}, in {in_days(left)}"
            cure = _RENEW if first.own else NEW_AUTHORITY
        else:
            what = f"{shown} and its key load, valid{which} until {first.not_after:%Y-%m-%d}, {in_days(left)}"
            level, cure = Level.OK, ""
    starts = level is Level.ERROR and not pair.alone
    yield Finding(Check.VALIDITY, level, operator.id, what, cure, starts=starts)


def names_its_operator(pair: Pair) -> Iterator[Finding]:
    """Does the certificate name the OperatorID of the settings?"""
    operator, facts = pair.operator, pair.facts
    if not facts.names_operator(operator.canonical):
        names = foreign_text(facts.common_name or facts.subject)
        yield Finding(
            Check.OPERATOR,
            Level.WARNING,
            operator.id,
            f"certificate {operator.certificate} names {names}, settings say {operator.id}",
            "if it belongs to another account, Hubject will answer 017 to every request: use that account's OperatorID",
        )


def shows_its_chain(pair: Pair) -> Iterator[Finding]:
    """Does the file hold the way from the certificate to its authority?"""
    return chain_complete(pair.operator, pair.chain, pair.now)


def serves_clients(pair: Pair) -> Iterator[Finding]:
    """Is the certificate made for TLS clients?"""
    return made_for_clients(pair.operator, pair.chain[0])


PAIR_CHECKS: Final[Sequence[Callable[[Pair], Iterator[Finding]]]] = (
    holds_now,
    names_its_operator,
    shows_its_chain,
    serves_clients,
)


def in_days(left: timedelta) -> str:
    """Return whole days in words, rounded down."""
    if not left.days:
        return "less than a day"
    return "1 day" if left.days == 1 else f"{left.days} days"
