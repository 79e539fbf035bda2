"""
Keeps the gauges that need a count of the store up to date.

1. What is open is counted every few seconds, whatever the size of the fleet: alerts stand on it.
2. Counting the fleet costs more the larger it is, so that pauses for two hundred times as long as it took.
"""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.domain.errors import ErrorReason, StoreError, foreign_text
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.engine import Store
from oicp_adapter.store.operations import rejections
from oicp_adapter.store.overview import Example, LaneBacklog, LaneCensus, lane_backlog, lane_census, unserved_operators
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Policy, Rejection
from oicp_adapter.sync.schedule import next_scheduled

PAUSE: Final = 5.0
"""Seconds between two counts of what is open."""

STOP_WITHIN: Final = 1.0
"""Seconds that a count under way is waited for at the end; it only reads."""

SHARE: Final = 200
"""The fleet is counted again after so many times the seconds that it took."""

NAMED: Final = 10
"""Rows named in a log line; `oicp-adapter status` has them all."""


class Survey:
    """A thread that counts the lanes' rows."""

    def __init__(self, store: Store, scopes: Mapping[str, LaneScope], metrics: Metrics, *, policy: Policy) -> None:
        """
        Begin nothing yet.

        Args:
            scopes: By the OperatorID that labels the metrics.
            policy: Of all lanes; says when full loads are scheduled.
        """
        self._store = store
        self._scopes = scopes
        self._metrics = metrics
        self._policy = policy
        self._began_at = datetime.now(UTC)
        self._rejected: dict[str, Mapping[str, int]] = {}
        self._unserved: list[Example] = []
        self._stop = threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="survey", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for an end; what is being counted is not shown any more."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end, not for long."""
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN)

    def _run(self) -> None:
        census_at = time.monotonic()
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                self._look_at_what_is_open()
                if time.monotonic() >= census_at:
                    census_at = self._take_census()
                self._note_success()
            except StoreError as error:
                self._log.warning("survey.failed", reason=error.reason, error=str(error))
            except Exception as error:  # noqa: BLE001 - the next count may succeed
                self._log.error("survey.failed", reason=ErrorReason.INTERNAL, exc_info=error)
            pause = PAUSE

    def _look_at_what_is_open(self) -> None:
        for operator, scope in self._scopes.items():
            backlog = lane_backlog(self._store, scope)
            if self._stop.is_set():
                return
            self._show_backlog(operator, backlog)
            self._name_rejected(operator, scope, backlog.rejected)

    def _take_census(self) -> float:
        """Count the whole fleet; return when it is to be counted again."""
        started = time.monotonic()
        for operator, scope in self._scopes.items():
            census = lane_census(self._store, scope)
            if self._stop.is_set():
                return started
            self._show_census(operator, census)
        self._name_unserved()
        ended = time.monotonic()
        return ended + SHARE * (ended - started)

    def _note_success(self) -> None:
        """Show that the gauges are true; one that stands still for a failed count would look like a fleet at rest."""
        if self._stop.is_set():
            return  # the operators' series may have been removed by now
        now = datetime.now(UTC).timestamp()
        for operator in self._scopes:
            self._metrics.last_survey.labels(operator).set(now)

    def _name_rejected(self, operator: str, scope: LaneScope, counts: Mapping[str, int]) -> None:
        """Log which rows never leave the house when that changes, the first few with what to do about them."""
        if counts == self._rejected.get(operator, {}):
            return
        self._rejected[operator] = counts
        first = rejections(self._store, scope.lane, limit=NAMED)
        named = [f"{foreign_text(each.evse_id, 60)}: {each.detail}" for each in first]
        what = ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items())) or "none any more"
        self._log.warning("fleet.rejected", operator=operator, reason=what, first=named)

    def _name_unserved(self) -> None:
        """Count the rows whose operator no lane serves, under no operator's name, and log them when they change."""
        served = {key for scope in self._scopes.values() for key in scope.operator_keys}
        found = list(unserved_operators(self._store, served))
        if self._stop.is_set():
            return
        rows = self._metrics.rejected.labels("", Rejection.OPERATOR_NOT_SERVED)
        rows.set(sum(number for _, number, _ in found))
        if found != self._unserved:
            self._unserved = found
            named = [
                f"{number} of {foreign_text(operator, 60)}, as {foreign_text(evse_id, 60)}"
                for operator, number, evse_id in found[:NAMED]
            ]
            self._log.warning("fleet.not_served", reason=f"{len(found)} operators", first=named)

    def _show_backlog(self, operator: str, backlog: LaneBacklog) -> None:
        metrics, position = self._metrics, backlog.position
        if position.last_success_at is not None:
            metrics.last_success.labels(operator).set(position.last_success_at.timestamp())
        if position.full_load_at is not None:
            metrics.last_full_load.labels(operator).set(position.full_load_at.timestamp())
        due = next_scheduled(position.full_load_at or self._began_at, self._policy)
        metrics.next_full_load.labels(operator).set(due.timestamp() if due is not None else 0)
        for reason in Rejection:
            metrics.rejected.labels(operator, reason).set(backlog.rejected.get(reason, 0))
        metrics.pending_evses.labels(operator).set(backlog.pending)
        oldest = backlog.oldest_pending
        metrics.oldest_pending.labels(operator).set(oldest.timestamp() if oldest is not None else 0)
        metrics.quarantined.labels(operator).set(backlog.quarantined + sum(backlog.rejected.values()))
        metrics.held_withdrawals.labels(operator).set(backlog.held)

    def _show_census(self, operator: str, census: LaneCensus) -> None:
        for status in OicpStatus:
            self._metrics.evses.labels(operator, status).set(census.acknowledged.get(status, 0))
        open_ended = census.open_ended_since
        self._metrics.oldest_open_ended_window.labels(operator).set(open_ended.timestamp() if open_ended else 0)
        for (kind, state), number in census.windows.items():
            self._metrics.windows.labels(operator, kind, state).set(number)
