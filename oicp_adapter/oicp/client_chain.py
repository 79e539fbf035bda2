"""
Finds what is wrong with a client certificate beside its dates: the chain in its file, and what it is made for.

Only the hub decides, and some are lenient; so a flaw is what a hub may stumble over.

Source: RFC 5280 §4.2.1.12, RFC 8446 §4.4.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from oicp_adapter.domain.errors import foreign_text

NEW_AUTHORITY: Final = "ask Hubject for the authority's new certificate, and put it there instead"
"""The cure of an intermediate that ends."""


class FlawKind(StrEnum):
    """What a flaw is about."""

    SELF_SIGNED = "self-signed"
    BROKEN = "broken chain"
    EXPIRED_AUTHORITY = "expired authority"
    NO_CHAIN = "no chain"
    PURPOSE = "purpose"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that a hub may stumble over, with its cure."""

    kind: FlawKind
    what: str
    cure: str


def chain_flaws(file: Path, chain: Sequence[x509.Certificate], now: datetime) -> Iterator[Flaw]:
    """
    Look at the chain of a file.

    Args:
        file: Named in the words.
        chain: What it holds, in its order.
        now: Aware, UTC.
    """
    leaf = chain[0]
    append = "put the certificates of its authorities behind it, each followed by the one that signed it"
    if leaf.issuer == leaf.subject:
        what = f"certificate {file} is self-signed"
        yield Flaw(FlawKind.SELF_SIGNED, what, "no hub but one of your own knows it: have Hubject sign a request")
        return
    for number, (below, above) in enumerate(pairwise(chain), start=1):
        if not _has_signed(above, below):
            what = (
                f"certificate {number + 1} of {file}, {_shown(above.subject)}, has not signed the one before it, which"
                f" is of {_shown(below.issuer)}"
            )
            yield Flaw(FlawKind.BROKEN, what, f"correct the order, or {append}")
            return
    for above in chain[1:]:
        # A root in the file is ornament: the hub has its own.
        if now > above.not_valid_after_utc and above.issuer != above.subject:
            what = f"{_shown(above.subject)} in {file} expired on {above.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            yield Flaw(FlawKind.EXPIRED_AUTHORITY, what, NEW_AUTHORITY)
    if len(chain) == 1:
        what = f"{file} holds no chain, only a certificate of {_shown(leaf.issuer)}"
        cure = f"{append}: a hub that does not know {_shown(leaf.issuer)} itself refuses it"
        yield Flaw(FlawKind.NO_CHAIN, what, cure)


def purpose_flaws(file: Path, leaf: x509.Certificate) -> Iterator[Flaw]:
    """Look whether a certificate is limited to other uses than that of a TLS client."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return
    yield Flaw(
        FlawKind.PURPOSE,
        f"certificate {file} is not made for TLS clients: its extended key usage has no clientAuth",
        "have one signed with clientAuth; a hub answers this one with a TLS alert, or with 400",
    )


def _has_signed(above: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _shown(name: x509.Name) -> str:
    return foreign_text(name.rfc4514_string(), 120)
