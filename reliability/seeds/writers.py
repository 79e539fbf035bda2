"""
Writes to the shared tables as other programs do, in plain SQL, and does what persons do with the adapter's commands.

1. Each change is one transaction, so that the triggers run as they do for others.
2. After a commit the processes look after at most a tenth of a second, as they do in production.
"""

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from oicp_adapter.store.engine import Store
from oicp_adapter.store.operations import (
    approve_withdrawals,
    held_withdrawals,
    quarantined,
    release_quarantine,
    request_full_load,
)
from reliability.seeds.judge import Judge
from reliability.seeds.truth import LANES, key, text_of
from reliability.seeds.world import World

WORDS: Final = (
    "Available", "AVAILABLE", "Charging", "Preparing", "Suspended-EV", "Faulted", "out_of_order", "Unavailable",
    "Reserved", "Blocked", "Maintenance", "Offline", "HalfDead", "",
)  # fmt: skip
KINDS: Final = ("Maintenance", "Commissioning", "Blocked", "Reserved")
_UPSERT: Final = (
    "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)"
    " ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status, operator_id = excluded.operator_id"
)
BAD_ROWS: Final = (
    ("''", "'DE*AAA'", "'Available'"),
    ("'DE*AAA*X1'", "'DE*AAA'", "'Available'"),
    ("'DE*AAA*E' || hex(zeroblob(5000))", "'DE*AAA'", "'Available'"),
    ("CAST(x'44452A4141412A4531FF' AS TEXT)", "'DE*AAA'", "'Available'"),
    ("CAST(x'44452A4141412A45310041' AS TEXT)", "'DE*AAA'", "'Available'"),
    ("'DE*ZZZ*E1'", "'DE*AAA'", "'Available'"),
    ("'DE*AAA*EOK'", "'DE*AAA'", "CAST(x'FF00ED' AS TEXT)"),
    ("'DE*AAA*E1E'", "'nobody'", "'Available'"),
    ("' DE*BBB*E9'", "'DE*BBB'", "'Available'"),
)
"""SQL of evse_id, operator_id and status that no lane may stumble over."""


@dataclass(slots=True)
class Writers:
    """
    All who write, with their dice.

    Attributes:
        poke: Called after each commit.
        stopped: Nothing is written any more.
    """

    world: World
    connection: sqlite3.Connection
    store: Store
    judge: Judge
    dice: random.Random
    poke: Callable[[], None]
    stopped: bool = False
    _born: int = 0

    def write(self, who: str, *statements: tuple[Any, ...]) -> None:
        """Run statements in one transaction; a statement is its text and its values."""
        if self.stopped:
            return
        self.connection.execute("BEGIN IMMEDIATE")
        for statement, *values in statements:
            self.connection.execute(statement, values)
        self.connection.execute("COMMIT")
        self.world.tell("writer", who)
        self.judge.measure()
        self.poke()

    def fleet(self) -> Sequence[tuple[str, str, str]]:
        """Return EVSE, operator and status of all rows."""
        statement = "SELECT evse_id, operator_id, status FROM evse_status WHERE length(evse_id) < 50 ORDER BY evse_id"
        return self.connection.execute(statement).fetchall()

    def pick(self) -> tuple[str, str, str] | None:
        """Return one row; None: there is none."""
        fleet = self.fleet()
        return self.dice.choice(fleet) if fleet else None

    def born(self, operator: str | None = None) -> tuple[str, str]:
        """Return an EVSE that never was, and its operator."""
        operator = operator or self.dice.choice([each for operators in LANES.values() for each in operators])
        self._born += 1
        return f"{operator}*E{self._born}", operator

    def begin(self, size: int) -> None:
        """Write the first rows."""
        rows = [(_UPSERT, *self.born(), self.dice.choice(WORDS[:8])) for _ in range(size)]
        self.write(f"begins with {size}", *rows)

    # what the charge point system does

    def change(self, evse: str | None = None, status: str | None = None) -> None:
        """Write another status."""
        row = self.pick()
        evse = evse or (row[0] if row else None)
        if evse is not None:
            status = status or self.dice.choice(WORDS)
            self.write(f"{evse} is {status}", ("UPDATE evse_status SET status = ? WHERE evse_id = ?", status, evse))

    def change_many(self) -> None:
        """Write another status to about half of all rows at once."""
        fleet = [row for row in self.fleet() if self.dice.random() < 0.5]
        status = self.dice.choice(WORDS[:8])
        changes = [("UPDATE evse_status SET status = ? WHERE evse_id = ?", status, evse) for evse, *_ in fleet]
        self.write(f"{len(fleet)} are {status}", *changes)

    def add(self, evse: str = "", operator: str = "") -> str:
        """Write a row of a new EVSE, of the one given or of one that never was; return it."""
        if not evse:
            evse, operator = self.born()
        self.write(f"new {evse}", (_UPSERT, evse, operator, self.dice.choice(WORDS[:8])))
        return evse

    def restore(self, row: tuple[str, str, str]) -> None:
        """Write a row as it was."""
        self.write(f"{row[0]} is back", (_UPSERT, *row))

    def remove(self, evse: str | None = None) -> None:
        """Delete a row, or let it say Removed."""
        row = self.pick()
        evse = evse or (row[0] if row else None)
        if evse is None:
            return
        if self.dice.random() < 0.5:
            self.write(f"{evse} deleted", ("DELETE FROM evse_status WHERE evse_id = ?", evse))
        else:
            self.write(f"{evse} removed", ("UPDATE evse_status SET status = 'Removed' WHERE evse_id = ?", evse))

    def replace(self) -> None:
        """Replace a row as `INSERT OR REPLACE` does, with another status, perhaps another operator."""
        if (row := self.pick()) is not None:
            operator = self.dice.choice([row[1], "DE*BBB", "DE*AAA"])
            statement = "INSERT OR REPLACE INTO evse_status (evse_id, operator_id, status) VALUES (?, ?, ?)"
            status = self.dice.choice(WORDS[:8])
            self.write(f"{row[0]} replaced: {operator} {status}", (statement, row[0], operator, status))

    def set_window(self, evse: str | None = None, *, starts: float | None = None, lasts: float | None = None) -> None:
        """Set a temporary status, perhaps under another spelling."""
        row = self.pick()
        evse = evse or (row[0] if row else None)
        if evse is None:
            return
        now = self.world.database_time()
        start = now + timedelta(seconds=self.dice.uniform(-5, 20) if starts is None else starts)
        seconds = self.dice.choice([None, self.dice.uniform(0.01, 30)]) if lasts is None else lasts
        end = start + timedelta(seconds=seconds) if seconds is not None else None
        spelt = self.dice.choice([evse, evse.replace("*", ""), evse.lower()])
        kind = self.dice.choice(KINDS)
        self.write(
            f"window {kind} on {spelt} from {start:%H:%M:%S.%f} to {end and end.strftime('%H:%M:%S.%f')}",
            (
                "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to) VALUES (?, ?, ?, ?)",
                spelt, kind, text_of(start), text_of(end) if end else None,
            ),
        )  # fmt: skip

    def end_window(self) -> None:
        """End a window before its time, now or a little later, or move its end."""
        statement = "SELECT id FROM temporary_status WHERE ended_at IS NULL ORDER BY id"
        open_ones = self.connection.execute(statement).fetchall()
        if open_ones:
            (number,) = self.dice.choice(open_ones)
            at = text_of(self.world.database_time() + timedelta(seconds=self.dice.choice([0, 0, 3])))
            self.write(f"window {number} ended", ("UPDATE temporary_status SET ended_at = ? WHERE id = ?", at, number))

    def drop_window(self) -> None:
        """Delete a window."""
        found = self.connection.execute("SELECT id FROM temporary_status ORDER BY id").fetchall()
        if found:
            (number,) = self.dice.choice(found)
            self.write(f"window {number} deleted", ("DELETE FROM temporary_status WHERE id = ?", number))

    def at_random(self) -> None:
        """Do any of these."""
        acts = (
            self.change, self.change, self.change, self.change, self.change_many, self.add, self.remove, self.replace,
            self.set_window, self.set_window, self.end_window, self.drop_window,
        )  # fmt: skip
        self.dice.choice(acts)()

    # what persons do

    def ask_for_full_load(self) -> None:
        """Ask for a full load of a lane."""
        if self.stopped:
            return
        lane = self.dice.choice(list(LANES))
        request_full_load(self.store, key(lane), by="someone")
        self.world.tell("person", f"full load of {lane}")
        self.poke()

    def release(self) -> None:
        """Release all that is in quarantine."""
        for lane in LANES:
            if quarantined(self.store, key(lane)):
                released = release_quarantine(self.store, key(lane), by="someone")
                self.world.tell("person", f"releases {', '.join(released)}")
        self.poke()

    def approve(self) -> None:
        """Approve all withdrawals that are shown as held."""
        for lane in LANES:
            shown = [each.evse_id for each in held_withdrawals(self.store, key(lane))]
            if shown:
                approved = approve_withdrawals(self.store, key(lane), shown, by="someone")
                self.judge.approved[lane] |= {key(evse) for evse in approved}
                self.world.tell("person", f"approves {', '.join(approved)}")
        self.poke()
