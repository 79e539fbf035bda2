"""
Follows a lane's client certificate and private key on disk.

1. A pair on disk replaces the one in use only after it has loaded completely, when it holds, and when it has no flaw
   that the one in use does not have: what only the hub can judge, as an authority that nobody here knows, is taken up.
2. No text, repr or error holds a key, PEM or password.
"""

import hashlib
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from cryptography import x509

from oicp_adapter.domain.errors import CertificateError, foreign_text
from oicp_adapter.domain.identifiers import CanonicalOperatorId, is_operator_id, operator_key
from oicp_adapter.oicp.certificates import CertificateFacts, certificate_chain, inspect_certificate, read_file
from oicp_adapter.oicp.client_chain import Flaw, FlawKind, chain_flaws, purpose_flaws
from oicp_adapter.oicp.client_context import load_client_context

_KNOWN_BY_THE_HUB: Final = frozenset({FlawKind.NO_CHAIN})
"""Flaws that are none where the hub has the authority itself."""


class ClientIdentity:
    """
    The certificate and key of one lane as they are on disk, loaded once and again whenever they are replaced.

    Belongs to one client: httpcore sets ALPN on the context at every connection.

    Attributes:
        last_error: Why the pair that is on disk now was not taken up; None: the pair in use is the one on disk.
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
        self._certificate = certificate
        self._private_key = private_key
        self._password = password
        self._ca_file = ca_file
        self._operator = operator
        self._lock = threading.Lock()
        self._clock = clock
        self._stamps = self._stamp()
        self._again_at: datetime | None = None
        self._loaded = self._load(generation=1)
        # Of a pair that ends while it is in use the hub decides, whose clock may be another.
        self._untimely = self._out_of_time(self._loaded.facts) is not None
        self.last_error: CertificateError | None = None
        self.doubt: str | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of the pair in use."""
        return self._loaded.context

    @property
    def facts(self) -> CertificateFacts:
        """What the certificate in use says."""
        return self._loaded.facts

    @property
    def generation(self) -> int:
        """Counts the pairs that were in use, from 1; a connection of an older one should be closed."""
        return self._loaded.generation

    def withheld(self) -> str | None:
        """Say why the pair must not be shown: it did not hold at the start, and does not now; None: it may be shown."""
        found = self._out_of_time(self._loaded.facts) if self._untimely else None
        return f"{found[0]}, so nothing is sent: {found[1]}" if found is not None else None

    def refresh(self) -> bool:
        """
        Take up a new pair when the files have changed; otherwise cost a few stat calls.

        A pair that does not load (replaced in two steps, half-written), does not hold now, or is worse than the old one
        by what its file says, leaves that in use, sets `last_error` and is tried again when a file changes again, when
        it begins to hold, or when the old one has expired: then a flawed pair is better than none, as at the start.
        Safe to call from several threads.

        Returns:
            Whether another pair, or another trusted CA, is in use now.
        """
        with self._lock:
            stamps = self._stamp()
            due = self._again_at is not None and self._again_at <= self._clock()
            if stamps == self._stamps and not due:
                return False
            # The stamps are those from before the load: a file that changes meanwhile is seen the next time.
            self._stamps, self._again_at = stamps, None
            try:
                loaded = self._load(generation=self._loaded.generation + 1)
                if loaded.facts.fingerprint != self._loaded.facts.fingerprint:
                    self._require_valid(loaded.facts)
                self._require_no_worse(loaded)
            except CertificateError as exc:
                self.last_error = exc
                return False
            self.last_error = None
            if loaded.digest == self._loaded.digest:
                return False
            self.doubt = self._doubt(loaded.facts)
            self._untimely = self._untimely and loaded.facts.fingerprint == self._loaded.facts.fingerprint
            self._loaded = loaded
            return True

    def _load(self, *, generation: int) -> "_Loaded":
        facts = inspect_certificate(self._certificate)
        digest = hashlib.sha256()
        for path in self._paths():
            digest.update(hashlib.sha256(read_file(path, "file")).digest())
        context = load_client_context(
            certificate=self._certificate,
            private_key=self._private_key,
            password=self._password,
            ca_file=self._ca_file,
        )
        return _Loaded(context, facts, certificate_chain(self._certificate), digest.digest(), generation)

    def _require_valid(self, facts: CertificateFacts) -> None:
        found = self._out_of_time(facts)
        if found is None:
            return
        if self._clock() < facts.not_before:
            self._again_at = facts.not_before
        raise CertificateError(f"{found[0]}, the old one stays in use", cure=found[1])

    def _out_of_time(self, facts: CertificateFacts) -> tuple[str, str] | None:
        """Return why a certificate does not hold now, and the cure; None: it does."""
        now = self._clock()
        if now > facts.not_after:
            ended = f"{self._certificate} expired on {facts.not_after:%Y-%m-%d %H:%M} UTC"
            return ended, "put a certificate there that holds"
        if now < facts.not_before:
            begins = f"{self._certificate} holds only from {facts.not_before:%Y-%m-%d %H:%M} UTC"
            return begins, "wait, or put a certificate there that holds now"
        return None

    def _require_no_worse(self, loaded: "_Loaded") -> None:
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

    def _flaws(self, pair: "_Loaded", now: datetime) -> Iterable[Flaw]:
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

    def _stamp(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_stamp(path) for path in self._paths())

    def _paths(self) -> Iterable[Path]:
        return (path for path in (self._certificate, self._private_key, self._ca_file) if path is not None)


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    facts: CertificateFacts
    chain: Sequence[x509.Certificate]
    digest: bytes
    generation: int


def _names(facts: CertificateFacts) -> tuple[str | None, ...]:
    return (facts.common_name, *facts.organizations)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Identify a file's content without reading it; the change time is among it so that a chmod is seen too."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
