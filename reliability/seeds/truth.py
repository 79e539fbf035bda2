"""
Says what the hub should hold, by rules of its own: an oracle that shared the adapter's would share its mistakes.

Source: CONTRACT §3 and §4.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

LANES: Final[Mapping[str, Sequence[str]]] = {"DE*AAA": ("DE*AAA", "DE*ASU"), "DE*BBB": ("DE*BBB",)}
"""The hub accounts of each deployment, with the operators whose EVSEs each pushes."""

WORDS: Final[Mapping[str, str]] = {
    "available": "Available",
    "charging": "Occupied",
    "preparing": "Occupied",
    "suspendedev": "Occupied",
    "faulted": "OutOfService",
    "outoforder": "OutOfService",
    "unavailable": "OutOfService",
    "reserved": "Reserved",
    "blocked": "Occupied",
    "maintenance": "OutOfService",
    "offline": "Unknown",
}
_RANKS: Final = ("maintenance", "commissioning", "blocked", "reserved")
_TEMPORARY: Final = ("OutOfService", "OutOfService", "Occupied", "Reserved")
_FROM_WORST: Final = ("OutOfService", "Occupied", "Reserved", "Available", "Unknown")
_EVSE: Final = re.compile(r"([A-Za-z]{2})\*?([A-Za-z0-9]{3})\*?E([A-Za-z0-9*]{1,30})")
"""The `E` is upper case in the hub's own description, the letters around it need not be."""


def key(text: str) -> str:
    """Return the form in which all spellings of an EVSE or an operator are equal."""
    return text.replace("*", "").replace("+", "").upper()[:64]


LANE_KEYS: Final = {key(lane): frozenset(map(key, operators)) for lane, operators in LANES.items()}


@dataclass(frozen=True, slots=True)
class Truth:
    """
    What should be published at an instant.

    Attributes:
        lanes: Of each lane the OICP status by the EVSE's key.
        next_boundary: The first later instant at which a window starts or ends; None: there is none.
    """

    lanes: Mapping[str, Mapping[str, str]]
    next_boundary: datetime | None


def truth(connection: sqlite3.Connection, now: datetime) -> Truth:
    """Read the shared tables and decide what each lane should publish at *now*."""
    at = text_of(now)
    windows: dict[str, list[int]] = {}
    boundaries: list[str] = []
    for evse, status, start, end, ended in connection.execute(
        "SELECT evse_id, status, valid_from, valid_to, ended_at FROM temporary_status"
    ):
        limit = min([each for each in (end, ended) if each is not None], default=None)
        if limit is not None and (limit <= at or limit <= start):
            continue
        if start > at:
            boundaries.append(start)
            continue
        windows.setdefault(key(evse), []).append(_RANKS.index(status.lower()))
        if limit is not None:
            boundaries.append(limit)
    lanes: dict[str, dict[str, str]] = {lane: {} for lane in LANE_KEYS}
    for evse, operator, status in connection.execute(
        "SELECT evse_id, operator_id, status FROM evse_status ORDER BY CAST(evse_id AS TEXT) DESC"
    ):
        found = _EVSE.fullmatch(evse)
        word = re.sub("[ _-]", "", status).lower()
        for lane, operators in LANE_KEYS.items():
            if found and word != "removed" and key(operator) in operators and key(found[1] + found[2]) in operators:
                lanes[lane][key(evse)] = _published(word, windows.get(key(evse), []))  # the smallest spelling wins
    nearest = min(boundaries, default=None)
    return Truth(lanes, datetime.fromisoformat(f"{nearest}+00:00") if nearest else None)


def text_of(instant: datetime) -> str:
    """Return an instant as SQLite holds it."""
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f")


def _published(word: str, ranks: Sequence[int]) -> str:
    own = WORDS.get(word, "Unknown")
    if not ranks:
        return own
    winner = min(ranks)
    temporary = _TEMPORARY[winner]
    return temporary if winner < 2 else min(temporary, own, key=_FROM_WORST.index)
