"""
Reads and writes a lane's ledger and the rejections beside it.

Every write belongs into a transaction that has locked the lane's row: nobody else touches these rows then.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Dialect,
    Executable,
    and_,
    bindparam,
    case,
    delete,
    not_,
    or_,
)

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.expressions import Differs, among, among_bound
from oicp_adapter.store.schema import ledger, rejection
from oicp_adapter.store.transactions import raw
from oicp_adapter.store.types import UtcTimestamp, array_type, read_instant, timestamp_text
from oicp_adapter.store.upserts import insert_into
from oicp_adapter.sync.model import Entry, Presence, Rejected, WindowEdge

ENTRY_FIELDS: Final = tuple(field.name for field in fields(Entry))
"""Columns of the ledger beside the lane, in the order of `Entry`."""

ENTRY_COLUMNS: Final = tuple(ledger.c[name] for name in ENTRY_FIELDS)
_values_of: Final = attrgetter(*ENTRY_FIELDS)
_WRITTEN: Final = tuple(ledger.c[name] for name in ("lane", *ENTRY_FIELDS))
_UPSERT: Final = (
    f"INSERT INTO oicp_ledger ({', '.join(column.name for column in _WRITTEN)}) {{values}}"
    " ON CONFLICT (lane, canonical) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ENTRY_FIELDS if name != "canonical")
)
_UPSERT_SQLITE: Final = _UPSERT.format(values=f"VALUES ({', '.join('?' for _ in _WRITTEN)})")
_ARRAYS: Final = ", ".join(f"%s::{array_type(column.type)}" for column in _WRITTEN)
_UPSERT_POSTGRESQL: Final = _UPSERT.format(values=f"SELECT * FROM unnest({_ARRAYS})")  # noqa: S608 - types of our own columns
"""One statement with an array a column, whatever the number of rows."""

_REGISTER: Final = (
    "INSERT INTO oicp_ledger (lane, canonical, evse_id, pending_since, due_at, presence, flipped, failures,"
    f" failed_singly, attempt) {{values}}, '{Presence.UNKNOWN}', false, 0, 0, 0{{end}}"
    " ON CONFLICT DO NOTHING"
)
_REGISTER_SQLITE: Final = _REGISTER.format(values="VALUES (?, ?, ?, ?, ?", end=")")
_REGISTER_POSTGRESQL: Final = _REGISTER.format(
    values="SELECT %s, fresh.canonical, fresh.evse_id, %s::timestamptz, %s::timestamptz",
    end=" FROM unnest(%s::text[], %s::text[]) AS fresh (canonical, evse_id)",
)

_NAMES: Final = ", ".join(f"l.{name}" for name in ENTRY_FIELDS)
_READ_SQLITE: Final = f"""
SELECT {_NAMES} FROM oicp_ledger AS l WHERE l.lane = ? AND l.canonical IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - names of our own columns
_READ_POSTGRESQL: Final = f"""
SELECT {_NAMES} FROM (SELECT %s::text AS lane, unnest(%b::text[]) AS key OFFSET 0) AS k
CROSS JOIN LATERAL (SELECT * FROM oicp_ledger AS l WHERE l.lane = k.lane AND l.canonical = k.key OFFSET 0) AS l
"""  # noqa: S608 - names of our own columns
"""One key after the other: PostgreSQL would walk the lane's whole index where it knows nothing of a table yet."""

_INSTANTS: Final = tuple(at for at, column in enumerate(ENTRY_COLUMNS) if isinstance(column.type, UtcTimestamp))
_FLIPPED: Final = ENTRY_FIELDS.index("flipped")
_MEMBERS: Final[Sequence[tuple[int, Mapping[str | None, Any]]]] = tuple(
    (ENTRY_FIELDS.index(name), {None: None} | {member.value: member for member in words})
    for name, words in (
        ("acknowledged", OicpStatus),
        ("presence", Presence),
        ("pending_edge", WindowEdge),
        ("refused_status", OicpStatus),
    )
)
"""Where an entry holds a word of a table, and what the words stand for."""


def read_entries(connection: Connection, lane: str, canonicals: Collection[str]) -> dict[CanonicalEvseId, Entry]:
    """Return the ledger rows of these EVSEs; those without one are absent."""
    if not canonicals:
        return {}
    keys = sorted(canonicals)
    if connection.dialect.name == "sqlite":
        rows = raw(connection).execute(_READ_SQLITE, (lane, json.dumps(keys))).fetchall()
    else:
        rows = raw(connection).execute(_READ_POSTGRESQL, (lane, keys)).fetchall()
    return {entry.canonical: entry for entry in map(entry_of, rows)}


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the entry that the columns `ENTRY_COLUMNS`, first in a row, hold, whoever read them."""
    values = list(row[: len(ENTRY_FIELDS)])
    for at in _INSTANTS:
        if values[at] is not None:
            values[at] = read_instant(values[at])
    for at, members in _MEMBERS:
        values[at] = members[values[at]]
    values[_FLIPPED] = bool(values[_FLIPPED])
    return Entry(*values)


def write_entries(connection: Connection, lane: str, entries: Sequence[Entry]) -> None:
    """
    Insert or replace ledger rows; in the order of their keys, so that two writers could not deadlock.

    Raises:
        ValueError: An entry holds a naive datetime.
    """
    if not entries:
        return
    sqlite_style = connection.dialect.name == "sqlite"
    ordered = sorted(entries, key=lambda entry: entry.canonical)
    rows = [(lane, *_bound(entry, as_text=sqlite_style)) for entry in ordered]
    if sqlite_style:
        connection.exec_driver_sql(_UPSERT_SQLITE, rows)
    else:
        connection.exec_driver_sql(_UPSERT_POSTGRESQL, tuple(map(list, zip(*rows, strict=True))))


def _bound(entry: Entry, *, as_text: bool) -> Sequence[Any]:
    """Return what the driver takes; the types of SQLAlchemy do the same at several times the price."""
    values = list(_values_of(entry))
    for at in _INSTANTS:
        if (instant := values[at]) is not None:
            if instant.tzinfo is None:
                raise ValueError(f"naive datetime {instant!r}: every instant needs its offset, use UTC")
            values[at] = timestamp_text(instant) if as_text else instant
    for at, _ in _MEMBERS:
        if values[at] is not None:
            values[at] = values[at].value
    return values


def register_entries(
    connection: Connection, lane: str, spelt: Sequence[tuple[CanonicalEvseId, EvseId]], now: datetime
) -> None:
    """Insert ledger rows of EVSEs that the hub knows nothing of yet, due and pending at once; keep those there are."""
    if not spelt:
        return
    ordered = sorted(spelt)
    if connection.dialect.name == "sqlite":
        instant = timestamp_text(now)
        rows = [(lane, key, evse_id, instant, instant) for key, evse_id in ordered]
        connection.exec_driver_sql(_REGISTER_SQLITE, rows)
    else:
        keys, evse_ids = zip(*ordered, strict=True)
        connection.exec_driver_sql(_REGISTER_POSTGRESQL, (lane, now, now, list(keys), list(evse_ids)))


def delete_entries(connection: Connection, lane: str, canonicals: Collection[str]) -> None:
    """Delete the ledger rows of these EVSEs."""
    if canonicals:
        connection.execute(delete(ledger).where(ledger.c.lane == lane, among(ledger.c.canonical, canonicals)))


def write_rejections(
    connection: Connection, lane: str, canonicals: Collection[str], rejected: Sequence[Rejected], now: datetime
) -> None:
    """
    Let exactly *rejected* be what these EVSEs' rows are rejected for; what is known already keeps its `since`.

    Args:
        canonicals: The EVSEs that were judged; rejections of theirs that are not in *rejected* go.
    """
    if canonicals:
        kept = sorted({item.evse_id for item in rejected})
        connection.execute(_DROP_REJECTIONS, {"lane": lane, "keys": sorted(canonicals), "kept": kept})
    if rejected:
        rows = [
            {
                "evse_id": item.evse_id,
                "lane": lane,
                "canonical": item.canonical,
                "operator_id": item.operator_id,
                "reason": item.reason.value,
                "detail": item.detail,
                "since": now,
            }
            for item in sorted(rejected, key=lambda item: item.evse_id)
        ]
        connection.execute(_upsert_rejection(connection.dialect), rows)


_DROP_REJECTIONS: Final = delete(rejection).where(
    rejection.c.lane == bindparam("lane"),
    among_bound(rejection.c.canonical, "keys"),
    not_(among_bound(rejection.c.evse_id, "kept")),
)


def _upsert_rejection(dialect: Dialect) -> Executable:
    insert = insert_into(dialect, rejection)
    new = insert.excluded
    changed = [
        Differs(rejection.c[name], new[name]) for name in ("lane", "canonical", "operator_id", "reason", "detail")
    ]
    same_reason = and_(rejection.c.lane == new.lane, rejection.c.reason == new.reason)
    replaced: Mapping[str, Any] = {
        name: new[name] for name in ("lane", "canonical", "operator_id", "reason", "detail")
    } | {"since": case((same_reason, rejection.c.since), else_=new.since)}
    return insert.on_conflict_do_update(index_elements=["evse_id"], set_=replaced, where=or_(*changed))
