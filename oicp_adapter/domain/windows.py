"""Holds what a temporary status is: a half-open window of time in which one of four kinds applies to an EVSE."""

from dataclasses import dataclass
from datetime import datetime

from oicp_adapter.domain.statuses import TemporaryStatus


@dataclass(frozen=True, slots=True)
class Window:
    """
    One row of `temporary_status`.

    Attributes:
        id: Its primary key.
        kind: Which of the four statuses it sets.
        valid_from: First instant at which it applies; aware, UTC.
        valid_to: First instant at which it no longer applies; None: until ended.
        ended_at: When a person or a system ended it before its time; it no longer applies at that instant.
    """

    id: int
    kind: TemporaryStatus
    valid_from: datetime
    valid_to: datetime | None = None
    ended_at: datetime | None = None

    @property
    def end(self) -> datetime | None:
        """The first instant at which it no longer applies, None when that is not known yet."""
        if self.valid_to is None or self.ended_at is None:
            return self.valid_to or self.ended_at
        return min(self.valid_to, self.ended_at)

    def applies(self, now: datetime) -> bool:
        """Tell whether it applies at an instant: from its start, no longer at its end."""
        end = self.end
        return self.valid_from <= now and (end is None or now < end)

    def next_boundary(self, now: datetime) -> datetime | None:
        """Return the first instant after *now* at which it starts or ends, None when there is none."""
        end = self.end
        if end is not None and end <= max(self.valid_from, now):
            return None
        return self.valid_from if now < self.valid_from else end
