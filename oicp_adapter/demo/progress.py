"""
Measures how long changes take to be acknowledged, from a series of looks at the store and at the ledger.

A change that comes and goes between two looks is not seen; what is seen is measured by the instants that the store
holds, not by the times of the looks.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.demo.judgement import Wanted
from oicp_adapter.domain.statuses import OicpStatus

_REMEMBERED: Final = 100_000
"""Measurements that the percentiles are drawn from; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the ledger says of one EVSE: the status that the hub confirmed last (None: nothing), and when."""

    status: str | None
    at: datetime | None


NOTHING: Final = Acknowledged(None, None)


@dataclass(frozen=True, slots=True)
class Standing:
    """
    One EVSE between its charger and the hub.

    Attributes:
        charger: The charger's own word.
        temporary: The kind of the window that won; None: none applies.
        published: What the hub should hold.
        acknowledged: What the hub confirmed last; None: nothing yet.
        since: When it last changed, in whatever way.
        lag: How long the last change took, or how long the present one has waited; None: none was seen.
    """

    evse_id: str
    charger: str
    temporary: str | None
    published: OicpStatus
    acknowledged: str | None
    since: datetime | None
    lag: timedelta | None

    @property
    def waits(self) -> bool:
        """Whether the hub has not confirmed what it should hold."""
        return self.acknowledged != self.published


@dataclass(slots=True)
class _Change:
    published: OicpStatus
    at: datetime
    lag: timedelta | None = None


class Progress:
    """
    Follows every EVSE from look to look.

    Attributes:
        lags: Seconds that changes after the start took, one each.
    """

    def __init__(self, start: datetime) -> None:
        """Begin at *start*; what changed before is not measured."""
        self.lags: deque[float] = deque(maxlen=_REMEMBERED)
        self._start = start
        self._changes: dict[tuple[str, str], _Change] = {}

    def look(
        self, wanted: Iterable[Wanted], ledger: Mapping[tuple[str, str], Acknowledged], now: datetime
    ) -> Sequence[Standing]:
        """Return where every EVSE stands at *now*; *ledger* is by lane and canonical EvseID."""
        return [self._stand(each, ledger.get((each.lane, each.key), NOTHING), now) for each in wanted]

    def _stand(self, each: Wanted, held: Acknowledged, now: datetime) -> Standing:
        published = each.resolution.oicp
        change = self._changes.get((each.lane, each.key))
        if change is None or change.published is not published:
            change = self._changes[each.lane, each.key] = _Change(published, each.since or now)
        waits = held.status != published
        if not waits and change.lag is None and held.at is not None and held.at >= change.at >= self._start:
            change.lag = held.at - change.at
            self.lags.append(change.lag.total_seconds())
        window = each.resolution.window
        return Standing(
            evse_id=each.row.evse_id,
            charger=each.row.status,
            temporary=window.kind if window is not None else None,
            published=published,
            acknowledged=held.status,
            since=each.since,
            lag=now - change.at if waits else change.lag,
        )


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the smallest value that at least a *share* (0 to 1) of all does not exceed; None without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
