"""
Decides whether EVSEs may disappear from the hub without a person's approval.

What was held is not let go by the mere passing of a day, or a fleet that shrinks a little each day would drain.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from oicp_adapter.sync.model import Policy

GUARD_SPAN: Final = timedelta(hours=24)
"""How long a withdrawal counts when others want to follow it."""

LONG_SPAN: Final = timedelta(days=7)
"""How long it counts against those that were held already; so long an EVSE that is gone is remembered at least."""

SMALL_NUMBER: Final = 5
"""So many withdrawals within 24 hours are never held: a small operator dismantles a station too."""


@dataclass(frozen=True, slots=True)
class WithdrawalCount:
    """
    The withdrawals of a lane, those that a person approved left out.

    Attributes:
        size: EVSEs at the hub now or withdrawn within 24 hours.
        recent: Withdrawn within 24 hours, by whatever request, and not come back.
        pending: About to be withdrawn.
        earlier: Withdrawn within seven days, but not within 24 hours, and not come back.
    """

    size: int
    recent: int
    pending: int
    earlier: int = 0


def must_hold(count: WithdrawalCount, policy: Policy) -> bool:
    """Tell whether pending withdrawals must wait for a person: more than the share, and more than a small number."""
    vanishing = count.recent + count.pending
    return vanishing > SMALL_NUMBER and vanishing > policy.max_withdrawn_share * count.size


def must_stay_held(count: WithdrawalCount, policy: Policy) -> bool:
    """Tell whether what is held must go on waiting: others may have come back, but a day alone frees none."""
    return must_hold(replace(count, recent=count.recent + count.earlier), policy)
