"""
Judges a site after faults: everything arrived, no overlap, the rate kept, silence kept, no traceback.

1. Single flight (I3): from its first byte to its answer a request is alone, and for `settle` after it was given up. A
   request whose body never arrived whole cannot be applied, so nothing need wait for it.
2. What was put off must have landed before the last look, or a debt that nobody paid would not show.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.simulator.journal import Exchange
from reliability.real.machine import OPERATOR
from reliability.real.process import eventually
from reliability.real.site import Site

NOTICED: Final = timedelta(milliseconds=60)
"""So much later than its end may a hub on a loaded machine notice that a connection was cut."""


def judge(site: Site) -> None:
    """Wait until all is at rest, and fail if anything was broken on the way."""
    site.rest()
    eventually(lambda: site.hub.hub.next_due() is None, every=0.05)
    site.rest()  # what has landed late must have been corrected, or have been no more than what was said again
    assert site.at_hub() == site.expected()
    acknowledged = {row[0]: row[1] for row in site.read("SELECT canonical, acknowledged FROM oicp_ledger") if row[1]}
    assert acknowledged == site.at_hub(), "the ledger says what the hub holds (I4)"
    broken = [*overlaps(site), *rate(site), *outcries(site)]
    assert broken == [], "\n".join(broken)


def overlaps(site: Site) -> Sequence[str]:
    """Return what the hub's journal has against single flight."""
    settle = timedelta(seconds=site.sections["push"]["settle"])
    seen = site.entries()
    return [
        *[f"request {entry.number} overlaps another" for entry in seen if entry.overlap],
        *[
            f"request {after.number} came {end - after.received_at} too soon after request {before.number} was given up"
            for before, after in pairwise(seen)
            if (end := _alone_until(before, settle)) is not None and after.received_at < end
        ],
        *[
            f"request {entry.number} came {entry.received_at - lost} after an answer was cut off"
            for lost in site.way.lost
            for entry in seen
            if lost < entry.received_at < lost + settle
        ],
    ]


def rate(site: Site) -> Sequence[str]:
    """Return what the hub's journal has against the rate."""
    peak = site.hub.hub.journal.peak_per_minute(operator_key(OPERATOR))
    limit = site.sections["push"]["requests_per_minute"]
    return [f"{peak} requests in a minute, {limit} allowed"] if peak > limit else []


def outcries(site: Site) -> Sequence[str]:
    """Return errors of our own that the daemons' logs show."""
    texts = [(process.pid, process.text()) for process in site.processes]
    return [f"process {pid}: {text[-3000:]}" for pid, text in texts if "Traceback" in text or '"critical"' in text]


def _alone_until(entry: Exchange, settle: timedelta) -> datetime | None:
    if entry.given_up_at is None or entry.http_status is None:
        return None
    return entry.given_up_at + settle - NOTICED
