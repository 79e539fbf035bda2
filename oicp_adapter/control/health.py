"""
Tells how the lanes stand, and does what a person decides about what their guards hold.

1. Nothing here asks the hub: it works while the hub is down, and without the daemon.
2. What is approved is exactly a set that was shown: a set that has changed since is refused.
3. Who may see only some EVSEs sees only those among the ones that are held.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.permission import require_scope
from oicp_adapter.control.quarantine import SHOWN, Detained, refused_records, why_not_released
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.errors import CertificateError, Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.oicp.certificates import EXPIRES_SOON, inspect_certificate
from oicp_adapter.settings import OperatorSettings
from oicp_adapter.store.operations import (
    HeldWithdrawal,
    approve_withdrawals,
    held_withdrawals,
    rejections,
    release_quarantine,
)
from oicp_adapter.store.overview import LaneBacklog, lane_backlog
from oicp_adapter.store.places import locations_of
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Rejected

LISTED: Final = 200
"""EVSEs of one kind that are listed a lane; more are only counted."""


@dataclass(frozen=True, slots=True)
class CertificateHealth:
    """
    How long a client certificate holds.

    Attributes:
        not_after: The last second at which it and the intermediates in its file hold; None: it cannot be read.
        level: `ok`, `soon`, `expired` or `unreadable`.
        problem: Why it cannot be read, and what to do; None: it can.
        intermediate: Which one ends before the certificate; None: the certificate itself is the first.
    """

    not_after: datetime | None
    level: str
    problem: str | None = None
    intermediate: str | None = None


@dataclass(frozen=True, slots=True)
class LaneStanding:
    """
    How one lane stands, by the books.

    Attributes:
        operator: OperatorID as the settings spell it.
        led: Whether a process holds its lease now.
        backlog: What is open.
        now: When this was true, by the database's clock.
    """

    operator: str
    name: str
    led: bool
    backlog: LaneBacklog
    certificate: CertificateHealth
    now: datetime


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """
    How one lane stands, and what of it waits for a person.

    Attributes:
        held: The first withdrawals that wait for a person, of those that the asker may see.
        held_set: Names the set of all of them, to approve exactly it; None: nothing is held, or the asker does not see
            all.
        detained: The first records that the hub refused and that wait, of those that the asker may see.
        rejected: The first rows that never leave the house, of those that the asker may see.
    """

    standing: LaneStanding
    held: Sequence[HeldWithdrawal]
    held_set: str | None
    detained: Sequence[Detained]
    rejected: Sequence[Rejected]


def lane_standings(desk: Desk, actor: Actor) -> Sequence[LaneStanding]:
    """
    Return how the lanes stand, in the order of the settings; what waits is counted, not read.

    Raises:
        RequestRefusedError: The actor may not read.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    return [_standing(desk, each) for each in desk.settings.operators]


def lane_healths(desk: Desk, actor: Actor) -> Sequence[LaneHealth]:
    """
    Return how the lanes stand and what waits for a person, in the order of the settings; costs as much as waits.

    Raises:
        RequestRefusedError: The actor may not read.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    return [_health(desk, actor, each, desk.lanes[each.id]) for each in desk.settings.operators]


def release_refused(desk: Desk, actor: Actor, operator: str, evse_ids: Collection[str]) -> Sequence[str]:
    """
    Let records that the hub refused be tried at once.

    Args:
        operator: OperatorID of the lane, as the settings spell it.
        evse_ids: Which, in any spelling.

    Returns:
        A sentence for each that was not released, why.

    Raises:
        RequestRefusedError: The actor may not, there is no such lane, or no EVSE is named.
        StoreError: The store could not be written.
    """
    scope = _lane(desk, actor, operator)
    if not evse_ids:
        raise RequestRefusedError(Refusal.INVALID, "no EVSE is named", cure="choose those that are to be released")
    if set(_covered(desk, actor, evse_ids)) != set(evse_ids):
        raise _not_theirs("release")
    done = release_quarantine(desk.store, scope.lane, evse_ids, by=actor.name, token_id=actor.token_id)
    released = {evse_key(each) for each in done}
    others = [each for each in evse_ids if evse_key(each) not in released]
    return list(why_not_released(desk.store, list(desk.lanes.values()), desk.mapping, others))


def approve_held(desk: Desk, actor: Actor, operator: str, held_set: str) -> int:
    """
    Approve exactly the set of withdrawals that was shown.

    Args:
        operator: OperatorID of the lane, as the settings spell it.
        held_set: Its name, as `LaneHealth` has it.

    Returns:
        How many were approved.

    Raises:
        RequestRefusedError: The actor may not, there is no such lane, or the set is another one by now.
        StoreError: The store could not be written.
    """
    scope = _lane(desk, actor, operator)
    shown = held_withdrawals(desk.store, scope.lane)
    if not shown or set_name(shown) != held_set:
        raise RequestRefusedError(
            Refusal.CHANGED_MEANWHILE,
            f"the withdrawals that lane {foreign_text(operator, SHOWN)} holds are not those that were shown",
            cure="look at the list again and approve what it shows now",
        )
    evse_ids = [each.evse_id for each in shown]
    if len(_covered(desk, actor, evse_ids)) != len(evse_ids):
        raise _not_theirs("approve")
    return len(approve_withdrawals(desk.store, scope.lane, evse_ids, by=actor.name, token_id=actor.token_id))


def set_name(held: Sequence[HeldWithdrawal]) -> str:
    """Name a set of withdrawals; another set has another name."""
    return hashlib.sha256("\n".join(sorted(each.evse_id for each in held)).encode(errors="replace")).hexdigest()[:12]


def certificate_health(operator: OperatorSettings, now: datetime) -> CertificateHealth:
    """Return how long the client certificate of an operator holds, by its file."""
    try:
        facts = inspect_certificate(operator.certificate)
    except CertificateError as error:
        return CertificateHealth(None, "unreadable", str(error))
    first = facts.endings[0]
    level = "expired" if now > first.not_after else "soon" if first.not_after - now <= EXPIRES_SOON else "ok"
    return CertificateHealth(first.not_after, level, intermediate=None if first.own else first.subject)


def _standing(desk: Desk, operator: OperatorSettings) -> LaneStanding:
    now = desk.store.now()
    backlog = lane_backlog(desk.store, desk.lanes[operator.id])
    expires = backlog.position.expires_at
    return LaneStanding(
        operator=operator.id,
        name=operator.name,
        led=backlog.position.holder is not None and expires is not None and expires > now,
        backlog=backlog,
        certificate=certificate_health(operator, now),
        now=now,
    )


def _health(desk: Desk, actor: Actor, operator: OperatorSettings, scope: LaneScope) -> LaneHealth:
    held = held_withdrawals(desk.store, scope.lane)
    seen = set(_covered(desk, actor, [each.evse_id for each in held]))
    detained = list(refused_records(desk.store, {operator.id: scope}))
    theirs = set(_covered(desk, actor, [each.evse_id for each in detained]))
    rejected = rejections(desk.store, scope.lane)
    known = set(_covered(desk, actor, [each.evse_id for each in rejected]))
    return LaneHealth(
        standing=_standing(desk, operator),
        held=[each for each in held if each.evse_id in seen][:LISTED],
        held_set=set_name(held) if held and len(seen) == len(held) else None,
        detained=[each for each in detained if each.evse_id in theirs][:LISTED],
        rejected=[each for each in rejected if each.evse_id in known][:LISTED],
    )


def _lane(desk: Desk, actor: Actor, operator: str) -> LaneScope:
    require_scope(actor, Scope.OPERATE)
    scope = desk.lanes.get(operator)
    if scope is None:
        raise RequestRefusedError(
            Refusal.NOT_FOUND,
            f"no lane has the OperatorID {foreign_text(operator, SHOWN)}",
            cure=f"name one of {', '.join(desk.lanes)}",
        )
    return scope


def _not_theirs(what: str) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.NOT_PERMITTED,
        f"there is an EVSE among these that the token may not {what}",
        cure="use a token that covers all of them",
    )


def _covered(desk: Desk, actor: Actor, evse_ids: Collection[str]) -> Sequence[str]:
    """Return those that the actor may see."""
    if actor.grant.covers_all or not evse_ids:
        return list(evse_ids)
    with desk.store.reading(by_key=True) as connection:
        places = locations_of(connection, {evse_key(each) for each in evse_ids})
    at = {key: place.location for key, place in places.items()}
    return [each for each in evse_ids if actor.grant.covers(each, at.get(evse_key(each)))]
