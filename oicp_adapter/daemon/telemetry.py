"""
Says what a lane does, in metrics, in log lines and in traces.

1. Counts at info, EVSE IDs at debug only; Hubject's Process-ID with every push.
2. A failure that repeats is counted by the log's own filter, so it may be reported each time here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog
from opentelemetry.trace import Tracer

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.tracing import PushTracer
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.store.sweep import SweepPage
from oicp_adapter.sync.answers import Answer, Effect, Verdict
from oicp_adapter.sync.exchange import Settled
from oicp_adapter.sync.model import CHANGES, Action, Intent, LaneState, Work
from oicp_adapter.sync.plan import Plan
from oicp_adapter.sync.steps import Round

_WORD: Final = 60


class LaneTelemetry:
    """
    The metrics, the log and the traces of one lane.

    Attributes:
        trace: Is told how far a push has come.
    """

    def __init__(self, operator_id: str, metrics: Metrics, tracer: Tracer | None = None) -> None:
        """
        Show nothing yet.

        Args:
            tracer: Takes the spans of pushes; None: there are none.
        """
        self.trace = PushTracer(operator_id, tracer)
        self._operator = operator_id
        self._metrics = metrics
        self._log = structlog.get_logger().bind(operator=operator_id)
        self._state: LaneState | None = None
        self._told: dict[str, object] = {}

    def state(self, state: LaneState, reason: str | None = None, detail: str | None = None) -> None:
        """Show what the lane is doing; a change of it is a log line, with the reason of a hold."""
        if state is self._state:
            return
        log = self._log.warning if state is LaneState.HELD else self._log.info
        log("lane.state", state=state, before=self._state, reason=reason, detail=detail)
        self._state = state
        for each in LaneState:
            self._metrics.lane_state.labels(self._operator, each).set(each is state)

    def taken(self, epoch: int) -> None:
        """Report that this process leads the lane now."""
        self._log.info("lane.taken", epoch=epoch)

    def given(self, holder: str) -> None:
        """Report that the lane was given to a process that leads fewer."""
        self._log.info("lane.given", holder=holder)

    def lost(self, holder: str | None, epoch: int) -> None:
        """Report that another process leads the lane now."""
        self._log.warning("lane.lost", holder=holder, epoch=epoch)

    def distrusted(self, *, attempt: int, witnessed: int) -> None:
        """Report that the store has lost what it had committed, so that everything is in doubt."""
        self._log.error(
            "store.went_back",
            attempt=attempt,
            witnessed=witnessed,
            consequence="every EVSE is asserted again; no full load before a person asks for it with full-load",
        )

    def hintless(self, why: str | None) -> None:
        """Report why the hints cannot be used, once, and that they can be again; None: they can."""
        if why is not None:
            self._tell_once(
                "hints.unusable", why=why, cure="run `oicp-adapter db upgrade`; until then the sweep finds changes"
            )
        elif self._told.pop("hints.unusable", None) is not None:
            self._log.info("hints.usable")

    def read(self, now: datetime) -> None:
        """Note that the store was read."""
        self._metrics.last_store_read.labels(self._operator).set(now.timestamp())

    def observed(self, found: Round) -> None:
        """Count what a look at the store came to."""
        self.unmapped(Counter(found.unmapped.values()))
        if found.held:
            self._log.warning("withdrawals.held", count=found.held)
        if found.rejected:
            reasons = sorted({item.reason for item in found.rejected})
            self._log.info("evses.rejected", count=len(found.rejected), reasons=reasons)
        for item in found.rejected:
            self._log.debug(
                "evse.rejected", evse=foreign_text(item.evse_id, 60), reason=item.reason, detail=item.detail
            )
        for evse, word in found.unmapped.items():
            self._log.debug("status.unmapped_evse", evse=evse, word=foreign_text(word, _WORD))

    def unmapped(self, words: Mapping[str, int]) -> None:
        """Count words that the table does not know, and tell them once."""
        if words:
            self._metrics.unmapped.labels(self._operator).inc(sum(words.values()))
            shown = sorted({foreign_text(word, _WORD) for word in words})
            self._tell_once("status.unmapped", words=shown[:10])

    def recorded(
        self,
        intent: Intent,
        work: Sequence[Work],
        *,
        answer: Answer,
        verdict: Verdict,
        settled: Settled,
        size: int,
        now: datetime,
    ) -> None:
        """Count and report one exchange of *size* records whose outcome is in the books."""
        operator, action = self._operator, intent.action
        if action is Action.FULL_LOAD:
            self._told.pop("full_load.postponed", None)  # the next day's may wait for the same
        if verdict.code is not None:
            self._metrics.status_codes.labels(operator, verdict.code).inc()
        self._metrics.push_duration.labels(operator, action).observe(answer.duration.total_seconds())
        facts = {
            "action": action,
            "attempt": intent.attempt,
            "records": size,
            "duration_ms": round(answer.duration.total_seconds() * 1000, 1),
            "process_id": answer.process_id,
        }
        traced = self.trace.recorded(intent, work, answer=answer, verdict=verdict, size=size)
        if verdict.effect is Effect.APPLIED:
            self._metrics.push_records.labels(operator, action).observe(size)
            self._succeeded(intent, work, now)
            self._log.info("push.acknowledged", **facts, **traced)
            return
        self._metrics.push_failures.labels(operator, action, verdict.reason).inc()
        # Each push has its line, for the Process-ID; the warning is told once and then counted.
        self._log.info(
            f"push.{verdict.effect}", reason=verdict.reason, http_status=answer.http_status, **facts, **traced
        )
        self._log.warning(
            "push.failing",
            reason=verdict.reason,
            code=verdict.code,
            detail=verdict.detail,
            quarantined=settled.quarantined,
            process_id=answer.process_id,
            **traced,
        )
        for item in intent.records:
            self._log.debug("push.record", evse=item.evse_id, status=item.status, attempt=intent.attempt)

    def overtaken(self, intent: Intent, process_id: str | None) -> None:
        """Report an outcome that came too late: a successor has put the request in doubt already."""
        self._log.warning("push.overtaken", attempt=intent.attempt, epoch=intent.epoch, process_id=process_id)

    def abandoned(self, intent: Intent) -> None:
        """Report a request that a dead or overtaken process left open, and that is in doubt now."""
        self._log.warning(
            "push.abandoned",
            action=intent.action,
            records=len(intent.records),
            epoch=intent.epoch,
            attempt=intent.attempt,
        )

    def shadowed(self, chosen: Plan) -> None:
        """Report what would have been sent."""
        self._tell_once("push.shadowed", action=chosen.action, records=len(chosen.work))

    def full_load_postponed(self, why: str) -> None:
        """Report why a full load that is due does not go out."""
        self._tell_once("full_load.postponed", why=why)

    def swept_page(self, page: SweepPage) -> None:
        """Report differences that no hint had announced."""
        if page.registered or page.differing:
            self._log.info("sweep.found", registered=page.registered, differing=page.differing)
        if page.rejected:
            self._log.info("evses.rejected", count=page.rejected, reasons=sorted(page.reasons))

    def swept(self, now: datetime) -> None:
        """Note the end of a full comparison."""
        self.read(now)
        self._log.debug("sweep.done")

    def _succeeded(self, intent: Intent, work: Sequence[Work], now: datetime) -> None:
        operator, action = self._operator, intent.action
        self._metrics.pushes.labels(operator, action).inc()
        self._metrics.last_success.labels(operator).set(now.timestamp())
        if action is Action.FULL_LOAD:
            self._metrics.last_full_load.labels(operator).set(intent.started_at.timestamp())
        at = now.timestamp()
        lags = [max(0.0, at - item.since.timestamp()) for item in work if item.reason in CHANGES]
        self._metrics.propagation.labels(operator).observe(*lags)
        for item in work:
            if item.edge is not None:
                self._metrics.window_lag.labels(operator, item.edge).observe(max(0.0, at - item.since.timestamp()))

    def _tell_once(self, event: str, **facts: object) -> None:
        """Log a condition that lasts when it begins or changes, not each time it is met."""
        if self._told.get(event) != facts:
            self._told[event] = facts
            self._log.warning(event, **facts)
