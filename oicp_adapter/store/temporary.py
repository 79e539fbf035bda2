"""
Sets, ends, extends and lists temporary statuses, for the commands and the control API.

1. Rows are never deleted: a window that is ended keeps its planned end beside its real one.
2. What a window means, and which of several wins, is the domain's to say; here they are only kept.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, insert, select, update

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.domain.identifiers import EvseId, evse_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import EvseKey, Kind, WindowLimit, WindowStart, among, constant, not_over
from oicp_adapter.store.observing import KINDS
from oicp_adapter.store.schema import temporary_status

PAGE: Final = 1000
"""Rows in one read."""

_KEYS_END: Final = 2**63
"""First number that no store has as the id of a row, and that no driver takes."""


@dataclass(frozen=True, slots=True)
class TemporaryRecord:
    """
    One row of `temporary_status`; instants are aware, UTC.

    Attributes:
        window: When it applies, and what it sets.
        ended_by: Who ended it before its time.
    """

    window: Window
    evse_id: EvseId
    reason: str | None
    reference: str | None
    created_by: str | None
    created_at: datetime | None
    updated_at: datetime | None
    ended_by: str | None


def set_temporary(
    store: Store,
    *,
    evse_id: str,
    kind: TemporaryStatus,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    reason: str | None = None,
    reference: str | None = None,
    created_by: str | None = None,
) -> TemporaryRecord:
    """
    Set a temporary status; whether the EVSE exists is not asked, for its row may come later.

    Args:
        valid_from: None: now, by the database's clock.
        valid_to: First instant at which it no longer applies; None: until ended.

    Raises:
        ConfigurationError: It would end before it starts.
        StoreError: The store could not be written.
    """
    with store.writing() as connection:
        now = store.now(connection)
        start = valid_from or now
        _refuse_backwards(start, valid_to)
        statement = insert(temporary_status).values(
            evse_id=evse_id,
            status=kind.value,
            valid_from=start,
            valid_to=valid_to,
            reason=reason,
            reference=reference,
            created_by=created_by,
            created_at=now,
            updated_at=now,
        )
        key: int = connection.execute(statement.returning(temporary_status.c.id)).scalar_one()
        return _one(connection, key)


def end_temporary(store: Store, key: int, *, by: str, at: datetime | None = None) -> TemporaryRecord | None:
    """
    End a temporary status before its time; one that was ended already stays as it is.

    Args:
        at: First instant at which it no longer applies; None: now.

    Returns:
        The row as it is now; None: there is none of this id.

    Raises:
        StoreError: The store could not be written.
    """
    with store.writing() as connection:
        if _find(connection, key) is None:
            return None
        now = store.now(connection)
        window = temporary_status.c
        connection.execute(
            update(temporary_status)
            .where(window.id == key, window.ended_at.is_(None))
            .values(ended_at=at or now, ended_by=by, updated_at=now)
        )
        return _find(connection, key)


def extend_temporary(store: Store, key: int, *, valid_to: datetime | None) -> TemporaryRecord | None:
    """
    Change the planned end of a temporary status, to a later or an earlier one.

    Args:
        valid_to: First instant at which it no longer applies; None: until ended.

    Returns:
        The row as it is now; None: there is none of this id.

    Raises:
        ConfigurationError: It was ended already, or would end before it starts.
        StoreError: The store could not be written.
    """
    with store.writing() as connection:
        record = _find(connection, key)
        if record is None:
            return None
        if record.window.ended_at is not None:
            raise ConfigurationError(f"temporary status {key} was ended already", cure="set a new one")
        _refuse_backwards(record.window.valid_from, valid_to)
        now = store.now(connection)
        changed = update(temporary_status).where(temporary_status.c.id == key)
        connection.execute(changed.values(valid_to=valid_to, updated_at=now))
        return _one(connection, key)


def get_temporary(store: Store, key: int) -> TemporaryRecord | None:
    """
    Return one temporary status; None: there is none of this id.

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        return _find(connection, key)


def list_temporary(
    store: Store, *, evse_ids: Collection[str] | None = None, over_too: bool = False
) -> Iterator[TemporaryRecord]:
    """
    Stream temporary statuses in the order in which they were set, a page in memory at a time.

    Args:
        evse_ids: Whose, in any spelling; None: all.
        over_too: Those that are over, too; else only those that apply or will.

    Raises:
        StoreError: The store could not be read.
    """
    window = temporary_status.c
    statement = _select()
    if evse_ids is not None:
        statement = statement.where(among(EvseKey(window.evse_id), {evse_key(text) for text in evse_ids}))
    last = None
    while True:
        page = statement if last is None else statement.where(window.id > last)
        with store.reading() as connection:
            if not over_too:
                page = page.where(not_over(window.valid_to, window.ended_at, store.now(connection)))
            rows = connection.execute(page.order_by(window.id).limit(PAGE)).all()
        for row in rows:
            if row.valid_from is not None:
                yield _record(row)
        if len(rows) < PAGE:
            return
        last = rows[-1].id


def _select() -> Select[Any]:
    window = temporary_status.c
    return select(
        window.id,
        window.evse_id,
        Kind(window.status).label("kind"),
        WindowStart(window.valid_from).label("valid_from"),
        WindowLimit(window.valid_to).label("valid_to"),
        WindowLimit(window.ended_at).label("ended_at"),
        window.reason,
        window.reference,
        window.created_by,
        WindowLimit(window.created_at).label("created_at"),
        WindowLimit(window.updated_at).label("updated_at"),
        window.ended_by,
    ).where(Kind(window.status).in_([constant(kind) for kind in KINDS]))


def _find(connection: Connection, key: int) -> TemporaryRecord | None:
    if not 0 < key < _KEYS_END:
        return None
    row = connection.execute(_select().where(temporary_status.c.id == key)).first()
    return _record(row) if row is not None and row.valid_from is not None else None


def _one(connection: Connection, key: int) -> TemporaryRecord:
    return _record(connection.execute(_select().where(temporary_status.c.id == key)).one())


def _record(row: Any) -> TemporaryRecord:
    return TemporaryRecord(
        window=Window(row.id, KINDS[row.kind], row.valid_from, row.valid_to, row.ended_at),
        evse_id=EvseId(row.evse_id),
        reason=row.reason,
        reference=row.reference,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_by=row.ended_by,
    )


def _refuse_backwards(start: datetime, end: datetime | None) -> None:
    if end is not None and end <= start:
        raise ConfigurationError(
            f"a temporary status from {start:%Y-%m-%d %H:%M:%S} cannot end at {end:%Y-%m-%d %H:%M:%S}",
            cure="let it end after it starts; it applies from its start and no longer at its end",
        )
