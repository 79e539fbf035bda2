"""
Does what people ask for: a full load, letting go of quarantined records, approving withdrawals, adopting a store.

1. Each change is made under the lane's lock and makes its EVSEs due, so that the daemon, whichever process it is, finds
   it with its next look.
2. It is written into the audit in the same transaction.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, OperatorId, evse_key
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.audit import NewAuditEntry, append_audit
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import among
from oicp_adapter.store.identity import find_identity, known_identity, remember_identity
from oicp_adapter.store.ledger import ENTRY_COLUMNS, entry_of, write_entries
from oicp_adapter.store.position import lock_position, position_write
from oicp_adapter.store.schema import ledger, rejection
from oicp_adapter.store.withdrawals import unsettled, waits_for_a_person
from oicp_adapter.sync.identity import StoreIdentity, differences, distrust
from oicp_adapter.sync.lease import longest_silence
from oicp_adapter.sync.model import Entry, Policy, Position, Rejected, Rejection

_QUARANTINED: Final = ledger.c.retry_at.is_not(None)


@dataclass(frozen=True, slots=True)
class HeldWithdrawal:
    """
    A withdrawal that waits for a person.

    Attributes:
        acknowledged: What the hub shows; None: not known.
        held_since: Since when it waits.
    """

    evse_id: EvseId
    acknowledged: OicpStatus | None
    held_since: datetime


def request_full_load(store: Store, lane: str, *, by: str, token_id: str | None = None) -> datetime:
    """
    Ask for a full load as the lane's next request; a second call before it was sent changes nothing but the name.

    Args:
        by: Who asks.
        token_id: Of the token that they came with; None: a command.

    Returns:
        When it was asked for, by the database's clock.

    Raises:
        StoreError: The store could not be written.
    """
    with _locked(store, lane) as (connection, position, now):
        asked = position.full_load_requested_at or now
        asking = replace(position, full_load_requested_at=asked, full_load_requested_by=by)
        connection.execute(*position_write(lane, asking))
        append_audit(connection, [NewAuditEntry(by, token_id, "full_load.request", subject=lane)], now)
        return asked


def quarantined(store: Store, lane: str) -> Sequence[Entry]:
    """
    Return the records of a lane that the hub refused and that have a backoff of their own, in order of their keys.

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        return _read(connection, lane, None, _QUARANTINED)


def release_quarantine(
    store: Store, lane: str, evse_ids: Collection[str] | None = None, *, by: str, token_id: str | None = None
) -> Sequence[EvseId]:
    """
    Let quarantined records be tried now, still apart from the healthy ones, their backoff as if it was the first time.

    Args:
        evse_ids: Which, in any spelling; None: all of the lane.
        by: Who releases.
        token_id: Of the token that they came with; None: a command.

    Returns:
        Those that were released.

    Raises:
        StoreError: The store could not be written.
    """
    with _locked(store, lane) as (connection, _, now):
        entries = _read(connection, lane, evse_ids, _QUARANTINED)
        fresh: dict[str, Any] = {"failures": 1, "failed_singly": 0, "first_failed_at": now, "flipped": False}
        released = [replace(entry, **fresh, retry_at=None, due_at=now) for entry in entries]
        write_entries(connection, lane, released)
        _note(connection, "quarantine.release", entries, by=by, token_id=token_id, now=now)
    return [entry.evse_id for entry in entries]


def held_withdrawals(store: Store, lane: str) -> Sequence[HeldWithdrawal]:
    """
    Return the withdrawals of a lane that wait for a person, in order of their keys.

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        held = _read(connection, lane, None, waits_for_a_person())
    return [HeldWithdrawal(entry.evse_id, entry.acknowledged, entry.held_since) for entry in held if entry.held_since]


def approve_withdrawals(
    store: Store, lane: str, evse_ids: Collection[str], *, by: str, token_id: str | None = None
) -> Sequence[EvseId]:
    """
    Approve exactly these withdrawals.

    Args:
        evse_ids: In any spelling. What is not held is left alone: nobody approves what nobody has shown them.
        by: Who approves.
        token_id: Of the token that they came with; None: a command.

    Returns:
        Those that were approved.

    Raises:
        StoreError: The store could not be written.
    """
    with _locked(store, lane) as (connection, _, now):
        entries = _read(connection, lane, evse_ids, waits_for_a_person())
        write_entries(connection, lane, [replace(e, approved_at=now, approved_by=by, due_at=now) for e in entries])
        _note(connection, "withdrawal.approve", entries, by=by, token_id=token_id, now=now)
    return [entry.evse_id for entry in entries]


def strangeness(store: Store, lane: str, *, hub_url: str) -> Sequence[str]:
    """
    Name what makes the store another one than a lane knows, in words; empty: it is the lane's own, or new to it.

    Raises:
        StoreError: The store could not be read.
    """
    found = _identity(store, hub_url)
    with store.reading() as connection:
        known = known_identity(connection, lane)
    return differences(known, found) if known is not None else ()


def adopt_store(store: Store, lane: str, *, hub_url: str, by: str, policy: Policy) -> None:
    """
    Let the lane take the store for its own, as it is: everything is in doubt, and no full load goes out unasked.

    Args:
        hub_url: Of the hub that the lane's ledger speaks of from now on.
        by: Who says so.

    Raises:
        StoreError: The store could not be read or written.
    """
    found = _identity(store, hub_url)
    with _locked(store, lane) as (connection, position, now):
        remember_identity(connection, lane, found, now=now, adopted_by=by)
        silent_until = now + longest_silence(policy)
        doubtful = distrust(
            position, witnessed=0, epoch=position.epoch, silent_until=silent_until, now=now, policy=policy
        )
        connection.execute(*position_write(lane, doubtful))
        append_audit(connection, [NewAuditEntry(by, None, "store.adopt", subject=lane)], now)


def rejections(store: Store, lane: str, *, limit: int | None = None) -> Sequence[Rejected]:
    """
    Return the rows of a lane that never leave the house, in the order of their EvseIDs.

    Args:
        limit: The first so many; None: all, which may be a whole fleet.

    Raises:
        StoreError: The store could not be read.
    """
    statement = select(rejection).where(rejection.c.lane == lane).order_by(rejection.c.evse_id).limit(limit)
    with store.reading() as connection:
        return [
            Rejected(
                EvseId(row.evse_id),
                CanonicalEvseId(row.canonical),
                OperatorId(row.operator_id),
                Rejection(row.reason),
                row.detail,
            )
            for row in connection.execute(statement)
        ]


def _identity(store: Store, hub_url: str) -> StoreIdentity:
    """Read what the store is over a connection of its own, since it must not be in a transaction."""
    with store.errors(), closing(store.own_connection()) as connection:
        return find_identity(connection, store, hub_url=hub_url)


def _note(
    connection: Connection, action: str, entries: Sequence[Entry], *, by: str, token_id: str | None, now: datetime
) -> None:
    noted = [NewAuditEntry(by, token_id, action, subject=foreign_text(entry.evse_id)) for entry in entries]
    append_audit(connection, noted, now)


@contextmanager
def _locked(store: Store, lane: str) -> Iterator[tuple[Connection, Position, datetime]]:
    with store.writing() as connection:
        position = lock_position(connection, lane)
        yield connection, position, store.now(connection)


def _read(
    connection: Connection, lane: str, evse_ids: Collection[str] | None, condition: ColumnElement[bool]
) -> Sequence[Entry]:
    statement = select(*ENTRY_COLUMNS).where(unsettled(lane), condition)
    if evse_ids is not None:
        statement = statement.where(among(ledger.c.canonical, {evse_key(text) for text in evse_ids}))
    return [entry_of(row) for row in connection.execute(statement.order_by(ledger.c.canonical))]
