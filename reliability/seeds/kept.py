"""Holds the seeds that failed in development, of the adapter or of the judge, each with what it showed then."""

from collections.abc import Mapping
from typing import Final

KEPT: Final[Mapping[int, str]] = {
    5: "a debt noted while the clock was an hour ahead, on a tombstone, let a late insert stand as a ghost",
    46: "a late delete lands beside five others: it was judged when it was sent, not when it landed",
    77: "a process that is killed before it ran starts again all the same",
    200: "a person's full load that could not go out yet dropped the hints again and again, and the sweep never ended",
    308: "a lane of one EVSE whose delete is refused for ever is no violation but stays visible",
    340: "bytes that left too late brought back what was deleted since: tombstones were not asserted again",
    421: "a replayed insert landed after the delete was acknowledged: tombstones were not asserted again",
    462: "withdrawals approved while the clock was an hour ahead waited for that hour after it was set back",
    681: "a stranger's EVSE that no ledger knows is not ours to withdraw",
    701: "an unanswered full load left EVSEs at the hub of which no ledger knew, and that were deleted since",
    300188: "what is quarantined when it is deleted is held only once it was released: a person approves that, too",
    301015: "a delete refused for another cause than existence was repeated only after an hour, and the ghost stood",
    301984: "hints that a refused first full load dropped are found by the sweep under way, page by page",
}
