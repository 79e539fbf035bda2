"""
Tells what is in a client certificate's file beside its dates: the chain, and what the certificate is made for.

The daemon starts whatever is found here: only the hub decides, and some are lenient.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.oicp.client_chain import chain_flaws, purpose_flaws
from oicp_adapter.settings import OperatorSettings


def chain_complete(operator: OperatorSettings, chain: Sequence[x509.Certificate], now: datetime) -> Iterator[Finding]:
    """Say of a chain what a hub may stumble over."""
    for flaw in chain_flaws(operator.certificate, chain, now):
        yield Finding(Check.CHAIN, Level.WARNING, operator.id, flaw.what, flaw.cure)


def made_for_clients(operator: OperatorSettings, leaf: x509.Certificate) -> Iterator[Finding]:
    """Say that a certificate is limited to other uses than that of a TLS client."""
    for flaw in purpose_flaws(operator.certificate, leaf):
        yield Finding(Check.PURPOSE, Level.ERROR, operator.id, flaw.what, flaw.cure, starts=True)
