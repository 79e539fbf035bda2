"""
Runs the worker of one lane in a thread of its own, through whatever goes wrong.

1. A store that is away, or an error of our own, costs this lane a wait and no other lane anything.
2. A request to stop is heeded between turns, never inside one: a push that is out is recorded first.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_when_event_set
from tenacity.wait import wait_random_exponential

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.pair_log import follow
from oicp_adapter.daemon.worker import LaneWorker
from oicp_adapter.domain.errors import (
    AdapterError,
    ErrorReason,
    StoreFault,
    StoreUnavailableError,
    error_text,
)
from oicp_adapter.domain.identifiers import CanonicalOperatorId
from oicp_adapter.oicp.client import HubClient
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.store.lanes import LaneStore

LONGEST_STORE_WAIT: Final = timedelta(seconds=5)
"""A store that comes back is noticed within this."""

TURNS_FOR: Final = 1.0
"""Seconds without an error after which a new one is the first again."""

CALM: Final = 30.0
"""
Seconds of good turns after which a trouble is over.

A store that comes and goes faster is one trouble: two lines in half a minute at most, however it flaps.
"""

PREDECESSOR_LOOK: Final = 0.1
"""Seconds between two looks whether this lane shall stop while it waits for another."""

CERTIFICATE_LOOK: Final = 1.0
"""Seconds between two looks whether the certificate on disk was replaced."""


@dataclass(slots=True)
class _Trouble:
    """
    Turns that fail, up to the last one before a calm.

    Attributes:
        began: When the first one failed, in seconds of the lane's clock.
        failures: How many did.
        ended: When the first one after them went well; None: none has yet.
    """

    began: float
    failures: int = 0
    ended: float | None = None


class LaneThread:
    """
    One lane at work.

    Attributes:
        operator_id: As the settings spell it.
        operator_keys: Whose EVSEs it pushes.
        trouble: Why the last turn failed, in words; None: it did not.
        turned_at: When the last turn ended, on the given clock; None: none has.
    """

    def __init__(
        self,
        operator_id: str,
        *,
        operator_keys: frozenset[CanonicalOperatorId],
        worker: LaneWorker,
        store: LaneStore,
        client: HubClient,
        certificate: ClientIdentity,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """
        Begin nothing yet.

        Args:
            store: Of this lane alone, as the client; both are closed at the lane's end.
            certificate: The one that the client shows; a replacement on disk is taken up.
            clock: Seconds from any start, that go on while the host sleeps.
        """
        self.operator_id = operator_id
        self.operator_keys = operator_keys
        self.trouble: str | None = None
        self.turned_at: float | None = None
        self._worker = worker
        self._store = store
        self._client = client
        self._certificate = certificate
        self._metrics = metrics
        self._clock = clock
        self._stop = threading.Event()
        self._predecessors: Sequence[LaneThread] = ()
        self._looked_at = 0.0
        self._certificate_asked = False
        self._spell: _Trouble | None = None
        self._log = structlog.get_logger().bind(operator=operator_id)
        self._thread = threading.Thread(target=self._run, name=f"lane {operator_id}", daemon=True)

    def start(self, *, after: "Sequence[LaneThread]" = ()) -> None:
        """
        Begin to work.

        Args:
            after: Lanes of the same operators that end; they are waited for, since two must not push the same EVSEs.
        """
        self._predecessors = after
        self._show_certificate()
        self._thread.start()

    def stop(self) -> None:
        """Ask for an end after the turn under way."""
        self._stop.set()

    def abort(self) -> None:
        """Cut the exchange under way, whose outcome is then in doubt."""
        self._stop.set()
        self._client.abort()

    def tell_certificate(self) -> None:
        """Have it told anew, within about a second, if the certificate on disk is not the one in use."""
        self._certificate_asked = True

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; tell whether it came. What never began has ended."""
        if self.alive:
            self._thread.join(timeout)
        return not self.alive

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> bool:
        """Whether a lane that this one replaces still works."""
        return any(lane.alive for lane in self._predecessors)

    def _run(self) -> None:
        for lane in self._predecessors:
            while not self._stop.is_set() and not lane.join(PREDECESSOR_LOOK):
                pass
        self._predecessors = ()
        retrying = Retrying(
            retry=retry_if_exception_type(Exception),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_STORE_WAIT.total_seconds()),
            sleep=sleep_using_event(self._stop),
            stop=stop_when_event_set(self._stop),
            before_sleep=self._report,
            reraise=True,
        )
        while not self._stop.is_set():
            try:
                retrying(self._turns)
            except Exception as error:  # noqa: BLE001 - the lane is stopping; what it could not do is reported
                self._log.warning("lane.stopped_in_trouble", error=error_text(error))
        self._end()

    def _turns(self) -> None:
        """Turn for a while: one call through the retries costs more than an idle turn."""
        end = self._clock() + TURNS_FOR
        while not self._stop.is_set() and self._clock() < end:
            self._turn()

    def _turn(self) -> None:
        self._look_at_certificate()
        pause = self._worker.turn()
        self.trouble = None
        self.turned_at = self._clock()
        if self._spell is not None:
            self._look_whether_over(self._spell, self.turned_at)
        if pause:
            self._stop.wait(pause.total_seconds())

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self.trouble = error_text(error)
        self.turned_at = self._clock()
        self._spell = self._spell or _Trouble(self.turned_at)
        self._spell.failures += 1
        self._spell.ended = None
        self._log.error(
            "lane.trouble",
            reason=_reason(error),
            error=self.trouble,
            kind=type(error).__name__,
            exc_info=None if isinstance(error, AdapterError) else error,
        )

    def _look_whether_over(self, spell: _Trouble, now: float) -> None:
        """Tell that a trouble is over once turns have gone well for a while; the next one is then told anew."""
        if spell.ended is None:
            spell.ended = now
        elif now - spell.ended >= CALM:
            self._spell = None
            lasted = round(spell.ended - spell.began, 1)
            self._log.info("lane.recovered", over="lane.trouble", lasted_seconds=lasted, failures=spell.failures)

    def _end(self) -> None:
        try:
            self._worker.release()
        except Exception as error:  # noqa: BLE001 - the end must be reached; the lease runs out by itself
            self._log.warning("lane.not_released", error=error_text(error))
        self._client.close()
        self._store.close()
        self._log.info("lane.stopped", unrecorded=self._worker.unrecorded)

    def _look_at_certificate(self) -> None:
        """Take up a certificate that was replaced on disk; a pair that is no good leaves the old one in use."""
        if self._clock() - self._looked_at < CERTIFICATE_LOOK:
            return
        self._looked_at = self._clock()
        asked, self._certificate_asked = self._certificate_asked, False
        if follow(self._certificate, self._log, asked=asked):
            if self._certificate.doubt is not None:
                self._log.warning("certificate.doubtful", reason=self._certificate.doubt)
            self._show_certificate()
            self._worker.retry_now()
        self._metrics.certificate_reloaded.labels(self.operator_id).set(self._certificate.last_error is None)

    def _show_certificate(self) -> None:
        not_after = self._certificate.facts.endings[0].not_after.timestamp()
        self._metrics.certificate_not_after.labels(self.operator_id).set(not_after)


def _reason(error: BaseException | None) -> ErrorReason | StoreFault:
    """Return what tells one trouble from another in the log: of a store that is away, what keeps it away."""
    if isinstance(error, StoreUnavailableError):
        return error.fault
    return error.reason if isinstance(error, AdapterError) else ErrorReason.INTERNAL
