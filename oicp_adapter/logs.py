"""
Configures the log: one line an event on stderr, an event name and fields, JSON where no person looks.

1. Whatever came from elsewhere is made harmless: no control character survives, long text is cut.
2. A value whose key names a secret is not shown, nor a private key or a password inside a URL, wherever they stand.
3. The same failure again is counted, not logged again, until an event says that it is over.
4. A log that cannot be written never stops the caller.
"""

import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import PurePath
from threading import Lock
from typing import IO, Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from oicp_adapter.settings import LogFormat, LogSettings

REPEATED_AFTER: Final = timedelta(minutes=5)
"""The same failure again is told at most this often, with its count."""

_REMEMBERED: Final = 1000
"""Failures told apart; the one not seen for longest is forgotten, so that no fault grows the memory."""

_TEXT_LIMIT: Final = 2000
_TRACE_LIMIT: Final = 20_000
_DEPTH_LIMIT: Final = 4
_ITEM_LIMIT: Final = 100
_FAILURES: Final = frozenset({"warning", "error", "critical"})
_TRACES: Final = frozenset({"exception", "stack"})
_HIDDEN: Final = "[hidden]"
_SECRET_KEY: Final = re.compile(
    r"passw|passphrase|secret|token|credential|authorization|cookie|api_?key|private_?key(?!_(file|path))|^pem$|_pem$",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)|(?<=://)[^/\s]*:[^/\s]*(?=@)",
    re.DOTALL,
)
_QUIET: Final = ("httpx", "httpcore", "alembic", "sqlalchemy", "uvicorn", "uvicorn.error", "asyncio", "py.warnings")


@dataclass(slots=True)
class _Told:
    at: float
    repeats: int = 0


class RepeatFilter:
    """
    Lets a failure through once, then counts it until it may be told again.

    Two failures are the same when event, reason (or `why`, where there is none) and operator are. What is no failure
    (info, debug) passes. A failure that ended is told with what was still uncounted by `summaries`, which its owner
    calls now and then. An event with a field `over` tells that failures with this event and operator have ended: the
    next one is told anew. So is one with a field `asked`: it answers somebody, each time.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, every: timedelta = REPEATED_AFTER) -> None:
        """Take the time from *clock*, in seconds from any start."""
        self._clock = clock
        self._every = every.total_seconds()
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()
        self._lock = Lock()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Pass the event on, with `repeated` when it stands for several, or raise DropEvent."""
        if event.get("level") not in _FAILURES:
            return event
        reason = event.get("reason", event.get("why", ""))
        key = (str(event.get("event")), str(reason), str(event.get("operator", "")))
        now = self._clock()
        with self._lock:
            told = self._told.get(key)
            if told is not None and now < told.at + self._every and not event.get("asked"):
                told.repeats += 1
                raise structlog.DropEvent
            self._told[key] = _Told(now)
            self._told.move_to_end(key)
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        if told is not None and told.repeats:
            event["repeated"] = told.repeats
        return event

    def forget_what_is_over(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Forget the failures that the event says are over, although nobody may see it: it stands before the level."""
        if (over := event.get("over")) is not None:
            ended, operator = str(over), str(event.get("operator", ""))
            with self._lock:
                for key in [key for key in self._told if (key[0], key[2]) == (ended, operator)]:
                    del self._told[key]
        return event

    def summaries(self) -> Sequence[Mapping[str, object]]:
        """
        Return the fields of one summary for each failure that was repeated and is not told any more; forget them.

        To be logged as `log.repeated` at info; cheap enough to be called every second.
        """
        now = self._clock()
        with self._lock:
            ended = [key for key, told in self._told.items() if now >= told.at + self._every]
            counted = [(key, self._told.pop(key).repeats) for key in ended]
        return [
            {"failure": event, "reason": reason, "operator": operator, "repeated": repeats}
            for (event, reason, operator), repeats in counted
            if repeats
        ]


class _Stream(logging.StreamHandler[IO[str]]):
    """Writes lines, and gives a line up that is only counted, or cannot be written (full disk, reader gone)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; what a library says again is dropped here, and not by an error that would reach the library."""
        with suppress(structlog.DropEvent):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Do nothing: there is nowhere left to tell it."""


def configure_logging(
    settings: LogSettings, *, stream: IO[str] | None = None, repeats: RepeatFilter | None = None
) -> RepeatFilter:
    """
    Configure structlog and the standard library's logging; may be called again.

    Args:
        settings: Format and level.
        stream: Where lines go; None: stderr.
        repeats: What counts repeated failures already, when it is called again; None: a new filter.

    Returns:
        The filter, whose `summaries` the daemon logs now and then.
    """
    target = stream or sys.stderr
    console = settings.format is LogFormat.CONSOLE or (settings.format is LogFormat.AUTO and target.isatty())
    repeats = repeats or RepeatFilter()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        repeats,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        make_harmless,
    ]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[
            repeats.forget_what_is_over,
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    _route_standard_logging(level, target, _formatter(shared, renderer))
    return repeats


def _formatter(shared: Sequence[Processor], renderer: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _route_standard_logging(level: int, target: IO[str], formatter: logging.Formatter) -> None:
    handler = _Stream(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    earlier = [present for present in root.handlers if isinstance(present, _Stream)]
    root.addHandler(handler)
    for present in earlier:
        root.removeHandler(present)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True


def make_harmless(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return the event with secrets hidden, control characters escaped, long text cut and plain values only."""
    for key, value in event.items():
        event[key] = _plain_trace(value) if key in _TRACES else _harmless(key, value, _DEPTH_LIMIT)
    return event


def _harmless(key: str, value: object, depth: int) -> object:
    if _SECRET_KEY.search(key) and value is not None and not isinstance(value, bool):
        return _HIDDEN
    match value:
        case None | bool() | int() | float():
            shown: object = value
        case date():  # also datetime
            shown = value.isoformat()
        case timedelta():
            shown = value.total_seconds()
        case Mapping() if depth:
            first = islice(value.items(), _ITEM_LIMIT)
            shown = {_plain(str(name)): _harmless(str(name), inner, depth - 1) for name, inner in first}
        case list() | tuple() | set() | frozenset() if depth:
            shown = [_harmless(key, inner, depth - 1) for inner in islice(value, _ITEM_LIMIT)]
        case str() | PurePath() | BaseException():
            shown = _plain(str(value))
        case _:
            shown = _plain(repr(value))
    return shown


def _plain(text: str, limit: int = _TEXT_LIMIT, *, allowed: str = "") -> str:
    """Hide secrets, cut, and escape what does not print, so that no text begins a line of its own."""
    shown = _SECRET_TEXT.sub(_HIDDEN, text[: 2 * limit])[:limit]
    if not shown.isprintable():
        shown = "".join(
            letter if letter.isprintable() or letter in allowed else letter.encode("unicode_escape").decode("ascii")
            for letter in shown
        )
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters)"


def _plain_trace(value: object) -> object:
    """Indent a trace, so that foreign text inside it does not begin a line either."""
    return value if value is None else _plain(str(value), _TRACE_LIMIT, allowed="\n").replace("\n", "\n    ")
