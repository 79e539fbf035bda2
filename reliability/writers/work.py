"""
Makes the transactions of a writer: what a charge point backend and a booking system write to both shared tables.

1. Each step but COPY, TRUNCATE and the bulk update locks one row, named by its `place`. Where steps are sorted by it no
   two writers can deadlock, whatever they write; in random order they can, with the adapter and without.
2. TRUNCATE is a transaction of its own, and COPY inserts rows with keys of its own.
3. The words are those whose translations `reliability.real.site` knows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

OPERATOR: Final = "DE*ABC"
WORDS: Final = ("Available", "Charging", "Faulted")
MOST: Final = 6
"""Rows of the longest transaction."""

_NOW: Final = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')", "postgresql": "now()"}
_UPSERT_STATUS: Final = (
    "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)"
    " ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status"
)
_UPSERT_WINDOW: Final = (
    "INSERT INTO temporary_status (id, evse_id, status) VALUES (?, ?, 'Maintenance')"
    " ON CONFLICT (id) DO UPDATE SET ended_at = NULL"
)


class Order(StrEnum):
    """In which order the rows of a transaction are taken."""

    RANDOM = "random"
    SORTED = "sorted"


@dataclass(frozen=True, slots=True)
class Step:
    """
    One statement.

    Attributes:
        place: Table and number of the row that it locks; the table's name orders `evse_status` before the windows.
        copy: Rows that go by COPY instead of as values; the statement is COPY's.
    """

    place: tuple[str, int]
    sql: str
    values: tuple[object, ...] = ()
    copy: Sequence[tuple[object, ...]] = ()


def evse(number: int) -> str:
    """Return the EvseID of the nth charging spot."""
    return f"{OPERATOR}*E{number}"


def filling(fleet: int) -> Iterator[Step]:
    """Yield what gives each EVSE its row and one window that is over; that window's id is the EVSE's number."""
    for number in range(1, fleet + 1):
        yield Step(("evse_status", number), _UPSERT_STATUS, (evse(number), OPERATOR, WORDS[0]))
        yield Step(
            ("temporary_status", number),
            "INSERT INTO temporary_status (id, evse_id, status, valid_from, valid_to)"
            " VALUES (?, ?, 'Maintenance', '2026-01-01 00:00:00', '2026-01-02 00:00:00')",
            (number, evse(number)),
        )


def transactions(dialect: str, *, seed: str, fleet: int, order: Order) -> Iterator[Sequence[Step]]:
    """Yield transactions without end, the same for the same seed."""
    dice = Random(seed)
    while True:
        if dice.random() < 0.01 and dialect == "postgresql":
            yield [Step(("temporary_status", 0), "TRUNCATE temporary_status")]
            continue
        if dice.random() < 0.05 and order is Order.RANDOM:
            some = tuple(evse(number) for number in dice.sample(range(1, fleet + 1), fleet // 4))
            marks = ", ".join("?" * len(some))
            bulk = f"UPDATE evse_status SET status = ? WHERE evse_id IN ({marks})"
            yield [Step(("evse_status", 0), bulk, (dice.choice(WORDS), *some))]
            continue
        count = dice.randint(1, min(MOST, fleet))
        steps = [
            step
            for table in ("evse_status", "temporary_status")
            for number in dice.sample(range(1, fleet + 1), count)
            for step in _steps(dialect, table, number, dice)
        ]
        if order is Order.SORTED:
            steps.sort(key=lambda step: step.place)
        else:
            places = sorted({step.place for step in steps})
            dice.shuffle(places)
            steps.sort(key=lambda step: places.index(step.place))
        yield steps


def single(seed: str, *, fleet: int) -> Iterator[Sequence[Step]]:
    """Yield transactions of one changed status each."""
    dice = Random(seed)
    while True:
        yield [_update(dice.randint(1, fleet), dice)]


def bulk(seed: str) -> Iterator[Sequence[Step]]:
    """Yield transactions of one statement that changes each status of the fleet."""
    dice = Random(seed)
    before = ""
    while True:
        before = dice.choice([word for word in WORDS if word != before])
        yield [Step(("evse_status", 0), "UPDATE evse_status SET status = ?", (before,))]


def _steps(dialect: str, table: str, number: int, dice: Random) -> Sequence[Step]:
    return _status_steps(dialect, number, dice) if table == "evse_status" else [_window_step(dialect, number, dice)]


def _status_steps(dialect: str, number: int, dice: Random) -> Sequence[Step]:
    kind = dice.choice(("update", "update", "upsert", "again", "replace"))
    if kind == "update":
        return [_update(number, dice)]
    place, values = ("evse_status", number), (evse(number), OPERATOR, dice.choice(WORDS))
    if kind == "replace" and dialect == "sqlite":
        return [Step(place, "REPLACE INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)", values)]
    removed = Step(place, "DELETE FROM evse_status WHERE evse_id = ?", (evse(number),))
    written = Step(place, _UPSERT_STATUS, values)
    return [removed, written] if kind == "again" else [written]


def _window_step(dialect: str, number: int, dice: Random) -> Step:
    place = ("temporary_status", number)
    match dice.choice(("begin", "end", "remove", "book")):
        case "begin":
            return Step(place, _UPSERT_WINDOW, (number, evse(number)))
        case "end":
            return Step(place, f"UPDATE temporary_status SET ended_at = {_NOW[dialect]} WHERE id = ?", (number,))
        case "remove":
            return Step(place, "DELETE FROM temporary_status WHERE id = ?", (number,))
        case _:
            return _booked(dialect, place)


def _booked(dialect: str, place: tuple[str, int]) -> Step:
    """Return what books a charging spot far in the future, by COPY where there is one."""
    columns = "temporary_status (evse_id, status, valid_from, valid_to)"
    row = (evse(place[1]), "Reserved", "2036-01-01 00:00:00", "2036-01-01 01:00:00")
    if dialect == "postgresql":
        return Step(place, f"COPY {columns} FROM STDIN", copy=[row])
    return Step(place, f"INSERT INTO {columns} VALUES (?, ?, ?, ?)", row)


def _update(number: int, dice: Random) -> Step:
    return Step(
        ("evse_status", number),
        "UPDATE evse_status SET status = ? WHERE evse_id = ?",
        (dice.choice(WORDS), evse(number)),
    )
