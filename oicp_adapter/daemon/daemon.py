"""
Runs all lanes of one process, from start to a clean end.

1. The first request to stop finishes what is under way and hands the lanes over; the second one cuts it.
2. The end is bounded: a push that hangs ends at its own deadline, and the store is not waited for beyond a few seconds.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import FrameType
from typing import Final

import structlog

from oicp_adapter import __version__
from oicp_adapter.daemon.lane_thread import LaneThread
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.monitoring import monitoring_app
from oicp_adapter.daemon.survey import Survey
from oicp_adapter.serving import BackgroundServer

STOP_MARGIN: Final = 5.0
"""Seconds beyond the request's time-out within which a stopped daemon ends."""

STALL: Final = timedelta(seconds=60)
"""A lane that has not turned for this long beyond a whole exchange hangs."""


class Daemon:
    """All lanes of one process, their monitoring endpoints, and their end."""

    def __init__(
        self,
        lanes: Sequence[LaneThread],
        *,
        survey: Survey,
        metrics: Metrics,
        host: str,
        port: int,
        request_timeout: timedelta,
        clock: Callable[[], float],
        housekeeping: Callable[[], None],
        closing: Callable[[], None],
    ) -> None:
        """
        Listen on the monitoring endpoint; nothing runs yet.

        Args:
            lanes: Not started.
            clock: The one by which the lanes note their turns.
            housekeeping: Called about once a second; must be quick.
            closing: Called at the very end, to give back what the lanes share.

        Raises:
            ConfigurationError: The monitoring endpoint's address cannot be had.
        """
        self._lanes = lanes
        self._survey = survey
        self._request_timeout = request_timeout
        self._clock = clock
        self._housekeeping = housekeeping
        self._closing = closing
        self._started_at = clock()
        self._stop = threading.Event()
        self._force = threading.Event()
        self._log = structlog.get_logger()
        app = monitoring_app(metrics, not_alive=self._not_alive, not_ready=self._not_ready)
        self._monitoring = BackgroundServer(app, host=host, port=port, what="monitoring endpoint")

    @property
    def url(self) -> str:
        """Where the monitoring endpoints are."""
        return self._monitoring.url

    def run(self) -> None:
        """Work until asked to stop, by SIGTERM, SIGINT or `stop`."""
        self._heed_signals()
        self._monitoring.start()
        self._survey.start()
        self._log.info("daemon.started", version=__version__, lanes=len(self._lanes), monitoring=self.url)
        for lane in self._lanes:
            lane.start()
        while not self._stop.wait(1.0):
            self._housekeeping()
            dead = [lane.operator_id for lane in self._lanes if not lane.alive]
            if dead:
                self._log.critical("daemon.lane_died", lanes=dead)
                raise RuntimeError(f"the thread of {', '.join(dead)} ended by itself")
        self._drain()
        self._log.info("daemon.stopped")

    def stop(self) -> None:
        """Ask for an end; a second time cuts what is under way."""
        if self._stop.is_set():
            self._force.set()
            for lane in self._lanes:
                lane.abort()
        self._stop.set()

    def _drain(self) -> None:
        self._log.info("daemon.stopping")
        for lane in self._lanes:
            lane.stop()
        end = self._clock() + self._request_timeout.total_seconds() + STOP_MARGIN
        for lane in self._lanes:
            while not lane.join(0.1):
                if self._clock() > end or self._force.is_set():
                    lane.abort()
                    if not lane.join(1.0):
                        self._log.error("lane.left_behind", operator=lane.operator_id)
                    break
        self._survey.stop()
        self._monitoring.stop()
        self._closing()

    def _heed_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._log.info("daemon.signal", signal=signal.Signals(number).name)
        self.stop()

    def _not_alive(self) -> str | None:
        limit = (self._request_timeout + STALL).total_seconds()
        for lane in self._lanes:
            if self._clock() - (lane.turned_at or self._started_at) > limit:
                return f"lane {lane.operator_id} has not turned for {limit:.0f} s"
        return None

    def _not_ready(self) -> str | None:
        if self._stop.is_set():
            return "draining: asked to stop, finishing what is under way"
        for lane in self._lanes:
            if lane.trouble is not None:
                return f"lane {lane.operator_id}: {lane.trouble}"
            if lane.turned_at is None:
                return f"starting: lane {lane.operator_id} has not read the store yet"
        return None
