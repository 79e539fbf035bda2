"""
Holds every metric that the daemon exports, with its labels and all their known values.

1. One registry an application: two of them in one process, as in tests, do not see each other.
2. Every label value that is known exists from the start, so that a rate over it never begins with a gap.
3. An EVSE ID is never a label.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import product
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from oicp_adapter import __version__
from oicp_adapter.daemon.histogram import BulkHistogram
from oicp_adapter.domain.statuses import OicpStatus, TemporaryStatus
from oicp_adapter.settings import PushMode
from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.classify import CODES, SUCCESS
from oicp_adapter.sync.model import Action, LaneState, Rejection, WindowEdge

_PREFIX: Final = "oicp_adapter"
_SECONDS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000, 1_000_000)

KNOWN_CODES: Final = tuple(sorted((SUCCESS, *CODES)))
"""Status codes that a push can meet; another one gets its series when it first appears."""


MetricOfLane = TypeVar("MetricOfLane", Gauge, Counter, Histogram)


class WindowState(StrEnum):
    """Where a window stands, as the metric `windows` shows it."""

    ACTIVE = "active"
    """It applies now."""

    UPCOMING = "upcoming"
    """It is ahead."""


class Metrics:
    """All metrics of one application."""

    def __init__(self, operators: Iterable[str] = ()) -> None:
        """
        Register the metrics.

        Args:
            operators: As for `serve`.
        """
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        self.registry = CollectorRegistry()
        self._of_lanes: list[Gauge | Counter | Histogram] = []
        self._served: set[str] = set()
        lane = ("operator",)
        ProcessCollector(namespace=_PREFIX, registry=self.registry)
        Info(f"{_PREFIX}_build", "The version that runs.", registry=self.registry).info({"version": __version__})
        self.config_reloaded = Gauge(
            f"{_PREFIX}_config_last_reload_successful",
            "1: the settings that were read last are in use; 0: they hold an error, and the earlier ones stay in use.",
            registry=self.registry,
        )
        self.config_reloaded.set(1)
        self.config_reloaded_at = Gauge(
            f"{_PREFIX}_config_last_reload_success_timestamp_seconds",
            "When the settings in use were last read without an error.",
            registry=self.registry,
        )
        self.evses = self._gauge("evses", "EVSEs by the OICP status that the hub acknowledged.", (*lane, "status"))
        self.pending_evses = self._gauge("pending_evses", "EVSEs whose change the hub has not acknowledged.", lane)
        self.oldest_pending = self._gauge(
            "oldest_pending_timestamp_seconds", "When the oldest unacknowledged change was made; 0: none.", lane
        )
        self.quarantined = self._gauge("quarantined_evses", "EVSEs that the hub or we refuse.", lane)
        self.rejected = self._gauge("rejected_evses", "Rows that never leave the house, by reason.", (*lane, "reason"))
        self.held_withdrawals = self._gauge("held_withdrawals", "Withdrawals that wait for approval.", lane)
        self.lane_state = self._gauge("lane_state", "1 for the state that the lane is in, else 0.", (*lane, "state"))
        self.push_mode = self._gauge("push_mode", "1 for what push.mode says, else 0.", (*lane, "mode"))
        self.windows = self._gauge("windows", "Temporary statuses by kind and state.", (*lane, "kind", "state"))
        self.last_success = self._gauge(
            "last_successful_push_timestamp_seconds", "When the hub last performed a push; 0: never yet.", lane
        )
        self.last_full_load = self._gauge(
            "last_full_load_timestamp_seconds", "When the last acknowledged full load started; 0: never yet.", lane
        )
        self.next_full_load = self._gauge(
            "next_full_load_timestamp_seconds",
            "When the full load after the last acknowledged one is or was due; 0: none is scheduled.",
            lane,
        )
        self.oldest_open_ended_window = self._gauge(
            "oldest_open_ended_window_timestamp_seconds",
            "Start of the temporary status that applies for the longest of those without an end; 0: none.",
            lane,
        )
        self.last_store_read = self._gauge(
            "last_store_read_timestamp_seconds", "When the lane last read the store; 0: never yet.", lane
        )
        self.last_survey = self._gauge(
            "last_survey_timestamp_seconds",
            "When what is counted from the store (EVSEs, windows, what is pending) was last counted; 0: never yet.",
            lane,
        )
        self.certificate_not_after = self._gauge(
            "client_certificate_not_after_timestamp_seconds",
            "When the client certificate in use expires, or the first of the intermediates in its file.",
            lane,
        )
        self.certificate_reloaded = self._gauge(
            "client_certificate_last_reload_successful",
            "1: the client certificate on disk is in use; 0: it was replaced by one that cannot be used.",
            lane,
        )
        self.pushes = self._counter("pushes", "Requests that the hub performed.", (*lane, "action"))
        self.push_failures = self._counter(
            "push_failures", "Requests that were not acknowledged, by reason.", (*lane, "action", "reason")
        )
        self.status_codes = self._counter("status_codes", "Answers of the hub by status code.", (*lane, "code"))
        self.unmapped = self._counter("unmapped_statuses", "Status words read that the table does not know.", lane)
        self.propagation = BulkHistogram(
            f"{_PREFIX}_status_propagation_seconds",
            "From a committed change or a reached boundary to its acknowledgement.",
            lane,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.push_duration = self._histogram(
            "push_duration_seconds", "From the start of an exchange to its end.", (*lane, "action")
        )
        self.push_records = self._histogram(
            "push_records", "Records in a request.", (*lane, "action"), buckets=_RECORDS
        )
        self.window_lag = self._histogram(
            "window_lag_seconds", "From a window's boundary to its acknowledgement.", (*lane, "edge")
        )
        self.serve(operators)

    def serve(self, operators: Iterable[str]) -> None:
        """
        Create every series of these operators that is known; those that exist stay as they are.

        Args:
            operators: The OperatorID of each lane, as the settings spell it.
        """
        for operator in set(operators) - self._served:
            self._create_series(operator)
            self._served.add(operator)

    def show_mode(self, operators: Iterable[str], mode: PushMode) -> None:
        """Show what becomes of the requests of these operators."""
        for operator, each in product(operators, PushMode):
            self.push_mode.labels(operator, each).set(each is mode)

    def forget(self, operators: Iterable[str]) -> None:
        """Remove every series of operators that have no lane here any more."""
        for operator in operators:
            self._served.discard(operator)
            for metric in (*self._of_lanes, self.propagation):
                metric.remove_by_labels({"operator": operator})

    def _create_series(self, operator: str) -> None:
        for metric in (
            self.pending_evses, self.oldest_pending, self.quarantined, self.held_withdrawals, self.last_success,
            self.last_full_load, self.next_full_load, self.oldest_open_ended_window, self.last_store_read,
            self.last_survey, self.certificate_not_after, self.unmapped,
        ):  # fmt: skip
            metric.labels(operator)
        self.certificate_reloaded.labels(operator).set(1)
        self.propagation.labels(operator)
        known: list[tuple[Gauge | Counter | Histogram, Iterable[str]]] = [
            (self.evses, OicpStatus),
            (self.rejected, Rejection),
            (self.lane_state, LaneState),
            (self.push_mode, PushMode),
            (self.status_codes, KNOWN_CODES),
            (self.window_lag, WindowEdge),
            (self.pushes, Action),
            (self.push_duration, Action),
            (self.push_records, Action),
        ]
        for with_values, values in known:
            for value in values:
                with_values.labels(operator, value)
        for kind, state in product(TemporaryStatus, WindowState):
            self.windows.labels(operator, kind, state)
        for action, reason in product(Action, Reason):
            self.push_failures.labels(operator, action, reason)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return self._of_lane(Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry))

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return self._of_lane(Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry))

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = _SECONDS
    ) -> Histogram:
        return self._of_lane(Histogram(f"{_PREFIX}_{name}", text, labels, registry=self.registry, buckets=buckets))

    def _of_lane(self, metric: MetricOfLane) -> MetricOfLane:
        self._of_lanes.append(metric)
        return metric
