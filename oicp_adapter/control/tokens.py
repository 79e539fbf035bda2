"""
Says what a token is: what it may allow, what is wrong with one that is asked for, how it is shown.

Nothing here knows a secret; `access` makes tokens and asks for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from oicp_adapter.domain.access import Actor, Grant, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import KEY_LENGTH
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.tokens import TokenRecord

NAME_LENGTH: Final = 100
"""Characters of a token's name, which stands beside each change."""

MOST_REQUESTS: Final = 60_000
"""Requests a minute that a token may be given: a thousand a second, more than a store of this kind answers."""

_READ_AND_SET: Final = frozenset({Scope.READ, Scope.SET})

ROLES: Final[Mapping[str, Grant]] = MappingProxyType(
    {
        "operator": Grant(scopes=frozenset(Scope), kinds=frozenset(TemporaryStatus)),
        "sensor": Grant(scopes=_READ_AND_SET, kinds=frozenset({TemporaryStatus.BLOCKED})),
        "booking": Grant(scopes=_READ_AND_SET, kinds=frozenset({TemporaryStatus.RESERVED})),
        "viewer": Grant(scopes=frozenset({Scope.READ}), kinds=frozenset()),
    }
)
"""What a token of a role may do unless said otherwise."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """
    What a token is to be.

    Attributes:
        name: Whose it is; stands as the author of changes.
        kinds: Temporary statuses that it may set; needed for the scope SET.
        patterns: With *locations*, the EVSEs that it covers; both empty: all.
        longest: No window that it sets is longer; None: any length, also without an end.
        expires_at: Aware; None: until it is revoked.
        requests_per_minute: None: as many as any token.
    """

    name: str
    scopes: frozenset[Scope]
    kinds: frozenset[TemporaryStatus] = frozenset()
    patterns: tuple[EvsePattern, ...] = ()
    locations: frozenset[str] = frozenset()
    longest: timedelta | None = None
    expires_at: datetime | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class TokenView:
    """
    A token as it may be shown: everything but its secret; instants are aware, UTC.

    Attributes:
        requests_per_minute: None: as many as any token.
        last_used_at: To the minute; None: never.
        holds: Whether it is neither revoked nor expired.
    """

    id: str
    name: str
    grant: Grant
    requests_per_minute: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None
    holds: bool

    @property
    def actor(self) -> Actor:
        """Who comes with it."""
        return Actor(name=self.name, token_id=self.id, grant=self.grant)


def view_of(record: TokenRecord, now: datetime) -> TokenView:
    """Return a token as it may be shown at an instant."""
    return TokenView(
        id=record.id,
        name=record.name,
        grant=record.grant,
        requests_per_minute=record.requests_per_minute,
        created_at=record.created_at,
        created_by=record.created_by,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
        revoked_by=record.revoked_by,
        last_used_at=record.last_used_at,
        holds=holds(record, now),
    )


def holds(record: TokenRecord, now: datetime) -> bool:
    """Tell whether a token is neither revoked nor expired."""
    return record.revoked_at is None and (record.expires_at is None or now < record.expires_at)


def told(record: TokenRecord) -> Mapping[str, object]:
    """Return what the audit keeps of a token; nothing of its secret."""
    grant = record.grant
    return {
        "name": record.name,
        "scopes": sorted(grant.scopes),
        "kinds": sorted(grant.kinds),
        "evsePatterns": [pattern.text for pattern in grant.patterns],
        "locations": sorted(grant.locations),
        "longestSeconds": int(grant.longest.total_seconds()) if grant.longest is not None else None,
        "expiresAt": record.expires_at.isoformat() if record.expires_at is not None else None,
        "requestsPerMinute": record.requests_per_minute,
    }


def require_possible(new: NewToken, now: datetime) -> None:
    """
    Do nothing for a token that can be.

    Raises:
        RequestRefusedError: INVALID: what it is to be contradicts itself.
    """
    for field, wrong, cure in _faults(new, now):
        raise RequestRefusedError(Refusal.INVALID, wrong, cure=cure, field=field)


def _faults(new: NewToken, now: datetime) -> Sequence[tuple[str, str, str]]:
    """Return what is wrong with a token: the field, what, and the cure."""
    found = []
    if not 0 < len(new.name.strip()) <= NAME_LENGTH or not new.name.isprintable():
        cure = f"use 1 to {NAME_LENGTH} printable characters; it stands beside each change"
        found.append(("name", f"{foreign_text(new.name, 60)!r} is no name for a token", cure))
    if not new.scopes:
        found.append(("scopes", "the token allows nothing", f"name one of {', '.join(Scope)}"))
    if Scope.SET in new.scopes and not new.kinds:
        cure = f"name one of {', '.join(TemporaryStatus)}, or leave out the scope {Scope.SET}"
        found.append(("kinds", "the token may set no kind of temporary status", cure))
    for pattern in new.patterns:
        if not pattern.canonical or len(pattern.text) > KEY_LENGTH or not pattern.text.isprintable():
            cure = "write it as DE*ABC*E1 or DE*ABC*%"
            found.append(("patterns", f"{foreign_text(pattern.text, 60)!r} describes no EVSE", cure))
    if any(not location.strip() or not location.isprintable() for location in new.locations):
        found.append(("locations", "a location has no name", "name it as evse_location does"))
    if new.longest is not None and new.longest < timedelta(seconds=1):
        found.append(("longest", "the longest duration is shorter than a second", "name one as 4h"))
    if new.expires_at is not None and new.expires_at <= now:
        wrong = f"the token would have expired at {new.expires_at:%Y-%m-%d %H:%M:%S} UTC already"
        found.append(("expiresAt", wrong, "name a time to come"))
    if new.requests_per_minute is not None and not 0 < new.requests_per_minute <= MOST_REQUESTS:
        cure = f"name a number from 1 to {MOST_REQUESTS}"
        found.append(("requestsPerMinute", f"{new.requests_per_minute} requests a minute cannot be", cure))
    return found
