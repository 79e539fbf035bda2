"""
Holds what every service of the control package works with, and opens the transactions in which it changes something.

1. What is changed, what it is remembered by and who did it are committed together, or nothing is.
2. A transaction that changes something reads no shared table but `temporary_status`: it can wait for nobody who holds
   two of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from oicp_adapter.control.lanes import lanes_of
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.settings import Settings
from oicp_adapter.store.audit import NewAuditEntry, append_audit
from oicp_adapter.store.engine import Store
from oicp_adapter.store.idempotency import Once, Remembered, claim_key, recall, remember_answer
from oicp_adapter.store.scope import LaneScope

T = TypeVar("T")

_COMMAND_LINE = ""
"""Stands for the command line where a token's id would."""


@dataclass(frozen=True, slots=True)
class Desk:
    """
    What the services need.

    Attributes:
        lanes: What each lane covers, by its OperatorID.
    """

    store: Store
    lanes: Mapping[str, LaneScope]
    mapping: StatusMapping
    settings: Settings


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """
    What came of a request that may come twice.

    Attributes:
        value: What was done; None: it had been done before.
        rendered: The words of the answer; None: the request has no key.
        replayed: It had been done before, and the words are those of that time.
    """

    value: T | None
    rendered: str | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """
    A transaction in which somebody changes something.

    Attributes:
        now: By the clock that decides.
    """

    connection: Connection
    actor: Actor
    now: datetime

    @property
    def owner(self) -> str:
        """Whose names and keys these are: the token's, or the command line's."""
        return owner_of(self.actor)

    def note(
        self,
        action: str,
        *,
        window_id: int | None = None,
        subject: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down one thing that was done."""
        self.note_all([self.entry(action, window_id=window_id, subject=subject, before=before, after=after)])

    def entry(
        self,
        action: str,
        *,
        window_id: int | None = None,
        subject: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> NewAuditEntry:
        """Return what would be written down, for `note_all`."""
        return NewAuditEntry(self.actor.name, self.actor.token_id, action, window_id, subject, before, after)

    def note_all(self, entries: list[NewAuditEntry]) -> None:
        """Write down what was done."""
        append_audit(self.connection, entries, self.now)


def desk_of(settings: Settings, store: Store) -> Desk:
    """Return what the services need; settings may name no lane."""
    return Desk(store, lanes_of(settings), settings.status_mapping(), settings)


def owner_of(actor: Actor) -> str:
    """Return under whom the references and idempotency keys of somebody are kept."""
    return actor.token_id if actor.token_id is not None else _COMMAND_LINE


def change(desk: Desk, actor: Actor, do: Callable[[Change], T]) -> T:
    """
    Do something in one transaction.

    Raises:
        RequestRefusedError: *do* refuses; nothing was changed.
        StoreError: Nothing was changed, or, when the answer to the commit was lost, nobody knows.
    """
    with desk.store.writing() as connection:
        return do(Change(connection, actor, desk.store.now(connection)))


def done_before(desk: Desk, actor: Actor, once: Once | None) -> Done[Any] | None:
    """
    Return what a request was answered, so that nothing is judged anew; None: it was not, or has no key.

    Raises:
        RequestRefusedError: KEY_REUSED.
        StoreError: The store could not be read.
    """
    if once is None:
        return None
    with desk.store.reading() as connection:
        before = recall(connection, owner_of(actor), once, desk.store.now(connection))
    return _replay(before, once) if before is not None else None


def change_once(desk: Desk, actor: Actor, once: Once | None, do: Callable[[Change], T]) -> Done[T]:
    """
    Do something in one transaction, unless it was done under the same key before.

    Args:
        once: None: the request has no key, and is done each time.

    Raises:
        RequestRefusedError: *do* refuses, or another request came under the same key; nothing was changed.
        StoreError: As for `change`.
    """
    if once is None:
        return Done(change(desk, actor, do))
    known = once

    def claimed(changing: Change) -> Done[T]:
        before = claim_key(changing.connection, changing.owner, known, changing.now)
        if before is None:
            value = do(changing)
            rendered = known.render(value)
            remember_answer(changing.connection, changing.owner, known, rendered)
            return Done(value, rendered)
        return _replay(before, known)

    return change(desk, actor, claimed)


def _replay(before: Remembered, once: Once) -> Done[Any]:
    if before.fingerprint != once.fingerprint:
        raise RequestRefusedError(
            Refusal.KEY_REUSED,
            "another request came under this Idempotency-Key",
            cure="take a new key for each new request, and the same one only to send a request again",
        )
    return Done(None, before.answer, replayed=True)
