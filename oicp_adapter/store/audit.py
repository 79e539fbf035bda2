"""Keeps who changed what and what was before; rows are appended and never changed, which the store itself enforces."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from oicp_adapter.store.schema import audit

NEWEST: Final = 1000
"""Entries of one window that are shown; a window has few."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """
    One change.

    Attributes:
        id: Greater for what came later.
        actor: Who asked for it.
        token_id: Of the token that they came with; None: the command line.
        action: As `window.set`, `token.revoke`.
        window_id: Of the temporary status; None: it is about something else.
        subject: What it is about, as an EvseID or a token; None: nothing more.
        before: The fields as they were; None: it was not there.
        after: The fields as they are; None: it is gone.
    """

    id: int
    at: datetime
    actor: str
    token_id: str | None
    action: str
    window_id: int | None
    subject: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class NewAuditEntry:
    """A change to be written down; its fields are those of `AuditEntry`."""

    actor: str
    token_id: str | None
    action: str
    window_id: int | None = None
    subject: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def append_audit(connection: Connection, entries: Sequence[NewAuditEntry], now: datetime) -> None:
    """Write changes down, in the transaction that makes them."""
    if not entries:
        return
    rows = [
        {
            "at": now,
            "actor": each.actor,
            "token_id": each.token_id,
            "action": each.action,
            "window_id": each.window_id,
            "subject": each.subject,
            "before": _text(each.before),
            "after": _text(each.after),
        }
        for each in entries
    ]
    connection.execute(insert(audit), rows)


def read_audit(connection: Connection, window_id: int) -> Sequence[AuditEntry]:
    """Return what was done to one window, the oldest first."""
    statement = select(audit).where(audit.c.window_id == window_id).order_by(audit.c.id.desc()).limit(NEWEST)
    return [_entry(row) for row in reversed(connection.execute(statement).all())]


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        token_id=row.token_id,
        action=row.action,
        window_id=row.window_id,
        subject=row.subject,
        before=json.loads(row.before) if row.before is not None else None,
        after=json.loads(row.after) if row.after is not None else None,
    )


def _text(fields: Mapping[str, Any] | None) -> str | None:
    return json.dumps(fields, ensure_ascii=False) if fields is not None else None
