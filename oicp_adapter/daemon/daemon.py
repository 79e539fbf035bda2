"""
Runs all lanes of one process, from start to a clean end.

1. The first request to stop finishes what is under way and hands the lanes over; the second one cuts it.
2. The end is bounded: a push that hangs ends at its own deadline, and the store is not waited for beyond a few seconds.
3. A signal handler only puts a word into a queue: it may interrupt any line, so it must take no lock.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

import structlog

from oicp_adapter import __version__
from oicp_adapter.daemon.lane_thread import LaneThread
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.monitoring import monitoring_app
from oicp_adapter.daemon.service_manager import ServiceManager, lanes_in_words
from oicp_adapter.daemon.survey import Survey
from oicp_adapter.serving import BackgroundServer

STOP_MARGIN: Final = 3.0
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
        manager: ServiceManager,
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
        self._metrics = metrics
        self._manager = manager
        self._request_timeout = request_timeout
        self._clock = clock
        self._housekeeping = housekeeping
        self._closing = closing
        self._started_at = clock()
        self._requests: SimpleQueue[str] = SimpleQueue()
        self._stopping = False
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
        self._manager.ready(self._words())
        dead = self._watch()
        self._drain()
        if dead:
            raise RuntimeError(f"the thread of {', '.join(dead)} ended by itself")
        self._log.info("daemon.stopped")

    def stop(self, why: str = "stop") -> None:
        """Ask for an end; a second time cuts what is under way. Safe in a signal handler."""
        self._requests.put(why)

    def _watch(self) -> Sequence[str]:
        """Keep house until asked to stop; a lane whose thread ended by itself ends the daemon, and is returned."""
        dead: Sequence[str] = ()
        while not dead and not self._asked(timeout=1.0):
            self._housekeeping()
            if self._not_alive() is None:
                self._manager.alive(self._words())
            dead = [lane.operator_id for lane in self._lanes if not lane.alive]
        self._stopping = True
        if dead:
            self._log.critical("daemon.lane_died", lanes=dead)
        return dead

    def _asked(self, *, timeout: float) -> bool:
        """Tell whether somebody asks for an end within so many seconds."""
        try:
            why = self._requests.get(timeout=timeout)
        except Empty:
            return False
        self._log.info("daemon.stopping", why=why, cutting=self._stopping)
        return True

    def _drain(self) -> None:
        self._manager.stopping(self._words())
        for lane in self._lanes:
            lane.stop()
        end = self._clock() + self._request_timeout.total_seconds() + STOP_MARGIN
        while any(lane.alive for lane in self._lanes) and self._clock() <= end and not self._asked(timeout=0.05):
            pass
        for lane in self._lanes:
            if lane.alive:
                lane.abort()
        for lane in self._lanes:
            if not lane.join(1.0):
                self._log.error("lane.left_behind", operator=lane.operator_id)
        self._survey.stop()
        self._monitoring.stop()
        self._closing()

    def _heed_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.stop(signal.Signals(number).name)

    def _words(self) -> str:
        return self._not_ready() or lanes_in_words(self._metrics, [lane.operator_id for lane in self._lanes])

    def _not_alive(self) -> str | None:
        limit = (self._request_timeout + STALL).total_seconds()
        for lane in self._lanes:
            if self._clock() - (lane.turned_at or self._started_at) > limit:
                return f"lane {lane.operator_id} has not turned for {limit:.0f} s"
        return None

    def _not_ready(self) -> str | None:
        if self._stopping:
            return "draining: asked to stop, finishing what is under way"
        for lane in self._lanes:
            if lane.trouble is not None:
                return f"lane {lane.operator_id}: {lane.trouble}"
            if lane.turned_at is None:
                return f"starting: lane {lane.operator_id} has not read the store yet"
        return None
