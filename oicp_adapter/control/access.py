"""
Makes tokens, tells who comes with one, and lets people sign in to the operator page.

1. A secret has 256 random bits, is shown once and never stored: the store has its SHA-256, compared in constant time.
2. Whether a token holds is asked with every request, by the store's clock: a revocation counts at once, for its
   sessions too.
3. Why a token does not hold is told only to who has its secret; to everybody else it is one that does not exist.
4. The author of a change is the token's name.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NoReturn

from sqlalchemy import Connection

from oicp_adapter.control.desk import Change, Desk, change
from oicp_adapter.control.tokens import ROLES as ROLES  # noqa: PLC0414 - its users find it here
from oicp_adapter.control.tokens import NewToken as NewToken  # noqa: PLC0414 - likewise
from oicp_adapter.control.tokens import TokenView as TokenView  # noqa: PLC0414 - likewise
from oicp_adapter.control.tokens import holds, require_possible, told, view_of
from oicp_adapter.domain.access import Actor, Grant
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreUnavailableError, foreign_text
from oicp_adapter.store.sessions import (
    SessionKind,
    SessionRecord,
    add_session,
    delete_session,
    find_session,
    take_link,
)
from oicp_adapter.store.tokens import TokenRecord, add_token, all_tokens, find_token, note_use, revoke

SESSION_LASTS: Final = timedelta(hours=12)
"""A shift; who stays longer signs in again."""

LINK_LASTS: Final = timedelta(minutes=10)
"""From the terminal to the browser, with a phone call between."""

USE_NOTED: Final = timedelta(minutes=1)
"""The last use is written at most this often, so that reading requests stay reading ones."""

_PREFIX: Final = "oicp"
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 5
_NOBODY: Final = "0" * 64
"""What the digest of an unknown token's secret is compared with; no secret has it."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """
    A session that has just begun.

    Attributes:
        secret: For the cookie; not to be had again.
        csrf: What each form of the session carries.
    """

    secret: str
    csrf: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in."""

    actor: Actor
    csrf: str
    expires_at: datetime


def create_token(desk: Desk, by: Actor, new: NewToken) -> tuple[TokenView, str]:
    """
    Make a token.

    Returns:
        What it is, and its text, which nobody can show again.

    Raises:
        RequestRefusedError: INVALID: what it is to be contradicts itself.
        StoreError: The store could not be written.
    """
    token_id = base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()
    secret = secrets.token_urlsafe(_SECRET_BYTES)

    def make(changing: Change) -> TokenView:
        require_possible(new, changing.now)
        record = TokenRecord(
            id=token_id,
            name=new.name,
            secret_sha256=_digest(secret),
            grant=Grant(new.scopes, new.kinds, new.patterns, new.locations, new.longest),
            requests_per_minute=new.requests_per_minute,
            created_at=changing.now,
            created_by=by.name,
            expires_at=new.expires_at,
            revoked_at=None,
            revoked_by=None,
            last_used_at=None,
        )
        add_token(changing.connection, record)
        changing.note("token.create", subject=token_id, after=told(record))
        return view_of(record, changing.now)

    return change(desk, by, make), f"{_PREFIX}_{token_id}_{secret}"


def list_tokens(desk: Desk) -> Sequence[TokenView]:
    """
    Return all tokens, those that no longer hold too, in the order in which they were made.

    Raises:
        StoreError: The store could not be read.
    """
    now = desk.store.now()
    return [view_of(record, now) for record in all_tokens(desk.store)]


def revoke_token(desk: Desk, by: Actor, token_id: str) -> TokenView:
    """
    Let a token hold no longer, from now on; one that was revoked already stays as it is.

    Raises:
        RequestRefusedError: NOT_FOUND: there is none of this id.
        StoreError: The store could not be written.
    """

    def end(changing: Change) -> TokenView:
        before = find_token(changing.connection, token_id)
        if before is None:
            raise _no_token(token_id)
        if before.revoked_at is not None:
            return view_of(before, changing.now)
        revoke(changing.connection, token_id, by=by.name, at=changing.now)
        changing.note("token.revoke", subject=token_id, before=told(before))
        return view_of(replace(before, revoked_at=changing.now, revoked_by=by.name), changing.now)

    return change(desk, by, end)


def identify(desk: Desk, text: str) -> TokenView:
    """
    Return the token of which this is the text.

    Raises:
        RequestRefusedError: UNAUTHENTICATED: there is none, or it no longer holds.
        StoreError: The store could not be read.
    """
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not token_id.isalnum() or not token_id.isascii() or not secret:
        _refuse_unknown()
    with desk.store.reading() as connection:
        record = find_token(connection, token_id)
        now = desk.store.now(connection)
    matches = hmac.compare_digest(_digest(secret), record.secret_sha256 if record is not None else _NOBODY)
    if record is None or not matches:
        _refuse_unknown()
    return _holding(desk, record, now)


def authenticate(desk: Desk, text: str) -> Actor:
    """
    Tell who comes with a token.

    Raises:
        RequestRefusedError: UNAUTHENTICATED: there is no such token, or it no longer holds.
        StoreError: The store could not be read.
    """
    return identify(desk, text).actor


def sign_in(desk: Desk, token_text: str) -> NewSession:
    """
    Begin a session of the operator page with a token.

    Raises:
        RequestRefusedError: UNAUTHENTICATED: there is no such token, or it no longer holds.
        StoreError: The store could not be written.
    """
    token = identify(desk, token_text)
    with desk.store.writing() as connection:
        return _begin(connection, token.id, token.expires_at, desk.store.now(connection))


def create_link(desk: Desk, token_id: str) -> str:
    """
    Make the code of a link that signs somebody in once, with a token's rights.

    Returns:
        The code, which holds for `LINK_LASTS`.

    Raises:
        RequestRefusedError: NOT_FOUND: there is no such token, or it no longer holds.
        StoreError: The store could not be written.
    """
    code = secrets.token_urlsafe(_SECRET_BYTES)
    with desk.store.writing() as connection:
        now = desk.store.now(connection)
        record = find_token(connection, token_id)
        if record is None or not holds(record, now):
            raise _no_token(token_id)
        link = SessionRecord(_digest(code), record.id, "", SessionKind.LINK, now, now + LINK_LASTS)
        add_session(connection, link)
    return code


def redeem_link(desk: Desk, code: str) -> NewSession:
    """
    Begin a session with a link, which opens nothing a second time.

    Raises:
        RequestRefusedError: UNAUTHENTICATED: it was used, has expired, or its token no longer holds.
        StoreError: The store could not be written.
    """
    with desk.store.writing() as connection:
        now = desk.store.now(connection)
        link = take_link(connection, _digest(code))
        record = find_token(connection, link.token_id) if link is not None else None
        if link is not None and record is not None and now < link.expires_at and holds(record, now):
            return _begin(connection, record.id, record.expires_at, now)
    raise RequestRefusedError(
        Refusal.UNAUTHENTICATED,
        "the link was used already, or has expired",
        cure="sign in with a token, or ask for a new link",
    )


def session(desk: Desk, secret: str) -> Session:
    """
    Tell who is signed in with the secret of a session.

    Raises:
        RequestRefusedError: UNAUTHENTICATED: the session is over, or its token no longer holds.
        StoreError: The store could not be read.
    """
    with desk.store.reading() as connection:
        now = desk.store.now(connection)
        found = find_session(connection, _digest(secret))
        record = find_token(connection, found.token_id) if found is not None else None
    if found is None or record is None or found.expires_at <= now:
        raise RequestRefusedError(Refusal.UNAUTHENTICATED, "the session is over", cure="sign in again")
    return Session(_holding(desk, record, now).actor, found.csrf, found.expires_at)


def sign_out(desk: Desk, secret: str) -> None:
    """
    End a session; one that is over already is no error.

    Raises:
        StoreError: The store could not be written.
    """
    delete_session(desk.store, _digest(secret))


def _begin(connection: Connection, token_id: str, token_expires: datetime | None, now: datetime) -> NewSession:
    secret, csrf = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    expires_at = min(now + SESSION_LASTS, token_expires) if token_expires is not None else now + SESSION_LASTS
    add_session(connection, SessionRecord(_digest(secret), token_id, csrf, SessionKind.SESSION, now, expires_at))
    return NewSession(secret, csrf, expires_at)


def _holding(desk: Desk, record: TokenRecord, now: datetime) -> TokenView:
    """Return a token whose secret was shown, and note its use; refuse it if it does not hold."""
    if record.revoked_at is not None:
        _refuse_lapsed(record, "was revoked", record.revoked_at)
    if record.expires_at is not None and record.expires_at <= now:
        _refuse_lapsed(record, "expired", record.expires_at)
    if record.last_used_at is None or record.last_used_at <= now - USE_NOTED:
        # Who may come in does not depend on whether that can be written down.
        with suppress(StoreUnavailableError):
            note_use(desk.store, record.id, at=now, unless_since=now - USE_NOTED)
    return view_of(record, now)


def _no_token(token_id: str) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.NOT_FOUND,
        f"no token {foreign_text(token_id, 60)!r} is there, or it no longer holds",
        cure="`oicp-adapter token list` has the ids of all",
    )


def _digest(secret: str) -> str:
    # What cannot be encoded is nobody's secret; it must not become an error that tells so.
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _refuse_unknown() -> NoReturn:
    raise RequestRefusedError(
        Refusal.UNAUTHENTICATED,
        "the token is not known",
        cure="send one that `oicp-adapter token create` has shown, whole",
    )


def _refuse_lapsed(record: TokenRecord, what: str, at: datetime) -> NoReturn:
    raise RequestRefusedError(
        Refusal.UNAUTHENTICATED,
        f"token {record.id} {what} at {at:%Y-%m-%d %H:%M:%S} UTC",
        cure="ask for a new one: `oicp-adapter token create`",
    )
