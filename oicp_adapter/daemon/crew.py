"""
Runs the lanes that one reading of the settings asks for, and what they share, from start to end.

1. A lane starts when every lane that pushed for one of its operators has ended: two must never push the same EVSE. Each
   changes over by itself, so a request that hangs delays its own lane only.
2. The end is bounded: a push that hangs ends at its own deadline, and the store is not waited for beyond a few seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, Self

import structlog

from oicp_adapter.daemon.lane_thread import LaneThread
from oicp_adapter.daemon.survey import Survey
from oicp_adapter.settings import PushMode

STOP_MARGIN: Final = 3.0
"""Seconds beyond the request's time-out within which stopped lanes end."""

STALL: Final = timedelta(seconds=60)
"""A lane that has not turned for this long beyond a whole exchange hangs."""


class Crew:
    """
    The lanes of one reading of the settings.

    Attributes:
        operators: The OperatorID of each configured lane, as the settings spell it, whether or not it works.
        lanes: Those that work.
        mode: What becomes of the requests of all of them.
    """

    def __init__(
        self,
        lanes: Sequence[LaneThread],
        *,
        operators: Sequence[str],
        mode: PushMode,
        survey: Survey,
        request_timeout: timedelta,
        clock: Callable[[], float],
        closing: Callable[[], None],
    ) -> None:
        """
        Start nothing yet.

        Args:
            lanes: Not started; none: nothing is to be pushed.
            clock: The one by which the lanes note their turns.
            closing: Called at the very end, to give back what the lanes share.
        """
        self.operators = operators
        self.lanes = lanes
        self.mode = mode
        self._survey = survey
        self._request_timeout = request_timeout.total_seconds()
        self._clock = clock
        self._closing = closing
        self._started_at = clock()
        self._ends_by: float | None = None
        self._log = structlog.get_logger()

    @property
    def working(self) -> Sequence[str]:
        """The OperatorID of each lane at work."""
        return [lane.operator_id for lane in self.lanes]

    @property
    def dead(self) -> Sequence[str]:
        """The lanes whose threads have ended; before `stop`, by themselves."""
        return [lane.operator_id for lane in self.lanes if not lane.alive]

    @property
    def over(self) -> bool:
        """Whether no lane works any more."""
        return not any(lane.alive for lane in self.lanes)

    @property
    def overdue(self) -> bool:
        """Whether all lanes should have ended by now, since they were asked to."""
        return self._ends_by is not None and self._clock() > self._ends_by

    def start(self, after: Iterable[Self] = ()) -> None:
        """
        Begin to work.

        Args:
            after: Those that have been asked to stop, and have not all ended yet.
        """
        self._started_at = self._clock()
        before = [lane for crew in after for lane in crew.lanes]
        self._survey.start()
        for lane in self.lanes:
            lane.start(after=[each for each in before if each.operator_keys & lane.operator_keys])

    def tell_certificates(self) -> None:
        """Have each lane tell anew of a certificate on disk that is not the one in use."""
        for lane in self.lanes:
            lane.tell_certificate()

    def stop(self) -> None:
        """Ask every lane for an end after the turn under way."""
        if self._ends_by is None:
            self._ends_by = self._clock() + self._request_timeout + STOP_MARGIN
        self._survey.stop()
        for lane in self.lanes:
            lane.stop()

    def abort(self) -> None:
        """Cut what is under way."""
        for lane in self.lanes:
            if lane.alive:
                lane.abort()

    def close(self) -> None:
        """Cut what is still under way, and give back what the lanes share."""
        self.abort()
        for lane in self.lanes:
            if not lane.join(1.0):
                self._log.error("lane.left_behind", operator=lane.operator_id)
        self._survey.stop()
        self._survey.join()
        self._closing()

    def not_alive(self) -> str | None:
        """Return which lane hangs, None when all turn; a wait for the store, the hub or another lane is none."""
        limit = self._request_timeout + STALL.total_seconds()
        for lane in self.lanes:
            if not lane.waiting and self._clock() - (lane.turned_at or self._started_at) > limit:
                return f"lane {lane.operator_id} has not turned for {limit:.0f} s"
        return None

    def not_ready(self) -> str | None:
        """Return what keeps a lane from working, None when every one works, or one that it replaces still does."""
        for lane in self.lanes:
            if lane.trouble is not None:
                return f"lane {lane.operator_id}: {lane.trouble}"
            if lane.turned_at is None and not lane.waiting:
                return f"starting: lane {lane.operator_id} has not read the store yet"
        return None
