"""
Keeps the tokens of the control API; of a token's secret only its SHA-256.

1. Rows are never deleted: the audit names tokens by their id.
2. Whether a token still holds is not decided here, see `control.access`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from oicp_adapter.domain.access import Grant, Scope
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.engine import Store
from oicp_adapter.store.schema import token_row


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """
    One token; instants are aware, UTC.

    Attributes:
        name: Whose it is; stands as the author of changes.
        secret_sha256: Of the secret part, in hex.
        requests_per_minute: None: as many as any token.
        expires_at: First instant at which it no longer holds; None: it does until it is revoked.
        last_used_at: To the minute; None: never.
    """

    id: str
    name: str
    secret_sha256: str
    grant: Grant
    requests_per_minute: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None


def add_token(connection: Connection, record: TokenRecord) -> None:
    """Write a new token."""
    grant = record.grant
    connection.execute(
        insert(token_row).values(
            id=record.id,
            name=record.name,
            secret_sha256=record.secret_sha256,
            scopes=_texts(grant.scopes),
            kinds=_texts(grant.kinds),
            evse_patterns=json.dumps([pattern.text for pattern in grant.patterns]),
            locations=_texts(grant.locations),
            longest_seconds=int(grant.longest.total_seconds()) if grant.longest is not None else None,
            requests_per_minute=record.requests_per_minute,
            created_at=record.created_at,
            created_by=record.created_by,
            expires_at=record.expires_at,
        )
    )


def find_token(connection: Connection, token_id: str) -> TokenRecord | None:
    """Return a token whether it holds or not; None: there is none of this id."""
    row = connection.execute(select(token_row).where(token_row.c.id == token_id)).first()
    return _record(row) if row is not None else None


def all_tokens(store: Store) -> Sequence[TokenRecord]:
    """
    Return all tokens, those that no longer hold too, in the order in which they were made.

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        return [_record(row) for row in connection.execute(select(token_row).order_by(token_row.c.created_at))]


def revoke(connection: Connection, token_id: str, *, by: str, at: datetime) -> None:
    """Let a token hold no longer."""
    connection.execute(update(token_row).where(token_row.c.id == token_id).values(revoked_at=at, revoked_by=by))


def note_use(store: Store, token_id: str, *, at: datetime, unless_since: datetime) -> None:
    """
    Note that a token was used, unless somebody noted it since an instant.

    Raises:
        StoreError: The store could not be written.
    """
    used = token_row.c.last_used_at
    with store.writing() as connection:
        connection.execute(
            update(token_row)
            .where(token_row.c.id == token_id, or_(used.is_(None), used <= unless_since))
            .values(last_used_at=at)
        )


def _texts(values: Iterable[str]) -> str:
    return json.dumps(sorted(values))


def _record(row: Any) -> TokenRecord:
    longest = row.longest_seconds
    return TokenRecord(
        id=row.id,
        name=row.name,
        secret_sha256=row.secret_sha256,
        grant=Grant(
            scopes=frozenset(Scope(text) for text in json.loads(row.scopes)),
            kinds=frozenset(TemporaryStatus(text) for text in json.loads(row.kinds)),
            patterns=tuple(EvsePattern(text) for text in json.loads(row.evse_patterns)),
            locations=frozenset(json.loads(row.locations)),
            longest=timedelta(seconds=longest) if longest is not None else None,
        ),
        requests_per_minute=row.requests_per_minute,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        last_used_at=row.last_used_at,
    )
