"""
Follows a certificate and its private key on disk: a lane's, which it shows to the hub, or a server's own.

1. A pair on disk replaces the one in use only after it has loaded completely, when it holds, and when whoever follows
   it finds it no worse.
2. No text, repr or error holds a key, PEM or password.
"""

import hashlib
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from oicp_adapter.domain.errors import CertificateError
from oicp_adapter.oicp.certificates import CertificateFacts, certificate_chain, inspect_certificate, read_file


@dataclass(frozen=True, slots=True)
class LoadedPair:
    """
    A pair that has loaded.

    Attributes:
        chain: All certificates of the file, in their order.
        digest: Of the files, so that equal ones are known as such.
        generation: Counts the pairs that were in use, from 1.
    """

    context: ssl.SSLContext
    facts: CertificateFacts
    chain: Sequence[x509.Certificate]
    digest: bytes
    generation: int


class PairOnDisk:
    """
    A certificate and its key as they are on disk, loaded once and again whenever they are replaced.

    Attributes:
        last_error: Why the pair that is on disk now was not taken up; None: the pair in use is the one on disk.
    """

    def __init__(
        self,
        *,
        certificate: Path,
        private_key: Path,
        load: Callable[[], ssl.SSLContext],
        ca_file: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Load the pair.

        Args:
            load: Returns a new context with the pair that the files hold; raises CertificateError.
            ca_file: Another file that the context depends on; None: there is none.
            clock: The time, aware, by which a new pair is judged.

        Raises:
            CertificateError: It does not load.
        """
        self._certificate = certificate
        self._private_key = private_key
        self._load_context = load
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._clock = clock
        self._stamps = self._stamp()
        self._again_at: datetime | None = None
        self._loaded = self._load(generation=1)
        self.last_error: CertificateError | None = None

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

    def refresh(self) -> bool:
        """
        Take up a new pair when the files have changed; otherwise cost a few stat calls.

        A pair that does not load (replaced in two steps, half-written), does not hold now, or is found worse than the
        old one leaves that in use, sets `last_error` and is tried again when a file changes again, when it begins to
        hold, or when the old one has expired. Safe to call from several threads.

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
            self._take_up(loaded)
            return True

    def _take_up(self, loaded: LoadedPair) -> None:
        """Use a new pair from now on."""
        self._loaded = loaded

    def _require_no_worse(self, loaded: LoadedPair) -> None:
        """Raise CertificateError for a pair that is worse than the one in use; here none is."""

    def _load(self, *, generation: int) -> LoadedPair:
        facts = inspect_certificate(self._certificate)
        digest = hashlib.sha256()
        for path in self._paths():
            digest.update(hashlib.sha256(read_file(path, "file")).digest())
        context = self._load_context()
        return LoadedPair(context, facts, certificate_chain(self._certificate), digest.digest(), generation)

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

    def _stamp(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_stamp(path) for path in self._paths())

    def _paths(self) -> Iterable[Path]:
        return (path for path in (self._certificate, self._private_key, self._ca_file) if path is not None)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Identify a file's content without reading it; the change time is among it so that a chmod is seen too."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
