"""Decides whether EVSEs may disappear from the hub without a person's approval."""

from dataclasses import dataclass
from typing import Final

from oicp_adapter.sync.model import Policy

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
    """

    size: int
    recent: int
    pending: int


def must_hold(count: WithdrawalCount, policy: Policy) -> bool:
    """Tell whether pending withdrawals must wait for a person: more than the share, and more than a small number."""
    vanishing = count.recent + count.pending
    return vanishing > SMALL_NUMBER and vanishing > policy.max_withdrawn_share * count.size
