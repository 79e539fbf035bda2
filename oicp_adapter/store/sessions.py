"""
Keeps the sessions of the operator page and the links that sign somebody in once; of each secret only its SHA-256.

What has expired is deleted with the next one that is made.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from oicp_adapter.store.engine import Store
from oicp_adapter.store.schema import session_row


class SessionKind(StrEnum):
    """What a secret opens: a session for as long as it lasts, or a link once."""

    SESSION = "session"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """
    One session or link; instants are aware, UTC.

    Attributes:
        csrf: What each form of the session carries; empty for a link.
        expires_at: First instant at which it no longer opens anything.
    """

    secret_sha256: str
    token_id: str
    csrf: str
    kind: SessionKind
    created_at: datetime
    expires_at: datetime


def add_session(connection: Connection, record: SessionRecord) -> None:
    """Write a session or link, and delete those that have expired by then."""
    connection.execute(delete(session_row).where(session_row.c.expires_at <= record.created_at))
    connection.execute(
        insert(session_row).values(
            secret_sha256=record.secret_sha256,
            token_id=record.token_id,
            csrf=record.csrf,
            kind=record.kind.value,
            created_at=record.created_at,
            expires_at=record.expires_at,
        )
    )


def find_session(connection: Connection, secret_sha256: str) -> SessionRecord | None:
    """Return a session whether it has expired or not; None: there is none, or it is a link."""
    row = connection.execute(
        select(session_row).where(
            session_row.c.secret_sha256 == secret_sha256, session_row.c.kind == SessionKind.SESSION.value
        )
    ).first()
    return _record(row) if row is not None else None


def take_link(connection: Connection, secret_sha256: str) -> SessionRecord | None:
    """Delete a link and return it, for exactly one caller; None: there is none, or it was taken."""
    statement = delete(session_row).where(
        session_row.c.secret_sha256 == secret_sha256, session_row.c.kind == SessionKind.LINK.value
    )
    row = connection.execute(statement.returning(*session_row.c)).first()
    return _record(row) if row is not None else None


def delete_session(store: Store, secret_sha256: str) -> None:
    """
    Delete a session; none of this secret is no error.

    Raises:
        StoreError: The store could not be written.
    """
    with store.writing() as connection:
        connection.execute(delete(session_row).where(session_row.c.secret_sha256 == secret_sha256))


def _record(row: Any) -> SessionRecord:
    return SessionRecord(
        row.secret_sha256, row.token_id, row.csrf, SessionKind(row.kind), row.created_at, row.expires_at
    )
