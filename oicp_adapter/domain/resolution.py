"""Decides what outsiders should see of one EVSE: its technical status and its windows resolved at an instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oicp_adapter.domain.statuses import (
    USABILITY,
    OicpStatus,
    Status,
    StatusMapping,
    TemporaryStatus,
    parse_status,
)
from oicp_adapter.domain.windows import Window

PRECEDENCE: Final = {kind: place for place, kind in enumerate(TemporaryStatus)}
"""Of the windows that apply, that of the kind with the smallest number wins."""

_REPLACES: Final = frozenset({TemporaryStatus.MAINTENANCE, TemporaryStatus.COMMISSIONING})


@dataclass(frozen=True, slots=True)
class Resolution:
    """
    What outsiders should see of one EVSE.

    Attributes:
        effective: The status that won.
        oicp: Its translation, an operator's overrides included.
        window: The window that won among those that apply, also when the charger's own status is published because it
            is less usable; None when no window applies.
        unmapped: The table does not know the charger's word, so it counts as Unknown.
        valid_until: The first later instant at which the answer can change; None when no window is ahead.
    """

    effective: Status
    oicp: OicpStatus
    window: Window | None
    unmapped: bool
    valid_until: datetime | None


def resolve(technical: str, windows: Sequence[Window], now: datetime, mapping: StatusMapping) -> Resolution:
    """
    Decide what outsiders should see of one EVSE at *now*.

    Args:
        technical: The charger's word as the store has it.
        windows: All windows of this EVSE, any order, may overlap.
        now: Aware, UTC. A window that ends at *now* no longer applies.
        mapping: The translation to OICP.

    Returns:
        The effective status, the window that won and the first later instant at which the answer can change. Among
        windows of one kind the one that started last wins, then the one with the greater id; what is published is the
        same.

    Source: OICP 2.3 CPO, EvseStatusType. The precedence is CONTRACT §4.
    """
    parsed = parse_status(technical)
    charger = parsed or Status.UNKNOWN
    winner = min(
        (window for window in windows if window.applies(now)),
        key=lambda window: (PRECEDENCE[window.kind], -window.valid_from.timestamp(), -window.id),
        default=None,
    )
    effective = charger
    if winner is not None and prevails(winner.kind, mapping.oicp(charger), mapping):
        effective = Status(winner.kind.value)
    return Resolution(
        effective=effective,
        oicp=mapping.oicp(effective),
        window=winner,
        unmapped=parsed is None,
        valid_until=min((at for window in windows if (at := window.next_boundary(now))), default=None),
    )


def prevails(kind: TemporaryStatus, charger: OicpStatus, mapping: StatusMapping) -> bool:
    """
    Tell whether a window of this kind is published rather than what the charger says; on a tie it is, for it was set.

    Args:
        charger: The translation of the charger's own word.

    Source: CONTRACT §4; that a window which an override translates to Unknown hides Available is ours.
    """
    if kind in _REPLACES or charger is OicpStatus.UNKNOWN:
        return True
    return USABILITY[mapping.oicp(Status(kind.value))] <= USABILITY[charger]
