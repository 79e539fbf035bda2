"""
Follows how long a change takes to be acknowledged by the hub, from the daemon's own histogram.

1. The daemon counts since it started; what happened between two looks is the difference of two of them. Counts that
   went down are those of a daemon that was started anew.
2. What is kept is bounded, and a daemon that does not answer is said to be silent, never shown as well.
"""

import http.client
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from oicp_adapter.settings import Settings
from oicp_adapter.store.engine import system_clock

EVERY: Final = timedelta(seconds=5)
"""Between two looks."""

KEPT: Final = 720
"""Looks that are remembered: an hour."""

_PATIENCE: Final = 2.0
_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of an answer that are read; metrics of a hundred lanes have a tenth of it."""

_BUCKETS: Final = "oicp_adapter_status_propagation_seconds_bucket"
_STATE: Final = "oicp_adapter_lane_state"
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on

# The environment's proxies are not asked for what is on this machine.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class DaemonLook:
    """
    What the daemon's metrics said at one instant.

    Attributes:
        counts: Changes acknowledged since the daemon started, by the upper bound of their time in seconds, cumulative,
            all lanes together.
        lanes: The state of each lane by its OperatorID.
        silent: Why there is nothing to tell; None: it answered.
    """

    at: datetime
    counts: Mapping[float, float]
    lanes: Mapping[str, str]
    silent: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """
    The changes that were acknowledged within a span of time.

    Attributes:
        changes: How many; None: the daemon did not answer.
        median: Seconds that half of them took at most; None: there were none.
        slowest: Seconds that 95 of 100 took at most; None: there were none.
    """

    start: datetime
    changes: int | None
    median: float | None
    slowest: float | None


class Propagation:
    """Asks the daemon's metrics from time to time; safe for use by several threads."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] = system_clock) -> None:
        """
        Ask nothing yet.

        Args:
            url: Of the monitoring endpoints.
        """
        self._url = url
        self._clock = clock
        self._looks: deque[DaemonLook] = deque(maxlen=KEPT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="propagation", daemon=True)

    def start(self) -> None:
        """Begin to ask, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE * 2)

    def look(self) -> DaemonLook:
        """Ask now, and remember the answer, or that there is none; whatever fails, it raises nothing."""
        counts: Mapping[float, float] = {}
        lanes: Mapping[str, str] = {}
        try:
            text, silent = _metrics(self._url)
            counts, lanes = read_metrics(text)
        except Exception as error:  # noqa: BLE001 - the thread would end, and the last look be shown for ever
            silent = f"the daemon's metrics at {self._url} cannot be read ({type(error).__name__})"
        look = DaemonLook(self._clock(), counts, lanes, silent)
        self._looks.append(look)
        return look

    @property
    def latest(self) -> DaemonLook | None:
        """The last answer; None: it was not asked yet."""
        looks = tuple(self._looks)
        return looks[-1] if looks else None

    @property
    def since(self) -> datetime | None:
        """When it was asked first, as far as that is remembered; None: it was not asked yet."""
        looks = tuple(self._looks)
        return looks[0].at if looks else None

    def spans(self, *, parts: int, length: timedelta) -> Sequence[Span]:
        """
        Return the last spans of time, the oldest first, up to the last look.

        Args:
            parts: How many spans.
            length: Of each.
        """
        looks = tuple(self._looks)
        if not looks:
            return []
        first = looks[-1].at - parts * length
        return [_span(looks, first + number * length, length) for number in range(parts)]

    def _follow(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(EVERY.total_seconds())


def propagation_of(settings: Settings) -> Propagation:
    """Return what follows the daemon that the settings describe."""
    host = _ANYWHERE.get(settings.monitoring.host, settings.monitoring.host)
    shown = f"[{host}]" if ":" in host else host
    return Propagation(f"http://{shown}:{settings.monitoring.port}")


def read_metrics(text: str) -> tuple[Mapping[float, float], Mapping[str, str]]:
    """Return the cumulative counts of all lanes together, and the state of each lane; of odd text nothing."""
    wanted = [line for line in text.splitlines() if line.startswith((f"{_BUCKETS}{{", f"{_STATE}{{"))]
    counts: dict[float, float] = {}
    lanes: dict[str, str] = {}
    try:
        for family in text_string_to_metric_families("\n".join(wanted)):
            for sample in family.samples:
                if sample.name == _BUCKETS:
                    bound = float(sample.labels["le"])
                    counts[bound] = counts.get(bound, 0.0) + sample.value
                elif sample.value:
                    lanes[sample.labels["operator"]] = sample.labels["state"]
    except (ValueError, KeyError):
        return {}, {}
    return counts, lanes


def quantile(counts: Mapping[float, float], share: float) -> float | None:
    """
    Return the seconds within which a share of the changes was acknowledged, as finely as the bounds allow.

    Args:
        counts: Cumulative, by upper bound.

    Returns:
        The greatest finite bound when it lies beyond; None: there were no changes.
    """
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    rank = share * total
    below, before = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= rank:
            if bound == float("inf"):
                return below
            inside = counts[bound] - before
            return below + (bound - below) * ((rank - before) / inside if inside else 1.0)
        below, before = bound, counts[bound]
    return below


def _span(looks: Sequence[DaemonLook], start: datetime, length: timedelta) -> Span:
    gained: dict[float, float] = {}
    answered = False
    for earlier, later in pairwise(looks):
        if start < later.at <= start + length and not (earlier.silent or later.silent):
            answered = True
            for bound, count in _gained(earlier, later).items():
                gained[bound] = gained.get(bound, 0.0) + count
    if not answered:
        return Span(start, None, None, None)
    return Span(start, round(max(gained.values(), default=0.0)), quantile(gained, 0.5), quantile(gained, 0.95))


def _gained(earlier: DaemonLook, later: DaemonLook) -> Mapping[float, float]:
    before = earlier.counts
    if any(count < before.get(bound, 0.0) for bound, count in later.counts.items()):
        return later.counts
    return {bound: count - before.get(bound, 0.0) for bound, count in later.counts.items()}


def _metrics(url: str) -> tuple[str, str | None]:
    """Return the metrics, and why there are none."""
    try:
        with _OPENER.open(f"{url}/metrics", timeout=_PATIENCE) as answer:
            return answer.read(_LIMIT).decode(errors="replace"), None
    except urllib.error.HTTPError as refused:
        with refused:
            return "", f"the daemon's metrics at {url} answer {refused.code}"
    except (OSError, http.client.HTTPException, ValueError):
        return "", f"the daemon does not answer at {url}: is it running?"
