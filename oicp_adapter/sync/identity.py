"""
Decides whether a store is the one that a lane knows, and what is left of its books when the store forgot a part.

1. A store of another identity (a clone, a backup put elsewhere, another hub's) is not pushed from until a person adopts
   it: its statuses are somebody else's, or yesterday's.
2. A store that is the same and yet went back (a fail-over to a standby that lagged, a restore in place) knows less than
   the hub was told. Everything it knows is in doubt, and no full load goes out by itself: it would withdraw what nobody
   remembers.
3. A fact that could not be read, then or now, tells nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oicp_adapter.sync.model import Policy, Position


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """
    What tells a store, and the hub that its ledger speaks of, from others.

    Attributes:
        hub: Host and path of the hub's URL.
        address: Host and port of the database server; None: the store is a file.
        database: Name and object identifier of the database; of a file its serial number on the disk.
        system: The server's system identifier, which a clone of its files shares; None: not known.
        timeline: The server's timeline, which a fail-over and a restore raise; None: not known.
    """

    hub: str
    address: str | None
    database: str | None
    system: str | None
    timeline: int | None


def differences(known: StoreIdentity, found: StoreIdentity) -> Sequence[str]:
    """Name what makes a store another one than the lane knows, in words; empty: it is the same."""
    facts = (
        ("hub", known.hub, found.hub),
        ("database server", known.address, found.address),
        ("database", known.database, found.database),
        ("system identifier", known.system, found.system),
    )
    return [f"{name} {now} instead of {before}" for name, before, now in facts if before and now and before != now]


def went_back(position: Position, witnessed: int, known: StoreIdentity | None, found: StoreIdentity | None) -> bool:
    """
    Tell whether a store has lost what it had committed.

    Args:
        witnessed: Number of the last request that somebody outside of the store saw committed; 0: nobody saw any.
        known: What the lane knows of the store; None: it is new to the lane.
        found: What the store is now; None: it was not looked at again.
    """
    if position.attempt < witnessed:
        return True
    before, now = (each.timeline if each is not None else None for each in (known, found))
    return before is not None and now is not None and before != now


def merged(known: StoreIdentity | None, found: StoreIdentity) -> StoreIdentity:
    """Return what a lane shall know from now on: what was found, and of what could not be read what it knew."""
    if known is None:
        return found
    return replace(
        found,
        address=found.address or known.address,
        database=found.database or known.database,
        system=found.system or known.system,
        timeline=found.timeline if found.timeline is not None else known.timeline,
    )


def distrust(
    position: Position, *, witnessed: int, epoch: int, silent_until: datetime, now: datetime, policy: Policy
) -> Position:
    """
    Return the position of a lane whose books cannot be trusted: everything in doubt, owed, and after a silence.

    Args:
        witnessed: As for `went_back`; requests are numbered on from there, so that no number comes twice.
        epoch: The highest that the caller knows of; the lease is to be taken anew under a higher one.
        silent_until: Until when a request may be under way whose intent the store forgot.
    """
    debt = now + policy.send_within + policy.late_apply
    return replace(
        position,
        epoch=max(position.epoch, epoch),
        holder=None,
        expires_at=now,
        attempt=max(position.attempt, witnessed),
        silent_until=max(silent_until, now),
        doubted_before=now,
        debt_at=max(position.debt_at or debt, debt),
        distrusted_at=now,
    )
