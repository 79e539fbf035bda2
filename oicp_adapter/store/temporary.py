"""
Keeps temporary statuses: the rows of `temporary_status` and what the control service knows of them beyond.

1. Rows are never deleted: a window that is ended keeps its planned end beside its real one.
2. What a window means, which of several wins, and who may change it, is said elsewhere; here it is only kept.
3. Where the settings name a relation of somebody else's, windows are read from it and never written.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, insert, select, update

from oicp_adapter.domain.identifiers import EvseId, evse_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import (
    EvseKey,
    Kind,
    WindowLimit,
    WindowStart,
    among,
    among_ids,
    is_known_kind,
    not_over,
)
from oicp_adapter.store.observing import KINDS
from oicp_adapter.store.relations import relations_of, require_ours
from oicp_adapter.store.schema import temporary_status, window_row

PAGE: Final = 1000
"""Rows in one read."""

KEYS_END: Final = 2**63
"""First number that no store has as the id of a row, and that no driver takes."""


@dataclass(frozen=True, slots=True)
class TemporaryRecord:
    """
    One row of `temporary_status`; instants are aware, UTC.

    Attributes:
        window: When it applies, and what it sets.
        ended_by: Who ended it before its time.
        token_id: Of the token that set it; None: a command, or another program.
        time_zone: In which its times were entered, an IANA name; None: not known.
    """

    window: Window
    evse_id: EvseId
    reason: str | None
    reference: str | None
    created_by: str | None
    created_at: datetime | None
    updated_at: datetime | None
    ended_by: str | None
    token_id: str | None
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class NewWindow:
    """A row to be written; its fields are those of `TemporaryRecord`."""

    evse_id: str
    kind: TemporaryStatus
    valid_from: datetime
    valid_to: datetime | None
    reason: str | None = None
    reference: str | None = None
    created_by: str | None = None
    token_id: str | None = None
    time_zone: str | None = None


def insert_windows(connection: Connection, windows: Sequence[NewWindow], now: datetime) -> Sequence[int]:
    """
    Write rows and return their ids in the same order.

    Raises:
        RequestRefusedError: NOT_PERMITTED where windows are somebody else's.
    """
    require_ours(relations_of(connection), temporary_status)
    rows = [
        {
            "evse_id": each.evse_id,
            "status": each.kind.value,
            "valid_from": each.valid_from,
            "valid_to": each.valid_to,
            "reason": each.reason,
            "reference": each.reference,
            "created_by": each.created_by,
            "created_at": now,
            "updated_at": now,
        }
        for each in windows
    ]
    statement = insert(temporary_status).returning(temporary_status.c.id, sort_by_parameter_order=True)
    ids = list(connection.execute(statement, rows).scalars())
    notes = [
        {"window_id": id_, "token_id": each.token_id, "time_zone": each.time_zone}
        for id_, each in zip(ids, windows, strict=True)
    ]
    connection.execute(insert(window_row), notes)
    return ids


def update_window(connection: Connection, key: int, values: Mapping[str, Any], now: datetime) -> None:
    """
    Change columns of one row.

    Args:
        values: By the names of the columns; `time_zone` is kept beside the row.

    Raises:
        RequestRefusedError: As for `insert_windows`.
    """
    require_ours(relations_of(connection), temporary_status)
    columns = {name: value for name, value in values.items() if name != "time_zone"}
    connection.execute(
        update(temporary_status).where(temporary_status.c.id == key).values(**columns, updated_at=now),
    )
    if "time_zone" in values:
        known = update(window_row).where(window_row.c.window_id == key).values(time_zone=values["time_zone"])
        if not connection.execute(known).rowcount:
            connection.execute(insert(window_row).values(window_id=key, time_zone=values["time_zone"]))


def find_window(connection: Connection, key: int, *, locked: bool = False) -> TemporaryRecord | None:
    """
    Return one row; None: there is none of this id, or none that can be read.

    Args:
        locked: Nobody else changes it before this transaction ends.

    Raises:
        RequestRefusedError: As for `insert_windows`, of a row that is to be locked.
    """
    if locked:
        require_ours(relations_of(connection), temporary_status)
    if not 0 < key < KEYS_END:
        return None
    if locked and connection.dialect.name == "postgresql":
        connection.execute(select(temporary_status.c.id).where(temporary_status.c.id == key).with_for_update())
    row = connection.execute(select_windows().where(temporary_status.c.id == key)).first()
    return record_of(row) if row is not None else None


def find_windows(connection: Connection, keys: Collection[int]) -> Sequence[TemporaryRecord]:
    """Return the rows of these ids in their order."""
    if not keys:
        return []
    statement = select_windows().where(among_ids(temporary_status.c.id, keys)).order_by(temporary_status.c.id)
    return [found for row in connection.execute(statement) if (found := record_of(row)) is not None]


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
    statement = select_windows()
    if evse_ids is not None:
        statement = statement.where(among(EvseKey(window.evse_id), {evse_key(text) for text in evse_ids}))
    last = None
    while True:
        page = statement if last is None else statement.where(window.id > last)
        with store.reading() as connection:
            if not over_too:
                page = page.where(not_over(window.valid_to, window.ended_at, store.now(connection)))
            rows = connection.execute(page.order_by(window.id).limit(PAGE)).all()
        yield from (found for row in rows if (found := record_of(row)) is not None)
        if len(rows) < PAGE:
            return
        last = rows[-1].id


def select_windows() -> Select[Any]:
    """Return the statement that reads rows for `record_of`."""
    window = temporary_status.c
    return (
        select(
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
            window_row.c.token_id,
            window_row.c.time_zone,
        )
        .join_from(temporary_status, window_row, window_row.c.window_id == window.id, isouter=True)
        .where(is_known_kind(window.status))
    )


def record_of(row: Any) -> TemporaryRecord | None:
    """Return what `select_windows` read; None: its start is no instant."""
    if row.valid_from is None:
        return None
    return TemporaryRecord(
        window=Window(row.id, KINDS[row.kind], row.valid_from, row.valid_to, row.ended_at),
        evse_id=EvseId(row.evse_id),
        reason=row.reason,
        reference=row.reference,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_by=row.ended_by,
        token_id=row.token_id,
        time_zone=row.time_zone,
    )
