"""
Says what somebody may do: which scopes, which kinds of temporary status, for which EVSEs, for how long.

1. A grant that names neither patterns nor locations covers every EVSE.
2. Who may not `operate` changes only what they set themselves.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus


class Scope(StrEnum):
    """
    A group of things that a token allows.

    READ: see EVSEs, temporary statuses and the lanes. SET: set, change and end temporary statuses. OPERATE: change
    those that others set, release and approve what the guards hold, ask for a full load.
    """

    READ = "read"
    SET = "set"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Grant:
    """
    What somebody may do.

    Attributes:
        kinds: Temporary statuses that may be set.
        patterns: EVSEs that are covered, by their EvseID.
        locations: EVSEs that are covered, by the name of their location; covered is what either names.
        longest: No window may be longer, nor without an end; None: any length.
    """

    scopes: frozenset[Scope]
    kinds: frozenset[TemporaryStatus]
    patterns: tuple[EvsePattern, ...] = ()
    locations: frozenset[str] = frozenset()
    longest: timedelta | None = None

    @property
    def covers_all(self) -> bool:
        """Whether it holds for every EVSE."""
        return not self.patterns and not self.locations

    def covers(self, evse_id: str, location: str | None) -> bool:
        """Tell whether it holds for an EVSE at a location; None: at none that is known."""
        if self.covers_all or location in self.locations:
            return True
        return any(pattern.matches(evse_id) for pattern in self.patterns)


EVERYTHING: Final = Grant(scopes=frozenset(Scope), kinds=frozenset(TemporaryStatus))


@dataclass(frozen=True, slots=True)
class Actor:
    """
    Somebody who asks for something.

    Attributes:
        name: What stands as the author of a change.
        token_id: Of the token that they came with; None: the command line of this machine.
    """

    name: str
    token_id: str | None
    grant: Grant
