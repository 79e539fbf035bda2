"""
Remembers which requests were answered, so that one that comes again is answered in the same words and does nothing.

Everything happens in the transaction that does the work: a request is remembered exactly if it was carried out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from oicp_adapter.store.schema import idempotency
from oicp_adapter.store.upserts import insert_into

REMEMBERED: Final = timedelta(hours=24)
"""How long a request is remembered; a client that retries does so within minutes."""


@dataclass(frozen=True, slots=True)
class Once:
    """
    What a request is known by.

    Attributes:
        key: Chosen by the client, of its own namespace.
        fingerprint: Equal for equal requests.
        render: Makes the words of the answer from what was done.
    """

    key: str
    fingerprint: str
    render: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request that was answered: its fingerprint, and the words."""

    fingerprint: str
    answer: str


def recall(connection: Connection, owner: str, once: Once, now: datetime) -> Remembered | None:
    """
    Return what was answered under a key; None: nothing, or too long ago.

    Args:
        owner: Whose namespace it is.
    """
    row = idempotency.c
    found = connection.execute(
        select(row.fingerprint, row.answer).where(
            row.token_id == owner, row.key == once.key, row.created_at > now - REMEMBERED
        )
    ).first()
    return Remembered(found.fingerprint, found.answer) if found is not None else None


def claim_key(connection: Connection, owner: str, once: Once, now: datetime) -> Remembered | None:
    """
    Take a key for this transaction, or return what was answered under it; waits for a request that is under way.

    Args:
        owner: Whose namespace it is.
    """
    row = idempotency.c
    connection.execute(delete(idempotency).where(row.created_at <= now - REMEMBERED))
    taken = (
        insert_into(connection.dialect, idempotency)
        .values(token_id=owner, key=once.key, fingerprint=once.fingerprint, answer="", created_at=now)
        .on_conflict_do_nothing()
        .returning(row.key)
    )
    if connection.execute(taken).first() is not None:
        return None
    found = connection.execute(
        select(row.fingerprint, row.answer).where(row.token_id == owner, row.key == once.key)
    ).one()
    return Remembered(found.fingerprint, found.answer)


def remember_answer(connection: Connection, owner: str, once: Once, answer: str) -> None:
    """Keep the words under a key that this transaction has taken."""
    row = idempotency.c
    connection.execute(update(idempotency).where(row.token_id == owner, row.key == once.key).values(answer=answer))
