"""
Runs one process, from start to a clean end: its lanes, their monitoring endpoints, and settings that change meanwhile.

1. The first request to stop finishes what is under way and hands the lanes over; the second one cuts it.
2. New settings are built whole before the old ones are let go; what cannot be built leaves everything as it is.
3. A signal handler only puts a word into a queue: it may interrupt any line, so it must take no lock.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

import structlog

from oicp_adapter import __version__
from oicp_adapter.daemon.configuration import Configuration, lanes_differ
from oicp_adapter.daemon.crew import Crew
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.monitoring import monitoring_app
from oicp_adapter.daemon.service_manager import ServiceManager, lanes_in_words
from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.serving import BackgroundServer
from oicp_adapter.settings import Settings

RELOAD: Final = signal.SIGHUP.name
"""The request to read the settings again."""


class Daemon:
    """One process: its lanes, its monitoring endpoints, and its end."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        build: Callable[[Settings], Crew],
        in_use: Callable[[Settings], object],
        metrics: Metrics,
        manager: ServiceManager,
        housekeeping: Callable[[], None],
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Build the lanes and listen on the monitoring endpoint; nothing runs yet.

        Args:
            build: Makes lanes that are not started; raises AdapterError when the settings cannot be used.
            in_use: Called with settings after they were taken up anew.
            housekeeping: Called about once a second; must be quick.
            closing: Called at the very end, within seconds.

        Raises:
            ConfigurationError: The monitoring endpoint's address cannot be had.
            AdapterError: What `build` raises.
        """
        self._configuration = configuration
        self._build = build
        self._in_use = in_use
        self._metrics = metrics
        self._manager = manager
        self._housekeeping = housekeeping
        self._closing = closing
        self._requests: SimpleQueue[str] = SimpleQueue()
        self._reload_asked = False
        self._stopping = False
        self._log = structlog.get_logger()
        self._leaving: list[Crew] = []
        self._crew = build(configuration.current)
        try:
            self._monitoring = self._listen(configuration.current)
        except ConfigurationError:
            self._crew.close()
            raise

    @property
    def url(self) -> str:
        """Where the monitoring endpoints are."""
        return self._monitoring.url

    def run(self) -> None:
        """Work until asked to stop, by SIGTERM, SIGINT or `stop`."""
        self._heed_signals()
        self._show_operators()
        self._monitoring.start()
        self._log.info("daemon.started", version=__version__, lanes=len(self._crew.working), monitoring=self.url)
        self._crew.start()
        self._manager.ready(self._words())
        try:
            dead = self._watch()
        finally:  # also after an error of our own: what is under way is recorded, and the lanes are handed over
            self._drain()
        if dead:
            raise RuntimeError(f"the thread of {', '.join(dead)} ended by itself")
        self._log.info("daemon.stopped")

    def stop(self, why: str = "stop") -> None:
        """Ask for an end; a second time cuts what is under way. Safe in a signal handler."""
        self._requests.put(why)

    def reload(self) -> None:
        """Ask for the settings to be read again. Safe in a signal handler."""
        self._requests.put(RELOAD)

    def _watch(self) -> Sequence[str]:
        """Keep house until asked to stop; a lane whose thread ended by itself ends the daemon, and is returned."""
        dead: Sequence[str] = ()
        while not dead and not self._asked_to_stop(timeout=1.0):
            self._housekeeping()
            if self._reload_asked:  # settings that are the same say nothing of the files that they name
                self._crew.tell_certificates()
            self._configuration.renew(self._take_up, asked=self._reload_asked)
            self._reload_asked = False
            self._dismiss()
            if self._not_alive() is None:
                self._manager.alive(self._words())
            dead = self._crew.dead
        if dead:
            self._log.critical("daemon.lane_died", lanes=dead)
        return dead

    def _asked_to_stop(self, *, timeout: float) -> bool:
        """Tell whether somebody asks for an end within so many seconds; note whether for a reload."""
        with suppress(Empty):
            while (why := self._requests.get(timeout=timeout)) == RELOAD:
                self._reload_asked, timeout = True, 0.0
            self._log.info("daemon.stopping", why=why, cutting=self._stopping)
            return True
        return False

    def _take_up(self, settings: Settings) -> None:
        """
        Let new settings replace those in use.

        Raises:
            AdapterError: They cannot be used, and nothing has changed.
        """
        current = self._configuration.current
        crew = self._build(settings) if lanes_differ(settings, current) else None
        try:
            if settings.monitoring != current.monitoring:
                self._move(settings, current)
        except Exception:
            if crew is not None:
                crew.close()
            raise
        # All that can fail is done.
        self._manager.reloading()
        if crew is not None:
            before, self._crew = self._crew, crew
            self._show_operators()
            before.stop()
            self._leaving.append(before)
            crew.start(after=self._leaving)
        self._in_use(settings)
        self._manager.ready(self._words())

    def _move(self, settings: Settings, current: Settings) -> None:
        """
        Listen where new settings say.

        Raises:
            ConfigurationError: That address cannot be had; the old one is served on.
        """
        same_port = settings.monitoring.port == current.monitoring.port != 0
        if same_port:
            self._listen(settings, port=0).stop()  # an address that is not ours is found out before
            self._monitoring.stop()  # two addresses may overlap, and only one of us could have the port
        try:
            monitoring = self._listen(settings)
        except ConfigurationError:
            if same_port:
                self._monitoring = self._listen(current)
                self._monitoring.start()
            raise
        monitoring.start()
        if not same_port:
            self._monitoring.stop()
        self._monitoring = monitoring
        self._log.info("monitoring.moved", monitoring=self.url)

    def _dismiss(self) -> None:
        """Let go of lanes that were replaced and have ended, and of the series of operators that nobody works for."""
        for crew in list(self._leaving):
            if crew.overdue:
                crew.abort()
            if crew.over:
                crew.close()
                self._leaving.remove(crew)
                self._metrics.forget(set(crew.operators).difference(*(each.working for each in self._crews)))
                self._show_operators()

    def _show_operators(self) -> None:
        self._metrics.serve(self._crew.operators)
        self._metrics.show_mode(self._crew.operators, self._crew.mode)

    @property
    def _crews(self) -> Sequence[Crew]:
        return [*self._leaving, self._crew]

    def _drain(self) -> None:
        self._stopping = True
        self._manager.stopping(self._words())
        for crew in self._crews:
            crew.stop()
        while not all(crew.over or crew.overdue for crew in self._crews) and not self._asked_to_stop(timeout=0.05):
            pass
        for crew in self._crews:
            crew.close()
        self._monitoring.stop()
        self._closing()

    def _listen(self, settings: Settings, *, port: int | None = None) -> BackgroundServer:
        app = monitoring_app(self._metrics, not_alive=self._not_alive, not_ready=self._not_ready)
        wanted = settings.monitoring.port if port is None else port
        return BackgroundServer(app, host=settings.monitoring.host, port=wanted, what="monitoring endpoint")

    def _heed_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._requests.put(signal.Signals(number).name)

    def _words(self) -> str:
        return self._not_ready() or lanes_in_words(self._metrics, self._crew.working)

    def _not_alive(self) -> str | None:
        return next((why for crew in self._crews if (why := crew.not_alive()) is not None), None)

    def _not_ready(self) -> str | None:
        if self._stopping:
            return "draining: asked to stop, finishing what is under way"
        return self._crew.not_ready()
