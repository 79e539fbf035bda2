"""
Compares what the hub holds with what the store says it should, without asking the daemon.

1. The hub is read first, the store after it. A window whose boundary falls between the two makes a difference that
   the next reading no longer has, so only a difference that stays is one.
2. Nobody waits for ever: a worker that does not work is told so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.demo.judgement import Judgement, Unpushable, Wanted

PATIENCE: Final = 20.0
"""Seconds in which a quiet fleet must have arrived at the hub."""

GRACE: Final = timedelta(seconds=5)
"""A change younger than this, at the end of the patience, is waited for once more."""

_LOOK_EVERY: Final = 0.25


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One EVSE of which the hub holds something else than it should.

    Attributes:
        evse_id: As the store spells it; canonical when the store does not know it.
        wanted: What it should hold; None: nothing.
        held: What it holds; None: nothing.
        since: When the store last changed; None: not known.
    """

    lane: str
    evse_id: str
    wanted: str | None
    held: str | None
    since: datetime | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.evse_id} ({self.lane}): the store says {self.wanted or 'gone'}, the hub {self.held or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What came of comparing.

    Attributes:
        equal: EVSEs of which the hub holds what it should.
        differences: The others, and what the hub holds and should not.
        left_out: Rows that the hub cannot be told about.
        unpushable: These by reason; a row may have two.
        answered: Whether the hub answered at all.
    """

    equal: int
    differences: Sequence[Difference]
    left_out: int
    unpushable: Sequence[Unpushable]
    answered: bool

    @property
    def is_equal(self) -> bool:
        """Whether the hub holds exactly what it should; it does not if there is nothing to hold."""
        return self.answered and self.equal > 0 and not self.differences


def compare(judgement: Judgement, held: Mapping[str, Mapping[str, str]] | None) -> Comparison:
    """
    Compare what the hub should hold with what it holds.

    Args:
        held: Statuses by OperatorID and canonical EvseID; None: the hub did not answer.
    """
    remaining = {lane: dict(statuses) for lane, statuses in (held or {}).items()}
    equal = 0
    differences: list[Difference] = []
    for each in judgement.wanted:
        status = remaining.get(each.lane, {}).pop(each.key, None)
        if status == each.resolution.oicp.value:
            equal += 1
        else:
            differences.append(_different(each, status))
    for lane, left in remaining.items():
        differences.extend(Difference(lane, key, None, status) for key, status in left.items())
    return Comparison(equal, differences, judgement.left_out, judgement.unpushable, answered=held is not None)


def await_equality(
    look: Callable[[], Comparison],
    *,
    now: Callable[[], datetime],
    pause: Callable[[float], bool],
    patience: float = PATIENCE,
) -> Comparison | None:
    """
    Compare until all is equal, or until the patience ends.

    Args:
        look: Reads the hub, then the store, and compares.
        now: Aware, UTC.
        pause: Waits for so many seconds; True: give up.
        patience: Seconds; a change that the store made at their very end is given a little more.

    Returns:
        The last comparison; None: it was given up.
    """
    deadline = now() + timedelta(seconds=patience)
    while True:
        comparison = look()
        instant = now()
        if comparison.is_equal or instant >= deadline + GRACE:
            return comparison
        if instant >= deadline and not _is_young(comparison, instant):
            return comparison
        if pause(_LOOK_EVERY):
            return None


def _different(each: Wanted, held: str | None) -> Difference:
    return Difference(each.lane, each.row.evse_id, each.resolution.oicp.value, held, each.since)


def _is_young(comparison: Comparison, now: datetime) -> bool:
    """Tell whether every difference may still be on its way."""
    return comparison.answered and all(
        each.since is not None and now - each.since < GRACE for each in comparison.differences
    )
