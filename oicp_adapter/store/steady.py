"""
Reads steady EVSEs, of whose state the charger's own word alone decides, in one statement of a few columns.

1. What is steady is `sync.model.Steady`'s to say, and the condition here must never let more through.
2. Each EVSE is found by its keys, one after the other: no statistics that a store has, or has not yet, lead elsewhere.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.expressions import KEY_SQL
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.transactions import raw
from oicp_adapter.store.types import timestamp_text
from oicp_adapter.sync.model import Presence, Steady

_AGAIN: Final = "(l.asserted_at IS NULL OR l.asserted_at > {now} OR l.asserted_at <= {before})"
_OWES_NOTHING: Final = f"""
    l.presence = '{Presence.PRESENT.value}' AND l.acknowledged IS NOT NULL AND l.doubted_at IS NULL
    AND {{plain}}l.pending_since IS NULL AND {{plain}}l.failures = 0 AND l.batch_cap IS NULL AND l.retry_at IS NULL
    AND l.refusal IS NULL AND NOT l.flipped AND {{plain}}l.withdrawn_at IS NULL AND l.held_since IS NULL
    AND l.approved_at IS NULL AND (l.debt_at IS NULL OR (l.debt_at > {{now}} AND {{plain}}l.due_at <= l.debt_at))
    AND ({{doubted}} IS NULL OR l.asserted_at IS NULL OR l.asserted_at >= {{doubted}})
    AND ({{plain}}l.due_at > {{now}} OR {_AGAIN})
"""
_NO_WINDOW: Final = """
    NOT EXISTS (SELECT 1 FROM temporary_status AS w WHERE {window_key} = {key}
        AND ({valid_to} IS NULL OR {valid_to} > {now}) AND (w.ended_at IS NULL OR w.ended_at > {now}))
"""
_SQLITE: Final = f"""
SELECT k.value, l.evse_id, s.status, l.acknowledged, {_AGAIN}
FROM json_each(:keys) AS k
CROSS JOIN oicp_ledger AS l ON l.lane = :lane AND l.canonical = k.value AND {_OWES_NOTHING}
CROSS JOIN evse_status AS s ON s.evse_id = l.evse_id AND {{operator}} IN (SELECT value FROM json_each(:operators))
    AND typeof(s.status) = 'text'
WHERE NOT EXISTS (SELECT 1 FROM evse_status AS o WHERE {{other_key}} = k.value AND o.evse_id <> l.evse_id)
    AND {_NO_WINDOW}
"""  # noqa: S608 - made of our own words
_POSTGRESQL: Final = f"""
SELECT k.key, s.evse_id, s.status, l.acknowledged, l.again
FROM (SELECT %(lane)s::text AS lane, json_array_elements_text(%(keys)s::json) AS key OFFSET 0) AS k
CROSS JOIN LATERAL (
    SELECT l.evse_id, l.acknowledged, {_AGAIN} AS again FROM oicp_ledger AS l
    WHERE l.lane = k.lane AND l.canonical = k.key AND {_OWES_NOTHING} OFFSET 0
) AS l
CROSS JOIN LATERAL (
    SELECT min(o.evse_id) AS evse_id, min(o.status) AS status, min(o.operator_id) AS operator_id
    FROM evse_status AS o WHERE {{other_key}} = k.key HAVING count(*) = 1
) AS s
WHERE s.evse_id = l.evse_id AND {{operator}} = ANY (%(operators)s) AND {_NO_WINDOW}
"""  # noqa: S608 - made of our own words


def read_steady(
    connection: Connection,
    scope: LaneScope,
    changed: Mapping[str, datetime | None],
    *,
    now: datetime,
    reassert_every: timedelta,
    doubted_before: datetime | None,
) -> Sequence[Steady]:
    """
    Return those of these EVSEs that are steady, in no order.

    Args:
        changed: Their keys, with the time of the oldest change that led to each; None: none did.
        doubted_before: `Position.doubted_before`.
    """
    if not changed:
        return []
    instants = {"now": now, "before": now - reassert_every, "doubted": doubted_before}
    parameters: dict[str, Any] = {"lane": scope.lane}
    driver = raw(connection)
    if connection.dialect.name == "sqlite":
        parameters |= {name: at and timestamp_text(at) for name, at in instants.items()}
        parameters |= {"keys": _json(changed), "operators": _json(scope.operator_keys)}
    else:
        parameters |= {**instants, "keys": _json(changed), "operators": list(scope.operator_keys)}
    rows = driver.execute(_statement(connection.dialect.name), parameters).fetchall()
    return [
        Steady(CanonicalEvseId(key), EvseId(evse_id), status, _ACKNOWLEDGED[acknowledged], bool(again), changed[key])
        for key, evse_id, status, acknowledged, again in rows
    ]


@cache
def _statement(dialect: str) -> str:
    key = KEY_SQL[dialect].format
    sqlite = dialect == "sqlite"
    return (_SQLITE if sqlite else _POSTGRESQL).format(
        now=":now" if sqlite else "%(now)s::timestamptz",
        before=":before" if sqlite else "%(before)s::timestamptz",
        doubted=":doubted" if sqlite else "%(doubted)s::timestamptz",
        plain="+" if sqlite else "",
        key="k.value" if sqlite else "k.key",
        valid_to="+w.valid_to" if sqlite else "COALESCE(w.valid_to, w.valid_to)",
        other_key=key("o.evse_id"),
        window_key=key("w.evse_id"),
        operator=key("s.operator_id"),
    )


def _json(words: Collection[str]) -> str:
    return json.dumps(list(words))


_ACKNOWLEDGED: Final = {each.value: each for each in OicpStatus}
