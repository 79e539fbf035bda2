"""
Lets the ledger say that the hub has acknowledged a request: one statement, whatever the number of its records.

It does to each row what `sync.entries.acknowledged` says, which is what the tests of the decisions look at; a contract
test compares the two.
"""

import json
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, Final

from oicp_adapter.store.engine import Dialect
from oicp_adapter.store.transactions import DriverStatement
from oicp_adapter.store.types import timestamp_text
from oicp_adapter.sync.exchange import Acknowledgement
from oicp_adapter.sync.model import Entry, Presence

_BEGUN: Final = (
    "canonical", "evse_id", "acknowledged", "acknowledged_at", "acknowledged_since", "asserted_at", "presence",
    "debt_at", "failures", "flipped", "failed_singly", "attempt", "due_at",
)  # fmt: skip
"""Columns that a new row has; all others are empty in it."""

CLEARED: Final = tuple(each.name for each in fields(Entry) if each.name not in _BEGUN)
"""Columns of the ledger that are empty once the hub has acknowledged an EVSE, by whatever request."""

_TAKEN_OVER: Final = (
    "evse_id", "acknowledged", "acknowledged_at", "asserted_at", "presence", "failures", "flipped", "failed_singly",
    "attempt",
)  # fmt: skip

_OWED: Final = "CASE WHEN l.debt_at > {started} THEN {least}(l.debt_at, {furthest}) END"
_DEBT: Final = f"{{greatest}}(COALESCE({_OWED}, excluded.debt_at), COALESCE(excluded.debt_at, {_OWED}))"
_DUE: Final = f"{{least}}(excluded.due_at, COALESCE({_OWED}, excluded.due_at))"
_SAME: Final = "l.acknowledged_at IS NOT NULL AND l.acknowledged = excluded.acknowledged"
_RESTED: Final = "l.held_since IS NULL AND l.failures = 0"
_REPLACED: Final = ", ".join(
    [f"{name} = excluded.{name}" for name in _TAKEN_OVER] + [f"{name} = NULL" for name in CLEARED]
)
_UPSERT: Final = f"""
INSERT INTO oicp_ledger AS l (lane, {", ".join(_BEGUN)})
SELECT {{lane}}, n.canonical, n.evse_id, n.status, {{now}}, {{now}}, {{started}}, '{Presence.PRESENT.value}', {{debt}},
    0, {{false}}, 0, {{attempt}}, {{least}}({{again}}, COALESCE(n.until, {{again}}), COALESCE({{debt}}, {{again}}))
FROM {{records}}
ON CONFLICT (lane, canonical) DO UPDATE SET {_REPLACED},
    acknowledged_since = CASE WHEN {_SAME} THEN COALESCE(l.acknowledged_since, {{now}}) ELSE {{now}} END,
    debt_at = {_DEBT},
    due_at = CASE WHEN l.due_at > {{now}} AND l.due_at <= {_DUE} AND {_RESTED} THEN l.due_at ELSE {_DUE} END
"""  # noqa: S608 - made of our own words
_RECORDS: Final = {
    "sqlite": (
        "(SELECT value ->> 0 AS canonical, value ->> 1 AS evse_id, value ->> 2 AS status, value ->> 3 AS until"
        " FROM json_each(:records) ORDER BY 1) AS n WHERE true"
    ),
    "postgresql": (
        "(SELECT * FROM unnest(string_to_array(%(keys)s, chr(10)), string_to_array(%(evse_ids)s, chr(10)),"
        " string_to_array(%(statuses)s, chr(10)), %(untils)s::timestamptz[])"
        ' AS r (canonical, evse_id, status, until) ORDER BY r.canonical COLLATE "C") AS n'
    ),
}
"""
In the order of their keys, so that two writers could not deadlock. PostgreSQL gets its lists as lines: what is pushed
is well-formed and has no line ends, and the driver needs ten times as long for an array.
"""


def acknowledgement(dialect: Dialect, lane: str, done: Acknowledgement) -> DriverStatement:
    """
    Return the statement that lets all records' rows say that the hub has acknowledged them.

    It makes those that are missing.
    """
    instants = {
        "now": done.now,
        "started": done.intent.started_at,
        "debt": done.debt_at,
        "furthest": done.furthest,
        "again": done.again_at,
    }
    parameters: dict[str, Any] = {"lane": lane, "attempt": done.intent.attempt}
    records, until = done.intent.records, done.valid_until
    if dialect == "sqlite":
        parameters |= {name: _text(at) for name, at in instants.items()}
        parameters["records"] = json.dumps([[*each, _text(until.get(each.canonical))] for each in records])
    else:
        lines = dict(zip(("keys", "evse_ids", "statuses"), map("\n".join, zip(*records, strict=True)), strict=True))
        untils = [until.get(record.canonical) for record in records] if until else None
        parameters |= {**instants, **lines, "untils": untils}
    return _statement(dialect), parameters


@cache
def _statement(dialect: Dialect) -> str:
    sqlite = dialect == "sqlite"
    kinds = {"lane": "text", "attempt": "bigint"} | dict.fromkeys(
        ("now", "started", "debt", "furthest", "again"), "timestamptz"
    )
    names = {name: f":{name}" if sqlite else f"%({name})s::{kind}" for name, kind in kinds.items()}
    return _UPSERT.format(
        **names,
        false="0" if sqlite else "false",
        least="min" if sqlite else "LEAST",
        greatest="max" if sqlite else "GREATEST",
        records=_RECORDS[dialect],
    )


def _text(instant: datetime | None) -> str | None:
    return timestamp_text(instant) if instant is not None else None
