"""Remembers which window somebody keeps under a name of their own: a booking's number, a sensor's."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Select, select, update

from oicp_adapter.store.schema import reference_row
from oicp_adapter.store.upserts import insert_into


class ReferenceKind(StrEnum):
    """What a name stands for."""

    BOOKING = "booking"
    SENSOR = "sensor"


@dataclass(frozen=True, slots=True)
class Reference:
    """
    What stands under a name.

    Attributes:
        window_id: Its window; None: a sensor that has never seen its bay blocked.
        updated_at: When it was told last.
    """

    evse_id: str
    window_id: int | None
    updated_at: datetime


def find_reference(connection: Connection, owner: str, kind: ReferenceKind, name: str) -> Reference | None:
    """Return what somebody keeps under a name; None: nothing."""
    found = connection.execute(_select(owner, kind, name)).first()
    return Reference(found.evse_id, found.window_id, found.updated_at) if found is not None else None


def lock_reference(
    connection: Connection, owner: str, kind: ReferenceKind, name: str, *, evse_id: str, now: datetime
) -> Reference:
    """Take a name for this transaction, and return what stands under it; a new one has no window."""
    connection.execute(
        insert_into(connection.dialect, reference_row)
        .values(token_id=owner, kind=kind.value, reference=name, evse_id=evse_id, window_id=None, updated_at=now)
        .on_conflict_do_nothing()
    )
    found = connection.execute(_select(owner, kind, name).with_for_update()).one()
    return Reference(found.evse_id, found.window_id, found.updated_at)


def keep_reference(
    connection: Connection,
    owner: str,
    kind: ReferenceKind,
    name: str,
    *,
    evse_id: str,
    window_id: int | None,
    now: datetime,
) -> None:
    """Let a name that `lock_reference` took stand for a window from now on."""
    row = reference_row.c
    connection.execute(
        update(reference_row)
        .where(row.token_id == owner, row.kind == kind.value, row.reference == name)
        .values(evse_id=evse_id, window_id=window_id, updated_at=now)
    )


def _select(owner: str, kind: ReferenceKind, name: str) -> Select[tuple[str, int | None, datetime]]:
    row = reference_row.c
    return select(row.evse_id, row.window_id, row.updated_at).where(
        row.token_id == owner, row.kind == kind.value, row.reference == name
    )
