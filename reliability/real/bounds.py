"""
Measures how soon daemons get over faults whose bound counts in seconds, from the end of the fault.

1. What is promised is reckoned here, from the settings alone; nothing of the adapter is asked for it.
2. Where a wait could end by chance, it is made long first, so that only what is promised can end it in time.
3. The one push in a promise may take `request_timeout`; an idle machine needs a hundredth of that, and the rest is for
   loaded ones.
"""

import signal
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import median
from typing import Final

from sqlalchemy import Connection, text

from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.oicp.development_pki import Authority, DevelopmentPki, KeyPair
from reliability.real.machine import OPERATOR, written
from reliability.real.points import FLEET
from reliability.real.process import Process, eventually
from reliability.real.site import LEASE, SETTLE, TOLD, Site, evse
from reliability.real.workshop import Kind, Workshop

HANGING: Final = 1.5
"""The time-out under which a hub hangs while the daemon is told to stop: it is the wait, so it is kept short."""

PUSH: Final = 10.0
"""The time-out otherwise: what one push is promised to take at most."""

SWEEP: Final = 2.0
LOOK: Final = 4.0
"""Seconds between two looks of a standby at the lease, and no more than a third of the lease."""

RECORDING: Final = 5.0
"""Seconds beyond a whole exchange for which the lease of a push lasts."""

ENDING: Final = 5.0
"""Seconds beyond a whole exchange within which a daemon that was told to stop has ended."""

STANDSTILL: Final = 5.0
"""Seconds after which PostgreSQL ends the transaction of a process that stopped inside of it, with the lane's lock."""

LONG_LEASE: Final = 120.0
HELD_FOR: Final = timedelta(minutes=4)
"""A lane that has been refused for long tries again so late; within the time-outs of everything here it does not."""

AT_ONCE: Final = 7
"""Sites measured side by side; most of them wait."""

Trial = Callable[[Site, DevelopmentPki], Iterator[float]]
"""Runs without end: each brings the fault about, ends it, and gives the seconds until the adapter was over it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """
    A promise in seconds.

    Attributes:
        fault: Its numbers in the catalogue, and what happens.
        promised: Seconds from the end of the fault.
        by: Where they come from.
        settings: Over those of a site, by section.
        stores: On which of them it can be tried.
        version: The only version of TLS that the hub speaks; None: 1.2 and 1.3.
    """

    fault: str
    promised: float
    by: str
    trial: Trial
    settings: Mapping[str, Mapping[str, float]]
    stores: Sequence[Kind] = ("sqlite", "postgresql")
    version: ssl.TLSVersion | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What was measured of a bound.

    Attributes:
        seconds: Of each run; the first that exceeds the bound is the last.
    """

    bound: Bound
    store: Kind
    seconds: Sequence[float]

    @property
    def kept(self) -> bool:
        return max(self.seconds) <= self.bound.promised

    def __str__(self) -> str:
        measured = f"worst {max(self.seconds):.1f} s, median {median(self.seconds):.1f} s of {len(self.seconds)}"
        promised = f"promised {self.bound.promised:.1f} s ({self.bound.by})"
        return f"{self.store}: {self.bound.fault}: {promised}, {measured}{'' if self.kept else ', EXCEEDED'}"


def measure_all(workshop: Workshop, stores: Sequence[Kind], *, runs: int) -> Iterator[Measured]:
    """Measure every bound on every store that it is for, several side by side; give them in the order of the list."""
    if "postgresql" in stores:
        workshop.shared()
    wanted = [(bound, store) for store in stores for bound in BOUNDS if store in bound.stores]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda each: measure(workshop, *each, runs=runs), wanted)


def measure(workshop: Workshop, bound: Bound, store: Kind, *, runs: int) -> Measured:
    """Measure one bound so often, on a site of its own; once it is exceeded, no more."""
    seconds: list[float] = []
    with workshop.site(store, version=bound.version) as site:
        for section, values in bound.settings.items():
            site.sections[section] |= values
        for taken in islice(bound.trial(site, workshop.pki), runs):
            seconds.append(taken)
            if taken > bound.promised:
                break
    return Measured(bound, store, seconds)


def rotated(site: Site, pki: DevelopmentPki) -> Iterator[float]:
    """Let the hub refuse the client certificate for long, then replace the pair; until the hub has the change."""
    files = KeyPair(site.folder / "client.pem", site.folder / "client.key")
    now = datetime.now(UTC)
    span = {"not_before": now - timedelta(hours=1), "not_after": now + timedelta(days=30)}
    known, foreign = Authority.load(pki.client_ca), Authority.create("Another CA", **span)
    known.issue_client(OPERATOR, **span).write(files)
    site.operators[0] |= {"certificate": files.certificate, "private_key": files.private_key}
    daemon = site.settled(FLEET)
    while True:
        assert daemon.stop() == 0, daemon.text()
        foreign.issue_client(OPERATOR, **span).write(files)
        arrived = changed(site)
        daemon = site.daemon()
        eventually(lambda: _waits_long(site), every=0.05, told=site.books)
        known.issue_client(OPERATOR, **span).write(files)
        yield waited(arrived, time.monotonic())
        site.caught_up()


def _waits_long(site: Site) -> bool:
    """Make the wait of a held lane as long as after many refusals; tell whether no attempt under way will change it."""
    if site.one("SELECT hold_reason FROM oicp_lane") != "certificate" or site.intents():
        return False
    until, now = site.instant("SELECT wait_until FROM oicp_lane"), datetime.now(UTC)
    if until is not None and until > now + HELD_FOR / 2:
        return True
    site.sql("UPDATE oicp_lane SET wait_until = :until", until=written(site.store, now + HELD_FOR))
    return False


def stopped(site: Site, _: DevelopmentPki) -> Iterator[float]:
    """Send SIGTERM while the hub hangs; until the process has ended."""
    site.fleet(FLEET)
    while True:
        daemon = site.daemon()
        site.caught_up()
        hung(site)
        began = time.monotonic()
        with suppress(AssertionError):
            daemon.stop()
        yield time.monotonic() - began
        assert daemon.code == 0, daemon.text()


def killed(site: Site, *, in_a_push: bool) -> Iterator[float]:
    """Kill the leader; until the hub has the change from its standby."""
    site.settled(FLEET)
    while True:
        leader = led(site)
        arrived = hung(site) if in_a_push else None
        leader.kill()
        began = time.monotonic()
        assert bool(site.intents()) is in_a_push, site.books()
        yield waited(arrived or changed(site), began)
        site.caught_up()


def slept(site: Site, *, in_a_push: bool) -> Iterator[float]:
    """Let the leader stand still; until the hub has the change from its standby."""
    site.settled(FLEET)
    leader = led(site)
    while True:
        arrived = hung(site) if in_a_push else None
        leader.pause()
        began = time.monotonic()
        assert bool(site.intents()) is in_a_push, site.books()
        site.way.cut()  # the hub, too, would take a request that stays open for one that overlaps the next
        yield waited(arrived or changed(site), began)
        leader.send(signal.SIGCONT)
        eventually(leader.stands_by, every=0.05)
        site.caught_up()
        leader = site.leader()


def swept(site: Site, _: DevelopmentPki) -> Iterator[float]:
    """Change an EVSE without leaving a hint, just after a sweep; until the hub has the change."""
    site.settled(FLEET)
    while True:
        yield waited(changed(site, hidden=True), time.monotonic())
        site.caught_up()


def handed_over(site: Site, _: DevelopmentPki) -> Iterator[float]:
    """Stop the leader as one should; until the hub has a change from its standby."""
    site.settled(FLEET)
    while True:
        leader = led(site)
        began = time.monotonic()
        assert leader.stop() == 0, leader.text()
        yield waited(changed(site), began)
        site.caught_up()


def led(site: Site) -> Process:
    """Start a standby, and return the leader that it stands by."""
    leader, standby = site.leader(), site.daemon()
    eventually(standby.stands_by, every=0.05)
    return leader


def hung(site: Site) -> Callable[[], bool]:
    """Change an EVSE, let the hub hang over it, and return the look whether the change was pushed again."""
    number = site.will("never_applied")
    arrived = changed(site)
    eventually(lambda: site.hub.faults.struck(number))
    return arrived


def changed(site: Site, *, hidden: bool = False) -> Callable[[], bool]:
    """Change an EVSE to what the hub does not show, without a hint if hidden; return the look whether it arrived."""
    key = evse_key(evse(0))
    status = "Faulted" if site.at_hub()[key] == TOLD["Charging"] else "Charging"
    with site.store.writing() as connection:
        if hidden and not site.sqlite:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("UPDATE evse_status SET status = :status WHERE evse_id = :evse"), {"status": status, "evse": evse(0)}
        )
        if hidden:
            _without_hint(site, connection)
    return lambda: site.at_hub()[key] == TOLD[status]


def _without_hint(site: Site, connection: Connection) -> None:
    """SQLite's triggers cannot be silenced for one transaction, so it takes its hint back before anyone sees it."""
    if site.sqlite:
        connection.execute(text("DELETE FROM oicp_hint"))
    assert connection.execute(text("SELECT count(*) FROM oicp_hint")).scalar_one() == 0


def waited(look: Callable[[], bool], began: float) -> float:
    """Return the seconds until something was so; more than any bound if it never was."""
    with suppress(AssertionError):
        eventually(look, every=0.01)
    return time.monotonic() - began


def _takeover(fault: str, trial: Callable[..., Iterator[float]], *, in_a_push: bool) -> Bound:
    """Promise a push of the standby once the lease has run out and an open request keeps silent; a look comes first."""
    free, by = LEASE, "lease"
    if trial is slept:
        free, by = max(LEASE, STANDSTILL), "lease, or the end of a transaction that stands still"
    if in_a_push:  # it may leave within half a lease
        free, by = max(LEASE, LEASE / 2 + PUSH + max(RECORDING, SETTLE)), "lease and silence of a push"
    return Bound(
        fault,
        free + LEASE / 3 + PUSH,
        f"{by} {free:.0f} s, look {LEASE / 3:.1f} s, push {PUSH:.0f} s",
        lambda site, _: trial(site, in_a_push=in_a_push),
        {"hub": {"request_timeout": PUSH}},
        stores=("postgresql",),
    )


BOUNDS: Final = (
    *(
        Bound(
            f"F57, F58 refused client certificate replaced, TLS 1.{minor}",
            60.0,
            "whatever the settings",
            rotated,
            {"hub": {"request_timeout": PUSH}},
            version=version,
        )
        for minor, version in ((2, ssl.TLSVersion.TLSv1_2), (3, ssl.TLSVersion.TLSv1_3))
    ),
    _takeover("F61 leader killed in a push", killed, in_a_push=True),
    _takeover("F63 leader stopped in a push", slept, in_a_push=True),
    _takeover("F61 idle leader killed", killed, in_a_push=False),
    _takeover("F63 idle leader stopped", slept, in_a_push=False),
    Bound(
        "F62 clean stop with a standby",
        LOOK + PUSH,
        f"look {LOOK:.0f} s, push {PUSH:.0f} s; the lease is {LONG_LEASE:.0f} s",
        handed_over,
        {"hub": {"request_timeout": PUSH}, "push": {"lease": LONG_LEASE}},
        stores=("postgresql",),
    ),
    Bound(
        "F62 SIGTERM while the hub hangs",
        HANGING + ENDING,
        f"request_timeout {HANGING} s, end {ENDING:.0f} s",
        stopped,
        {"hub": {"request_timeout": HANGING}},
    ),
    Bound(
        "F40 change without a hint",
        SWEEP + PUSH,
        f"sweep_every {SWEEP:.0f} s, push {PUSH:.0f} s",
        swept,
        {"store": {"sweep_every": SWEEP}, "hub": {"request_timeout": PUSH}},
    ),
)
"""Every bound, the longest first."""
