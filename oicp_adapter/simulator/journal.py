"""
Remembers what arrived at the hub: the oracle for single flight, rate and staleness, seen from the hub's side.

1. A request is in progress from its first byte to its answer, or until its connection was cut or given up.
2. Everything is bounded; counters go on when the entries they counted are forgotten.
"""

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.domain.errors import foreign_text

WINDOW: Final = timedelta(seconds=60)
"""Length of the rolling window in which the hub counts calls. Source: Acceptable Use Policy."""


@dataclass(slots=True, eq=False)
class Exchange:
    """
    One push request as the hub saw it; filled in while it goes on.

    Attributes:
        number: Counts the requests of this hub, from 1.
        operator: As the URL spells it.
        action: ActionType; None: the body broke the grammar, or has not been read.
        records: How many the body carried.
        received_at: Arrival of the first byte.
        admitted: It is within the rate limit; else it is answered 429, whatever it says.
        answered_at: When the answer was handed over; None: not yet, or never.
        given_up_at: When the connection was cut by either side before an answer; None: it was not.
        http_status: Of the answer, whether or not it was delivered; None: none was made.
        code: Hubject's status code in that answer.
        overlap: Another request of the same operator was in progress at the same time.
        applied_at: When it changed what the hub holds, once for each time.
        fault: Kind of the injected fault; None: none.
    """

    number: int
    operator: str
    received_at: datetime
    admitted: bool = True
    action: str | None = None
    records: int = 0
    answered_at: datetime | None = None
    given_up_at: datetime | None = None
    http_status: int | None = None
    code: str | None = None
    overlap: bool = False
    applied_at: tuple[datetime, ...] = ()
    fault: str | None = None
    process_id: str | None = None

    @property
    def applied(self) -> bool:
        """Whether the hub performed it at least once so far."""
        return bool(self.applied_at)

    def as_json(self) -> dict[str, object]:
        """Return the entry as the admin endpoint shows it."""
        return asdict(self) | {"operator": foreign_text(self.operator), "applied": self.applied}


@dataclass(slots=True)
class Rolling:
    """
    Counts events in a rolling window.

    Attributes:
        peak: The largest count of any window so far.
    """

    times: deque[datetime] = field(default_factory=deque)
    peak: int = 0

    def count(self, now: datetime) -> int:
        """Return how many events the window that ends at *now* holds; one exactly 60 s old no longer counts."""
        while self.times and now - self.times[0] >= WINDOW:
            self.times.popleft()
        return len(self.times)

    def add(self, now: datetime) -> None:
        """Note one event at *now*, which must not lie before the last one."""
        self.times.append(now)
        self.peak = max(self.peak, self.count(now))


class Journal:
    """
    The hub's book of requests.

    Attributes:
        entries: The newest requests, oldest first; at most as many as asked for.
        counters: `requests`, `records`, `applied`, `overlaps`, `unanswered`, and `answer:<status>/<code>` for each.
        last_overlaps: Operators and request numbers of the newest overlaps.
    """

    def __init__(self, size: int) -> None:
        self.entries: deque[Exchange] = deque(maxlen=size)
        self.counters: Counter[str] = Counter()
        self.last_overlaps: deque[tuple[str, int]] = deque(maxlen=100)
        self._numbers = 0
        self._open: dict[str, list[Exchange]] = {}
        self._ended_at: dict[str, datetime] = {}
        self._arrivals: dict[str, Rolling] = {}

    def begin(self, *, key: str, operator: str, received_at: datetime, admitted: bool = True) -> Exchange:
        """Note a request whose first byte arrived at *received_at*; *key* is the operator canonically."""
        self._numbers += 1
        entry = Exchange(self._numbers, operator, received_at, admitted)
        in_progress = self._open.setdefault(key, [])
        ended_at = self._ended_at.get(key)
        if in_progress or (ended_at is not None and ended_at > received_at):
            entry.overlap = True
            self.counters["overlaps"] += 1
            self.last_overlaps.append((operator, entry.number))
        for other in in_progress:
            other.overlap = True
        in_progress.append(entry)
        self.entries.append(entry)
        self.counters["requests"] += 1
        self._arrivals.setdefault(key, Rolling()).add(received_at)
        return entry

    def end(self, entry: Exchange, *, key: str, now: datetime, answered: bool) -> None:
        """Note that a request is no longer in progress; the second end of one request says nothing new."""
        in_progress = self._open.get(key, [])
        if entry not in in_progress:
            return
        in_progress.remove(entry)
        if not in_progress:
            self._open.pop(key, None)
        self._ended_at[key] = now
        if answered:
            entry.answered_at = now
            self.counters[f"answer:{entry.http_status}/{entry.code or '-'}"] += 1
        else:
            entry.given_up_at = now
            self.counters["unanswered"] += 1

    def applied(self, entry: Exchange, *, records: int, now: datetime) -> None:
        """Note that a request changed what the hub holds."""
        entry.applied_at += (now,)
        self.counters["applied"] += 1
        self.counters["records"] += records

    def peak_per_minute(self, key: str) -> int:
        """Return the most requests of one operator in any rolling minute, refused ones included."""
        arrivals = self._arrivals.get(key)
        return arrivals.peak if arrivals else 0
