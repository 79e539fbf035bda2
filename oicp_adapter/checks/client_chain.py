"""
Looks at what is in a client certificate's file beside its dates: the chain, and what the certificate is made for.

The daemon starts whatever is found here: only the hub decides, and some are lenient.

Source: RFC 5280 §4.2.1.12, RFC 8446 §4.4.2.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.settings import OperatorSettings


def chain_complete(operator: OperatorSettings, chain: Sequence[x509.Certificate], now: datetime) -> Iterator[Finding]:
    """Say of a chain what a hub may stumble over."""
    file, leaf = operator.certificate, chain[0]
    append = "put the certificates of its authorities behind it, each followed by the one that signed it"
    if leaf.issuer == leaf.subject:
        what = f"certificate {file} is self-signed"
        yield _warning(operator, what, "no hub but one of your own knows it: have Hubject sign a request")
        return
    for number, (below, above) in enumerate(pairwise(chain), start=1):
        if not _has_signed(above, below):
            what = (
                f"certificate {number + 1} of {file}, {_shown(above)}, has not signed the one before it, which"
                f" is of {_shown_issuer(below)}"
            )
            yield _warning(operator, what, f"correct the order, or {append}")
            return
    for above in chain[1:]:
        # A root in the file is ornament: the hub has its own.
        if now > above.not_valid_after_utc and above.issuer != above.subject:
            what = f"{_shown(above)} in {file} expired on {above.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            yield _warning(operator, what, "ask Hubject for the authority's new certificate, and put it there instead")
    if len(chain) == 1:
        what = f"{file} holds no chain, only a certificate of {_shown_issuer(leaf)}"
        yield _warning(operator, what, f"{append}: a hub that does not know {_shown_issuer(leaf)} itself refuses it")


def made_for_clients(operator: OperatorSettings, leaf: x509.Certificate) -> Iterator[Finding]:
    """Say that a certificate is limited to other uses than that of a TLS client."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return
    yield Finding(
        Check.PURPOSE,
        Level.ERROR,
        operator.id,
        f"certificate {operator.certificate} is not made for TLS clients: its extended key usage has no clientAuth",
        "have one signed with clientAuth; a hub answers this one with a TLS alert, or with 400",
        starts=True,
    )


def _has_signed(above: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _warning(operator: OperatorSettings, what: str, cure: str) -> Finding:
    return Finding(Check.CHAIN, Level.WARNING, operator.id, what, cure)


def _shown(certificate: x509.Certificate) -> str:
    return foreign_text(certificate.subject.rfc4514_string(), 120)


def _shown_issuer(certificate: x509.Certificate) -> str:
    return foreign_text(certificate.issuer.rfc4514_string(), 120)
