"""
Decides what the hub must be told about one EVSE, from what the store holds about it.

1. The truth is the difference between the effective status now and the ledger; a hint only says "look".
2. Of several spellings of one charging spot the smallest is pushed; the others are named, never sent.
3. `due_at` may be early, never late: a look too many costs a read, a look too few a stranded driver.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.domain.errors import MalformedIdentifierError, foreign_text
from oicp_adapter.domain.identifiers import evse_key, parse_evse_id
from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import USABILITY, OicpStatus, StatusMapping, is_removed
from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.clock import LONGEST_RETRY
from oicp_adapter.sync.guard import GUARD_SPAN, LONG_SPAN
from oicp_adapter.sync.model import (
    Action,
    Entry,
    Observation,
    Policy,
    Presence,
    Record,
    Rejected,
    Rejection,
    StatusRow,
    WindowEdge,
    Work,
    WorkReason,
)

PATIENCE: Final = timedelta(seconds=1)
"""Work that waited longer is as urgent as a charger that becomes less usable; without it an insert could starve."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """
    What one look at an EVSE came to.

    Attributes:
        entry: The ledger row as it should be; None: there is none and none is needed.
        work: What must be pushed; None: nothing now.
        rejected: Rows of the store that never leave the house.
        forget: The ledger row has served its time and goes.
        unmapped: The word of the winning row, when the table does not know it.
    """

    entry: Entry | None
    work: Work | None = None
    rejected: Sequence[Rejected] = ()
    forget: bool = False
    unmapped: str | None = None


def judge_rows(
    rows: Sequence[StatusRow], operator_keys: Collection[str]
) -> tuple[StatusRow | None, Sequence[Rejected]]:
    """
    Choose the row that speaks for an EVSE among all its spellings in one lane, and name the others.

    Args:
        rows: Rows of `evse_status` with one canonical EvseID, any order.
        operator_keys: Canonical OperatorIDs that the lane may push.

    Returns:
        The winner (None: no row may be pushed, or all say Removed) and the rows that never leave the house.
    """
    winner: StatusRow | None = None
    rejected: list[Rejected] = []
    for row in sorted(rows, key=lambda row: row.evse_id):
        if fault := _fault(row, operator_keys):
            rejected.append(fault)
        elif is_removed(row.status):
            continue
        elif winner is None:
            winner = row
        else:
            detail = f"names the same charging spot as {winner.evse_id}, which is pushed: delete one of the two rows"
            rejected.append(_reject(row, Rejection.DUPLICATE, detail))
    return winner, rejected


@dataclass(frozen=True, slots=True)
class Circumstances:
    """
    What all assessments of one transaction have in common.

    Attributes:
        now: By the database's clock.
        operator_keys: Canonical OperatorIDs that the lane may push.
        doubted_before: `Position.doubted_before`.
    """

    now: datetime
    operator_keys: Collection[str]
    mapping: StatusMapping
    policy: Policy
    doubted_before: datetime | None = None

    def in_doubt(self, entry: Entry) -> bool:
        """Tell whether what the hub holds of an EVSE is not known, by its own row or by an unanswered full load."""
        if entry.doubted_at is not None:
            return True
        return (
            self.doubted_before is not None
            and entry.asserted_at is not None
            and entry.asserted_at < self.doubted_before
        )


def assess(seen: Observation, at: Circumstances) -> Assessment:
    """
    Decide what the hub must be told about one EVSE.

    Args:
        seen: Everything the store holds about it, read in one statement.
        at: The instant, the lane and the settings.

    Returns:
        The ledger row as it should be and the work, if any. Saving the row and dropping the work loses nothing: the
        row's `due_at` brings the EVSE back.
    """
    winner, rejected = judge_rows(seen.rows, at.operator_keys)
    if winner is None:
        return _assess_withdrawal(seen, rejected, at)
    resolution = resolve(winner.status, seen.windows, at.now, at.mapping)
    unmapped = winner.status if resolution.unmapped else None
    before = seen.entry or Entry(seen.canonical, winner.evse_id)
    entry = _in_service(before)
    if entry.flipped and entry.refused_status not in {None, resolution.oicp}:
        entry = replace(entry, flipped=False)  # another value: first as it is believed to be
    record = Record(seen.canonical, winner.evse_id, resolution.oicp)
    reason = _why_assert(entry, record, at)
    if reason is None:
        look = next_look(entry, resolution.valid_until, at.policy)
        if entry.pending_since is not None or entry.due_at != look or entry.refusal is not None:
            entry = replace(_no_longer_refused(entry), pending_since=None, pending_edge=None, due_at=look)
        return Assessment(entry, rejected=rejected, unmapped=unmapped)
    since = _since(seen, entry, reason, at.now)
    edge = _edge(seen, entry, reason, resolution.window, since)
    if _waits(entry, record.status, at.now):
        until = _earliest(entry.retry_at, resolution.valid_until)
        waiting = replace(entry, pending_since=since, pending_edge=edge, due_at=until)
        return Assessment(waiting, rejected=rejected, unmapped=unmapped)
    entry = replace(entry, pending_since=since, pending_edge=edge, due_at=at.now)
    work = Work(
        record=record,
        action=_assertion(entry),
        reason=reason,
        since=since,
        urgent=_is_urgent(entry, record.status, since, at.now),
        entry=entry,
        valid_until=resolution.valid_until,
        edge=edge,
    )
    return Assessment(entry, work, rejected, unmapped=unmapped)


def next_look(entry: Entry, valid_until: datetime | None, policy: Policy) -> datetime | None:
    """Return the next instant at which an EVSE that needs nothing now must be looked at; None: never by itself."""
    reassert = entry.asserted_at + policy.reassert_every if entry.asserted_at else None
    return _earliest(valid_until, entry.debt_at, reassert)


def _assess_withdrawal(seen: Observation, rejected: Sequence[Rejected], at: Circumstances) -> Assessment:
    entry, now = seen.entry, at.now
    if entry is None:
        return Assessment(None, rejected=rejected)
    if _never_reached_the_hub(entry, at.doubted_before):
        return Assessment(entry, rejected=rejected, forget=True)
    doubted, owed = at.in_doubt(entry), entry.debt_at is not None and entry.debt_at <= now
    again = _deleted_again_at(entry, at)
    if entry.withdrawn_at is not None and not doubted and not owed and (again is None or again > now):
        end = entry.withdrawn_at + max(2 * at.policy.late_apply, LONG_SPAN)
        if end <= now and entry.debt_at is None:
            return Assessment(entry, rejected=rejected, forget=True)
        quiet = replace(entry, pending_since=None, pending_edge=None, due_at=_earliest(entry.debt_at, again, end))
        return Assessment(quiet, rejected=rejected)
    reason = WorkReason.IN_DOUBT if doubted else WorkReason.DEBT if owed else WorkReason.WITHDRAWN
    if reason is WorkReason.WITHDRAWN and entry.withdrawn_at is not None:
        reason = WorkReason.REASSERTED
    since = _since(seen, entry, reason, now)
    record = Record(entry.canonical, entry.evse_id, entry.acknowledged or OicpStatus.OUT_OF_SERVICE)
    if _waits(entry, record.status, now):
        return Assessment(replace(entry, pending_since=since, due_at=entry.retry_at), rejected=rejected)
    entry = replace(entry, pending_since=since, due_at=now)
    return Assessment(entry, Work(record, Action.DELETE, reason, since, urgent=True, entry=entry), rejected)


def _deleted_again_at(entry: Entry, at: Circumstances) -> datetime | None:
    """
    Return when a withdrawn EVSE is to be deleted once more, whatever the books say; None: not any more.

    For a day: a request that was answered and is replayed later, or another system, can have brought it back.
    """
    if entry.withdrawn_at is None:
        return None
    if entry.asserted_at is None or entry.asserted_at > at.now:
        return at.now
    again = entry.asserted_at + at.policy.reassert_every
    return again if again < entry.withdrawn_at + GUARD_SPAN else None


def _in_service(entry: Entry) -> Entry:
    """Return the row without what was noted about a withdrawal, since the EVSE is there."""
    if entry.held_since is None and entry.approved_at is None and entry.withdrawn_at is None:
        return entry
    return replace(entry, held_since=None, approved_at=None, approved_by=None, withdrawn_at=None)


def _no_longer_refused(entry: Entry) -> Entry:
    """Drop what was noted about a value that is wanted no more; the record still travels apart until it is asserted."""
    if entry.failures == 0:
        return entry
    return replace(
        entry,
        failures=1,
        first_failed_at=None,
        failed_singly=0,
        retry_at=None,
        refusal=None,
        refusal_detail=None,
        refused_status=None,
        flipped=False,
    )


def _never_reached_the_hub(entry: Entry, doubted_before: datetime | None) -> bool:
    """Tell whether no request ever carried it, a lost full load included; withdrawing it is then nobody's business."""
    if entry.attempt or entry.acknowledged is not None or entry.withdrawn_at is not None:
        return False
    return doubted_before is None or (entry.pending_since is not None and entry.pending_since >= doubted_before)


def _why_assert(entry: Entry, record: Record, at: Circumstances) -> WorkReason | None:
    if at.in_doubt(entry):
        return WorkReason.IN_DOUBT
    if entry.acknowledged is None or entry.presence is Presence.ABSENT:
        return WorkReason.NEW
    if entry.acknowledged is not record.status or entry.evse_id != record.evse_id:
        return WorkReason.CHANGED
    if entry.debt_at is not None and entry.debt_at <= at.now:
        return WorkReason.DEBT
    asserted_at = entry.asserted_at
    if asserted_at is None or asserted_at > at.now or asserted_at + at.policy.reassert_every <= at.now:
        return WorkReason.REASSERTED  # also what a clock that was set back let happen in the future
    return None


def _assertion(entry: Entry) -> Action:
    """Choose between insert and update by what is believed; of the unknown, what was acknowledged once exists."""
    exists = entry.presence is Presence.PRESENT
    if entry.presence is Presence.UNKNOWN:
        exists = entry.acknowledged is not None
    return Action.UPDATE if exists is not entry.flipped else Action.INSERT


def _waits(entry: Entry, status: OicpStatus, now: datetime) -> bool:
    """
    Tell whether its own backoff still runs.

    Another value than the refused one ends it. Where the hub fell silent instead, each attempt costs the whole lane a
    time-out, so only a less usable value does.
    """
    if entry.retry_at is None or entry.retry_at <= now or entry.retry_at > now + LONGEST_RETRY:
        return False
    if entry.refused_status is None:
        return True
    if entry.doubted_at is not None:
        return USABILITY[status] >= USABILITY[entry.refused_status]
    return entry.refused_status is status


def _since(seen: Observation, entry: Entry, reason: WorkReason, now: datetime) -> datetime:
    """Return since when the hub differs: known before, or by the oldest hint, or by the boundary that was due."""
    if entry.pending_since is not None:
        return entry.pending_since
    boundary = entry.due_at if reason is WorkReason.CHANGED else None
    return _earliest(seen.changed_at, boundary, now) or now


def _edge(
    seen: Observation, entry: Entry, reason: WorkReason, window: Window | None, since: datetime
) -> WindowEdge | None:
    """Tell which boundary of a window led to a difference: known before, or of a change that nobody made just now."""
    if entry.pending_since is not None:
        return entry.pending_edge
    if reason is not WorkReason.CHANGED or seen.changed_at is not None or entry.due_at is None:
        return None
    return WindowEdge.START if window is not None and window.valid_from == since else WindowEdge.END


def _is_urgent(entry: Entry, status: OicpStatus, since: datetime, now: datetime) -> bool:
    if now - since >= PATIENCE:
        return True
    if entry.doubted_at is not None:
        return status is not OicpStatus.AVAILABLE
    return entry.acknowledged is not None and becomes_less_usable(entry.acknowledged, status)


def becomes_less_usable(acknowledged: OicpStatus, status: OicpStatus) -> bool:
    """Tell whether a driver who goes by what the hub shows would be disappointed."""
    return USABILITY[status] < USABILITY[acknowledged]


def _fault(row: StatusRow, operator_keys: Collection[str]) -> Rejected | None:
    try:
        parsed = parse_evse_id(row.evse_id)
    except MalformedIdentifierError as error:
        return _reject(row, Rejection.MALFORMED_EVSE_ID, str(error))
    if parsed.operator not in operator_keys:
        detail = (
            f"its EvseID names operator {parsed.operator}, its row {foreign_text(row.operator_id, 60)}: Hubject would "
            "answer 018; correct the EvseID, or name the operator in sub_operators"
        )
        return _reject(row, Rejection.FOREIGN_OPERATOR, detail)
    return None


def _reject(row: StatusRow, reason: Rejection, detail: str) -> Rejected:
    return Rejected(row.evse_id, evse_key(row.evse_id), row.operator_id, reason, detail)


def _earliest(*instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)
