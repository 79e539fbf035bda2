"""
Does with plain SQL what an adapter must do and nothing else: what this machine's database can give.

1. It knows its fleet, one spelling, no window, no failure, no second process; nobody should run it.
2. Its tables are the adapter's, with their indexes, in a store of its own that was filled in the same way.
3. A change is read by its hint, stands in an intent before it is sent, and in the ledger after it was acknowledged.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import psycopg

from benchmarks.bare import BareClient
from benchmarks.daemon import MAX_RECORDS
from benchmarks.fleet import BARE_OPERATOR, assembled, fragment
from oicp_adapter.store.expressions import KEY_SQL
from oicp_adapter.sync.model import Presence

_LANE: Final = BARE_OPERATOR.replace("*", "")
_FETCHED: Final = 10_000
_READ: Final = "SELECT evse_id, status FROM evse_status"
_OICP: Final = "CASE s.status WHEN 'Available' THEN 'Available' WHEN 'Charging' THEN 'Occupied' ELSE 'OutOfService' END"
_INSERT: Final = """
INSERT INTO oicp_ledger (lane, canonical, evse_id, acknowledged, acknowledged_at, acknowledged_since, asserted_at,
    presence, failures, flipped, failed_singly, attempt, due_at)
"""
_ACKNOWLEDGED: Final = f"{{now}}, {{now}}, {{now}}, '{Presence.PRESENT.value}', 0, {{false}}, 0, 1, {{tomorrow}}"
_LEDGER: Final = f"{_INSERT} SELECT '{_LANE}', {{key}}, s.evse_id, {_OICP}, {_ACKNOWLEDGED} FROM evse_status AS s"
_HINTS: Final = f"SELECT id, evse_key FROM oicp_hint ORDER BY id LIMIT {MAX_RECORDS}"
_FOUND: Final = f"""
SELECT l.canonical, s.evse_id, {_OICP} AS oicp, l.acknowledged
FROM evse_status AS s CROSS JOIN oicp_ledger AS l
WHERE l.lane = '{_LANE}' AND l.canonical = {{key}} AND {{key}} {{among}}
"""
_INTENT: Final = f"""
INSERT INTO oicp_intent (lane, epoch, attempt, action, records, started_at, silent_until, suspect)
VALUES ('{_LANE}', 1, 1, 'update', {{mark}}, {{now}}, {{now}}, {{false}})
"""
_ACKNOWLEDGE: Final = f"""
{_INSERT} SELECT '{_LANE}', n.canonical, n.evse_id, n.status, {_ACKNOWLEDGED} FROM {{records}} WHERE true
ON CONFLICT (lane, canonical) DO UPDATE SET acknowledged = excluded.acknowledged,
    acknowledged_at = excluded.acknowledged_at, acknowledged_since = excluded.acknowledged_since,
    asserted_at = excluded.asserted_at, attempt = excluded.attempt, due_at = excluded.due_at
"""
_FIELDS: Final = "value ->> 0 AS canonical, value ->> 1 AS evse_id, value ->> 2 AS status"
_CLEAR: Final = f"DELETE FROM oicp_intent WHERE lane = '{_LANE}'"


class Database(Protocol):
    """What differs between the two stores."""

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the rows of `evse_status`, two columns, in parts."""

    def write_ledger(self) -> None:
        """Let the ledger hold every row as acknowledged, in one statement and its commit."""

    def prepare(self) -> None:
        """Delete all hints, and let the planner know what the tables hold by now."""

    def take(self) -> tuple[list[int], Sequence[Any]]:
        """Begin; return the ids of the next hints, and of each EVSE key, spelling, OICP and acknowledged status."""

    def intend(self, records: str) -> None:
        """Commit an intent."""

    def acknowledge(self, ids: list[int], records: Sequence[tuple[str, str, str]]) -> None:
        """Write keys, spellings and statuses into the ledger, delete these hints and the intent, commit."""


class SqliteDatabase:
    """A file of SQLite, `synchronous=FULL`."""

    def __init__(self, path: str) -> None:
        self._driver = sqlite3.connect(path, timeout=30, isolation_level=None)
        words = {
            "key": KEY_SQL["sqlite"].format("s.evse_id"),
            "among": "IN (SELECT value FROM json_each(?))",
            "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
            "tomorrow": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+1 day')",
            "false": "0",
            "mark": "?",
            "records": f"(SELECT {_FIELDS} FROM json_each(?)) AS n",
        }
        self._ledger, self._found, self._intent, self._acknowledge = (
            statement.format(**words) for statement in (_LEDGER, _FOUND, _INTENT, _ACKNOWLEDGE)
        )

    def close(self) -> None:
        """Close the connection."""
        self._driver.close()

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the rows of `evse_status` in parts."""
        cursor = self._driver.execute(_READ)
        while part := cursor.fetchmany(_FETCHED):
            yield part

    def write_ledger(self) -> None:
        """Let the ledger hold every row as acknowledged."""
        self._driver.execute("BEGIN IMMEDIATE")
        self._driver.execute(self._ledger)
        self._driver.execute("COMMIT")

    def prepare(self) -> None:
        """Delete all hints; the order of the joins stands in the statements."""
        self._driver.execute("DELETE FROM oicp_hint")

    def take(self) -> tuple[list[int], Sequence[Any]]:
        """Return the next hints and what they speak of."""
        self._driver.execute("BEGIN IMMEDIATE")
        hints = self._driver.execute(_HINTS).fetchall()
        if not hints:
            self._driver.rollback()
            return [], []
        keys = json.dumps(sorted({key for _, key in hints}))
        return [number for number, _ in hints], self._driver.execute(self._found, [keys]).fetchall()

    def intend(self, records: str) -> None:
        """Commit an intent."""
        self._driver.execute(self._intent, [records])
        self._driver.execute("COMMIT")

    def acknowledge(self, ids: list[int], records: Sequence[tuple[str, str, str]]) -> None:
        """Write the ledger, delete these hints and the intent, commit."""
        self._driver.execute("BEGIN IMMEDIATE")
        self._driver.execute(self._acknowledge, [json.dumps(records)])
        self._driver.execute("DELETE FROM oicp_hint WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(ids)])
        self._driver.execute(_CLEAR)
        self._driver.execute("COMMIT")


class PostgresqlDatabase:
    """A database of PostgreSQL; prepared statements, as psycopg makes them."""

    def __init__(self, url: str) -> None:
        self._driver = psycopg.connect(url)
        words = {
            "key": KEY_SQL["postgresql"].format("s.evse_id"),
            "among": "= ANY(%s)",
            "now": "now()",
            "tomorrow": "now() + interval '1 day'",
            "false": "false",
            "mark": "%s",
            "records": "unnest(%s::text[], %s::text[], %s::text[]) AS n (canonical, evse_id, status)",
        }
        self._ledger, self._found, self._intent, self._acknowledge = (
            statement.format(**words).encode() for statement in (_LEDGER, _FOUND, _INTENT, _ACKNOWLEDGE)
        )

    def close(self) -> None:
        """Close the connection."""
        self._driver.close()

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the rows of `evse_status` in parts, through a cursor of the server."""
        with self._driver.cursor("rows") as cursor:
            cursor.execute(_READ)
            while part := cursor.fetchmany(_FETCHED):
                yield part
        self._driver.rollback()

    def write_ledger(self) -> None:
        """Let the ledger hold every row as acknowledged."""
        self._driver.execute(self._ledger)
        self._driver.commit()

    def prepare(self) -> None:
        """Delete all hints, and let the planner know what the tables hold by now."""
        self._driver.execute("TRUNCATE oicp_hint")
        self._driver.execute("ANALYZE evse_status, oicp_ledger")
        self._driver.commit()

    def take(self) -> tuple[list[int], Sequence[Any]]:
        """Return the next hints and what they speak of."""
        hints = self._driver.execute(_HINTS).fetchall()
        if not hints:
            self._driver.rollback()
            return [], []
        keys = sorted({key for _, key in hints})
        return [number for number, _ in hints], self._driver.execute(self._found, [keys]).fetchall()

    def intend(self, records: str) -> None:
        """Commit an intent."""
        self._driver.execute(self._intent, [records])
        self._driver.commit()

    def acknowledge(self, ids: list[int], records: Sequence[tuple[str, str, str]]) -> None:
        """Write the ledger, delete these hints and the intent, commit."""
        self._driver.execute(self._acknowledge, list(map(list, zip(*records, strict=True))))
        self._driver.execute("DELETE FROM oicp_hint WHERE id = ANY(%s)", [ids])
        self._driver.execute(_CLEAR.encode())
        self._driver.commit()


@contextlib.contextmanager
def database(url: str) -> Iterator[Database]:
    """Connect to a store by its URL."""
    made = SqliteDatabase(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else PostgresqlDatabase(url)
    with contextlib.closing(made):
        yield made


def read_all(rows: Database) -> float:
    """Return the seconds that it takes to read every row."""
    began = time.perf_counter()
    for _ in rows.read():
        pass
    return time.perf_counter() - began


def drain(rows: Database, client: BareClient) -> int:
    """Push what the hints speak of until none is left; return how many EVSEs were pushed."""
    pushed = 0
    while True:
        ids, found = rows.take()
        if not ids:
            return pushed
        records = [(key, evse_id, status) for key, evse_id, status, acknowledged in found if status != acknowledged]
        rows.intend(json.dumps(records))
        client.post(assembled(BARE_OPERATOR, "update", [fragment(evse_id, status) for _, evse_id, status in records]))
        rows.acknowledge(ids, records)
        pushed += len(records)
