"""
Brings a daemon to a named point of a push and keeps it there, so that it can be killed just then.

1. A point is a context: inside of it the daemon stands there, at its end the world flows again.
2. The daemon knows nothing of it: proxies hold connections, the hub holds answers, locks hold transactions.
3. C0 to C10, Ca and Cb are the crash points between two steps of a push; what each leaves in the books is checked.
"""

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
from sqlalchemy import text

from reliability.real.machine import INSERT, OPERATOR, written
from reliability.real.process import Process, eventually
from reliability.real.proxy import Then, Trap, Way
from reliability.real.site import LATE_APPLY, SETTLE, Site, evse

FLEET: Final = 6
EXTRA: Final = evse(90)
"""The EVSE that comes and goes; at most one, so that the guard has nothing to say."""

END_WINDOWS: Final = "UPDATE temporary_status SET ended_at = :now WHERE ended_at IS NULL"
WORDS: Final = ("Available", "Charging", "Faulted")


@dataclass(frozen=True, slots=True)
class Stand:
    """
    A daemon about to be brought to a point.

    Attributes:
        float_for: Seconds for which a request that its sender did not survive travels on.
    """

    site: Site
    dice: random.Random
    float_for: float

    def change(self) -> None:
        """Change one EVSE to a value that the hub does not show, in one transaction."""
        number = self.dice.randrange(FLEET)
        status = "Faulted" if self.site.expected().get(f"DEABCE{number}") == "Occupied" else "Charging"
        with self.site.store.writing() as connection:
            connection.execute(text(END_WINDOWS), {"now": written(self.site.store, datetime.now(UTC))})
            connection.execute(
                text("UPDATE evse_status SET status = :status WHERE evse_id = :evse"),
                {"status": status, "evse": evse(number)},
            )

    def write(self) -> None:
        """Do what a writer does at any time: a status, or a window begun or ended."""
        chosen = evse(self.dice.randrange(FLEET))
        match self.dice.randrange(4):
            case 0:
                self.site.window(chosen, "Maintenance", datetime.now(UTC), None)
            case 1:
                self.site.sql(END_WINDOWS, now=written(self.site.store, datetime.now(UTC)))
            case _:
                self.site.write(chosen, self.dice.choice(WORDS))

    def warm(self) -> None:
        """Let one push pass, so that there is an idle connection, and nothing else to be done."""
        self.site.caught_up()
        self.change()
        self.site.caught_up()

    def armed(self, way: Way, *, records: int = 0, fresh: bool = False, floats: bool = False) -> Trap:
        """Arm a trap on the way to the hub that holds."""
        return self.site.way.arm(Trap(way, Then.HOLD, records=records, fresh=fresh, floats=floats))

    def hit(self, trap: Trap) -> None:
        """Change something, and wait until what follows is held."""
        self.change()
        trap.wait()


def stand_at(site: Site, seed: str) -> Stand:
    """Return a stand whose dice are decided by a seed."""
    dice = random.Random(seed)
    return Stand(site, dice, float_for=dice.uniform(0, SETTLE))


Point = Callable[[Stand], AbstractContextManager[None]]


@contextmanager
def before_the_intent(at: Stand) -> Iterator[None]:
    """C0: the lane's row is locked, nothing is written."""
    with locked(at.site, "oicp_lane", at.change):
        yield


@contextmanager
def before_the_connection(at: Stand) -> Iterator[None]:
    """C1: the intent is committed; the first packet of the connection is not answered."""
    at.site.way.stall()
    at.site.way.cut()
    at.change()
    eventually(at.site.intents, every=0.002)
    try:
        yield
    finally:
        at.site.way.listen()


@contextmanager
def in_the_handshake(at: Stand) -> Iterator[None]:
    """C2: connected; the first bytes of TLS are held."""
    trap = at.armed(Way.UP, fresh=True)
    at.site.way.cut()
    at.hit(trap)
    yield


@contextmanager
def after_the_head(at: Stand) -> Iterator[None]:
    """C3: the head of the request is at the hub, its body is not."""
    before = at.site.requests()
    at.hit(at.armed(Way.UP, records=1))
    eventually(lambda: at.site.requests() > before)
    yield


@contextmanager
def floating(at: Stand) -> Iterator[None]:
    """C4: the whole request has left and travels; it arrives after the death of its sender, within its silence."""
    trap = at.armed(Way.UP, floats=True)
    at.hit(trap)
    eventually(lambda: trap.connection and trap.connection.waiting(Way.UP), every=0.002)  # the body follows the head
    before = at.site.applied()
    yield
    time.sleep(at.float_for)
    trap.release()
    eventually(lambda: at.site.applied() > before)
    trap.cut()


@contextmanager
def at_the_hub(at: Stand) -> Iterator[None]:
    """C4: the hub has the request, and performs it late or never."""
    before = at.site.requests()
    delay = at.dice.uniform(0, LATE_APPLY)
    at.site.will(at.dice.choice(("never_applied", "late_apply")), silent=True, delay=delay)
    at.change()
    eventually(lambda: at.site.requests() > before and at.site.entries()[-1].http_status)
    yield


@contextmanager
def before_the_answer(at: Stand) -> Iterator[None]:
    """C5: the hub has performed it, no byte of the answer has come."""
    at.hit(at.armed(Way.DOWN))
    yield


@contextmanager
def before_the_record(at: Stand) -> Iterator[None]:
    """C6: the answer is there, the transaction that records it waits for the lane's row."""
    trap = at.armed(Way.DOWN)
    at.hit(trap)
    with locked(at.site, "oicp_lane", trap.release):
        yield


@contextmanager
def before_the_commit(at: Stand) -> Iterator[None]:
    """C7: everything is recorded, and not committed: its last statements wait for a row of the ledger."""
    trap = at.armed(Way.DOWN)
    at.hit(trap)
    with locked(at.site, "oicp_ledger", trap.release):
        yield


@contextmanager
def commit_held(at: Stand) -> Iterator[None]:
    """C7: the commit of the acknowledgement has left and has not arrived."""
    with _statement(at, b"DELETE FROM oicp_intent", passes=False):
        yield


@contextmanager
def commit_unanswered(at: Stand) -> Iterator[None]:
    """C8: the acknowledgement is committed, and the answer to that is lost."""
    with _statement(at, b"DELETE FROM oicp_intent", passes=True):
        eventually(lambda: not at.site.intents())
        yield


@contextmanager
def intent_unanswered(at: Stand) -> Iterator[None]:
    """C8: the intent is committed, and the answer to that is lost."""
    with _statement(at, b"INSERT INTO oicp_intent", passes=True):
        eventually(at.site.intents)
        yield


@contextmanager
def after_the_record(at: Stand) -> Iterator[None]:
    """C9: everything is recorded, the lease is kept."""
    before = at.site.applied()
    at.change()
    eventually(lambda: at.site.applied() > before and not at.site.intents(), every=0.002)
    yield


@contextmanager
def after_the_release(at: Stand) -> Iterator[None]:
    """C10: the lease is given back, the process is not gone yet."""
    at.site.processes[-1].send(signal.SIGTERM)
    eventually(lambda: at.site.holder() is None, every=0.002)
    yield


@contextmanager
def between_two_requests(at: Stand) -> Iterator[None]:
    """Ca: of what was planned together the delete is done, the insert has left."""
    site = at.site
    there = EXTRA.replace("*", "") in site.expected()
    gone, new = (EXTRA, evse(91)) if there else (evse(91), EXTRA)
    before = site.requests()
    number = site.will("never_applied", action="insert")
    with site.store.writing() as connection:
        connection.execute(text("DELETE FROM evse_status WHERE evse_id = :gone"), {"gone": gone})
        connection.execute(text(INSERT), {"evse": new, "operator": OPERATOR, "status": "Available"})
    eventually(lambda: site.requests() > before and site.hub.faults.struck(number))
    yield


@contextmanager
def in_a_full_load(at: Stand) -> Iterator[None]:
    """Cb: a full load has left, and is performed late or never."""
    site = at.site
    site.rest()
    assert site.processes[-1].stop() == 0
    site.sql("UPDATE oicp_lane SET full_load_requested_at = :now", now=written(site.store, datetime.now(UTC)))
    delay = at.dice.uniform(0, LATE_APPLY)
    kind = at.dice.choice(("never_applied", "late_apply"))
    number = site.will(kind, action="fullLoad", silent=True, delay=delay)
    site.daemon()
    eventually(lambda: site.hub.faults.struck(number))
    yield


@dataclass(frozen=True, slots=True)
class Named:
    """
    A point under its name in the list.

    Attributes:
        intents: How many the kill leaves.
        sqlite: It can be reached on SQLite, too.
    """

    name: str
    reach: Point
    intents: int = 1
    sqlite: bool = True


POINTS: Final = (
    Named("C0", before_the_intent, intents=0),
    Named("C1", before_the_connection),
    Named("C2", in_the_handshake),
    Named("C3", after_the_head),
    Named("C4 floating", floating),
    Named("C4 at the hub", at_the_hub),
    Named("C5", before_the_answer),
    Named("C6", before_the_record),
    Named("C7", before_the_commit, sqlite=False),
    Named("C7 commit held", commit_held, sqlite=False),
    Named("C8", commit_unanswered, intents=0, sqlite=False),
    Named("C8 intent", intent_unanswered, sqlite=False),
    Named("C9", after_the_record, intents=0),
    Named("C10", after_the_release, intents=0),
    Named("Ca", between_two_requests),
    Named("Cb", in_a_full_load),
)
"""Every point; SQLite's commit cannot be held from outside, kills at random meet it there."""


@contextmanager
def locked(site: Site, table: str, then: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that the daemon's next transaction needs; *then* leads it there, and it waits inside the context."""
    if site.sqlite:
        with closing(sqlite3.connect(str(site.store.path), timeout=10, isolation_level=None)) as driver:
            _lock_file(site, driver, then)
            yield
            driver.execute("ROLLBACK")
        return
    with closing(psycopg.connect(site.store.address)) as driver:
        driver.execute(f"SELECT * FROM {table} FOR UPDATE")
        then()
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
        eventually(lambda: site.one(f"{blocked} AND datname = current_database()"))
        yield
        driver.rollback()


def _lock_file(site: Site, driver: sqlite3.Connection, then: Callable[[], None]) -> None:
    """Lead the daemon to the lock on a file, which shows nobody who waits: two of its looks later it does."""
    daemon = site.processes[-1]
    driver.execute("PRAGMA busy_timeout = 100")
    eventually(lambda: _paused_outside_of_a_transaction(daemon, driver))
    then()
    driver.execute("BEGIN IMMEDIATE")
    daemon.send(signal.SIGCONT)
    time.sleep(0.25)


def _paused_outside_of_a_transaction(daemon: Process, driver: sqlite3.Connection) -> bool:
    daemon.pause()
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        daemon.send(signal.SIGCONT)
        return False
    driver.execute("COMMIT")
    return True


@contextmanager
def _statement(at: Stand, statement: bytes, *, passes: bool) -> Iterator[None]:
    """Hold PostgreSQL's answer to the commit that follows a statement, or the commit itself."""
    assert at.site.lines is not None
    stops = (Way.DOWN,) if passes else (Way.UP,)
    trap = at.site.lines.arm(Trap(Way.UP, Then.HOLD, texts=(statement, b"COMMIT"), passes_text=passes, stops=stops))
    at.hit(trap)
    yield
    trap.cut()
