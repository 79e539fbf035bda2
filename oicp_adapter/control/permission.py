"""Decides whether somebody may do what they ask for; everything that refuses for want of a right lives here."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.statuses import TemporaryStatus

NAMED = 20
"""EVSEs that a refusal names; their number is told in any case."""


def require_scope(actor: Actor, scope: Scope) -> None:
    """
    Do nothing for somebody who has a scope.

    Raises:
        RequestRefusedError: They do not.
    """
    if scope not in actor.grant.scopes:
        raise _refused(f"{actor.name} may not {scope}", "ask for a token with this scope")


def require_kind(actor: Actor, kind: TemporaryStatus) -> None:
    """
    Do nothing for somebody who may set a kind of temporary status.

    Raises:
        RequestRefusedError: They may not.
    """
    if kind not in actor.grant.kinds:
        allowed = ", ".join(each.upper() for each in TemporaryStatus if each in actor.grant.kinds) or "nothing"
        raise _refused(
            f"{actor.name} may not set {kind.upper()}", f"this token sets {allowed}", field="temporaryStatus"
        )


def require_covered(actor: Actor, places: Sequence[tuple[str, str | None]]) -> None:
    """
    Do nothing when somebody's grant covers all EVSEs.

    Args:
        places: EvseIDs with their locations.

    Raises:
        RequestRefusedError: It does not cover one; all are named, as far as they are few.
    """
    if actor.grant.covers_all:
        return
    beyond = [evse_id for evse_id, location in places if not actor.grant.covers(evse_id, location)]
    if beyond:
        shown = ", ".join(foreign_text(each, 60) for each in beyond[:NAMED])
        more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
        raise _refused(
            f"{actor.name} has no right to {shown}{more}",
            "this token is for other EVSEs or locations",
            field="evseId",
            facts={"evseIds": beyond[:NAMED], "count": len(beyond)},
        )


def require_length(actor: Actor, start: datetime, end: datetime | None) -> None:
    """
    Do nothing when a window is no longer than somebody may set.

    Raises:
        RequestRefusedError: It is, or has no end.
    """
    longest = actor.grant.longest
    if longest is None or (end is not None and end - start <= longest):
        return
    length = f"takes {_words(end - start)}" if end is not None else "has no end"
    raise _refused(
        f"the temporary status {length}, {actor.name} may set {_words(longest)} at most",
        "let it end earlier",
        field="validTo",
        facts={"longestSeconds": int(longest.total_seconds())},
    )


def is_own(actor: Actor, token_id: str | None) -> bool:
    """Say whether a window that a token set is somebody's to change: their own, or anybody's for an operator."""
    own = actor.token_id is not None and actor.token_id == token_id
    return own or Scope.OPERATE in actor.grant.scopes


def require_own(actor: Actor, window_id: int, token_id: str | None) -> None:
    """
    Do nothing for somebody who set a window themselves, or may change those of others.

    Raises:
        RequestRefusedError: It is somebody else's.
    """
    if not is_own(actor, token_id):
        raise _refused(
            f"temporary status {window_id} was set by somebody else", "let them change it, or an operator's token"
        )


def _words(duration: timedelta) -> str:
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def _refused(
    what: str, cure: str, *, field: str | None = None, facts: dict[str, object] | None = None
) -> RequestRefusedError:
    return RequestRefusedError(Refusal.NOT_PERMITTED, what, cure=cure, field=field, facts=facts)
