"""
The certificate and private key that a lane shows to the hub, and what makes a new pair worse than the old one.

What only the hub can judge, as an authority that nobody here knows, is taken up.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.domain.identifiers import CanonicalOperatorId, is_operator_id, operator_key
from oicp_adapter.oicp.certificates import CertificateFacts
from oicp_adapter.oicp.client_chain import Flaw, FlawKind, chain_flaws, purpose_flaws
from oicp_adapter.oicp.client_context import load_client_context
from oicp_adapter.oicp.pair_on_disk import LoadedPair, PairOnDisk

_KNOWN_BY_THE_HUB: Final = frozenset({FlawKind.NO_CHAIN})
"""Flaws that are none where the hub has the authority itself."""


class ClientIdentity(PairOnDisk):
    """
    The pair of one lane.

    Belongs to one client: httpcore sets ALPN on the context at every connection. Once the pair in use has expired a
    flawed one is better than none, as at the start.

    Attributes:
        doubt: What makes one doubt the pair that was taken up last, with the cure; None: nothing does.
    """

    def __init__(
        self,
        *,
        certificate: Path,
        private_key: Path,
        password: bytes | None = None,
        ca_file: Path | None = None,
        operator: CanonicalOperatorId | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Load the pair.

        Args:
            operator: Whose certificate it is; None: a new one may be anybody's.
            clock: The time, aware, by which a new pair is judged.

        Raises:
            CertificateError: It does not load; see `load_client_context`.
        """
        load = partial(
            load_client_context, certificate=certificate, private_key=private_key, password=password, ca_file=ca_file
        )
        super().__init__(certificate=certificate, private_key=private_key, load=load, ca_file=ca_file, clock=clock)
        self._operator = operator
        # Of a pair that ends while it is in use the hub decides, whose clock may be another.
        self._untimely = self._out_of_time(self._loaded.facts) is not None
        self.doubt: str | None = None

    def withheld(self) -> str | None:
        """Say why the pair must not be shown: it did not hold at the start, and does not now; None: it may be shown."""
        found = self._out_of_time(self._loaded.facts) if self._untimely else None
        return f"{found[0]}, so nothing is sent: {found[1]}" if found is not None else None

    def _take_up(self, loaded: LoadedPair) -> None:
        self.doubt = self._doubt(loaded.facts)
        self._untimely = self._untimely and loaded.facts.fingerprint == self._loaded.facts.fingerprint
        super()._take_up(loaded)

    def _require_no_worse(self, loaded: LoadedPair) -> None:
        """Refuse what is worse by its file alone; a flaw that the old pair has, too, is one that the hub lives with."""
        old, now = self._loaded, self._clock()
        if self._out_of_time(old.facts) is not None:
            return
        known = {flaw.kind for flaw in self._flaws(old, now)} | _KNOWN_BY_THE_HUB
        worse = next((flaw for flaw in self._flaws(loaded, now) if flaw.kind not in known), None)
        if worse is not None:
            self._again_at = old.facts.not_after
            raise CertificateError(f"{worse.what}, the old one stays in use", cure=worse.cure)
        if (moved := self._other_operator(loaded.facts)) is not None:
            ours, other = (foreign_text(name, 60) for name in moved)
            self._again_at = old.facts.not_after
            raise CertificateError(
                f"certificate {self._certificate} is that of {other}, the old one, of {ours}, stays in use",
                cure=f"put the certificate of {ours} there, or correct operators.id if the account is another",
            )

    def _flaws(self, pair: LoadedPair, now: datetime) -> Iterable[Flaw]:
        return chain(purpose_flaws(self._certificate, pair.chain[0]), chain_flaws(self._certificate, pair.chain, now))

    def _other_operator(self, facts: CertificateFacts) -> tuple[str, str] | None:
        """
        Return our OperatorID in the old certificate and the one in its place; None: none is certainly another.

        Hubject promises no place for it, so a name counts only where the old one had ours, and only as a whole.
        """
        if self._operator is None or facts.names_operator(self._operator):
            return None
        for before, after in zip(_names(self._loaded.facts), _names(facts), strict=False):
            if before is None or after is None or operator_key(before.replace("-", "")) != self._operator:
                continue
            if is_operator_id(after.replace("-", "*")):
                return before, after
        return None

    def _doubt(self, facts: CertificateFacts) -> str | None:
        if self._operator is None or facts.names_operator(self._operator):
            return None
        if not self._loaded.facts.names_operator(self._operator):
            return None
        named = foreign_text(facts.common_name or facts.subject, 120)
        return (
            f"certificate {self._certificate} names {named} and no more {self._operator}, as the one before did:"
            " if it belongs to another account, Hubject will answer 017 to every request: put the right one there"
        )


def _names(facts: CertificateFacts) -> tuple[str | None, ...]:
    return (facts.common_name, *facts.organizations)
