"""
Limits how often a token may ask, and how often an address may come with one that does not hold.

1. The window moves: of any sixty seconds, not of each minute by the clock.
2. It is counted in the memory of this process: two processes allow twice as much, and a restart forgets.
3. Of an IPv6 address the network counts: whoever has one has 2^64 of its addresses.
"""

import math
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

REQUESTS_PER_MINUTE: Final = 600
"""What a token gets that names no number: ten a second, of which a sensor or an operator's page needs a few."""

FAILURES_PER_MINUTE: Final = 30
"""Tries a minute and address with a token that does not hold; a client with an old one makes some until mended."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """
    What somebody may still ask for.

    Attributes:
        granted: Whether this request is within the limit.
        limit: Requests within any sixty seconds.
        remaining: How many are left now.
        reset: Whole seconds, at least one, after which one more is free than now.
    """

    granted: bool
    limit: int
    remaining: int
    reset: int


class RateLimits:
    """The counters of one process; safe for use by several threads."""

    def __init__(self, *, failures_per_minute: int = FAILURES_PER_MINUTE) -> None:
        """
        Begin to count.

        Args:
            failures_per_minute: Tries of an address with a token that does not hold.
        """
        self._failures = failures_per_minute
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def request(self, token_id: str, per_minute: int | None) -> Allowance:
        """
        Count a request of a token.

        Args:
            per_minute: Of this token; None: as many as any.
        """
        return self._take("token", token_id, per_minute or REQUESTS_PER_MINUTE)

    def failure(self, address: str) -> Allowance:
        """
        Count a request, or an attempt to sign in, that came without a token that holds.

        Args:
            address: Of the client, as the server has it; whatever is no IP address counts as it is.
        """
        return self._take("failure", _network(address), self._failures)

    def _take(self, what: str, who: str, limit: int) -> Allowance:
        item = RateLimitItemPerMinute(limit)
        granted = self._limiter.hit(item, what, who)
        reset_at, remaining = self._limiter.get_window_stats(item, what, who)
        return Allowance(granted, limit, max(0, remaining), max(1, math.ceil(reset_at - time.time())))


def _network(address: str) -> str:
    """Return what an address is counted as: itself, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed.packed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
