"""
Kills daemons: at named points and at random, restarts them, and judges what the hub saw.

1. A kill counts for its point only if the books show afterwards that the daemon stood there; it is judged in any case.
2. Nothing may be sent before the silence of what the kill left open has passed.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reliability.real.judge import judge
from reliability.real.points import EXTRA, FLEET, POINTS, Named, Stand
from reliability.real.process import eventually
from reliability.real.site import LEASE, REQUEST_TIMEOUT, SETTLE, Site

RANDOM: Final = "at random"
LONGEST_RUN: Final = 0.6
"""Seconds within which a kill at random strikes, the start of the process included."""


@dataclass(slots=True)
class Tally:
    """What was done."""

    kills: Counter[str]
    passed_by: Counter[str]
    requests: int = 0
    peak: int = 0

    def add(self, other: "Tally") -> None:
        self.kills += other.kills
        self.passed_by += other.passed_by
        self.requests += other.requests
        self.peak = max(self.peak, other.peak)

    def __str__(self) -> str:
        points = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        missed = f"; passed by: {dict(self.passed_by)}" if self.passed_by else ""
        return f"{self.kills.total()} kills ({points}{missed}), {self.requests} requests, at most {self.peak} a minute"


def kill_all(make: Callable[[], AbstractContextManager[Site]], *, kills: int, sites: int, seed: int) -> Tally:
    """
    Kill so often in sum, on several sites side by side; each gets its share of the points in an order of its own.

    Args:
        make: Opens a site.
    """
    whole = Tally(Counter(), Counter())
    with ThreadPoolExecutor(sites) as pool:
        shares = [len(range(number, kills, sites)) for number in range(sites)]
        running = [pool.submit(_site, make, number, share, sites, seed) for number, share in enumerate(shares)]
        for each in running:
            whole.add(each.result())
    return whole


def _site(make: Callable[[], AbstractContextManager[Site]], number: int, kills: int, sites: int, seed: int) -> Tally:
    dice = random.Random(f"{seed}/{number}")
    with make() as site:
        site.settled(FLEET)
        site.write(EXTRA)
        tally = Tally(Counter(), Counter())
        for step in range(kills):
            point = _chosen(site, step * sites + number)
            name = RANDOM if point is None else point.name
            try:
                stood = kill_at(site, point, dice)
            except AssertionError as error:
                told = f"site {number} of seed {seed}, kill {step + 1} ({name}): {error}"
                raise AssertionError(f"{told}\n{site.processes[-1].text()[-4000:]}") from error
            (tally.kills if stood else tally.passed_by)[name] += 1
        judge(site)
        tally.requests, tally.peak = site.requests(), site.hub.hub.journal.peak_per_minute("DEABC")
        return tally


def _chosen(site: Site, turn: int) -> Named | None:
    """Take the named points in turn, over all sites, and a kill at random at every third turn."""
    if turn % 3 == 2:
        return None
    usable = [point for point in POINTS if point.sqlite or not site.sqlite]
    return usable[(turn - turn // 3) % len(usable)]


def kill_at(site: Site, point: Named | None, dice: random.Random) -> bool:
    """Kill at a point, start anew, wait until the hub has caught up; tell whether the daemon stood at the point."""
    stand = Stand(site, dice, float_for=dice.uniform(0, SETTLE))
    if point is None:
        stood, silent_until = _kill_at_random(stand)
    else:
        stand.warm()
        with point.reach(stand):
            site.processes[-1].kill()
            stood = site.intents() == point.intents
        eventually(site.at_rest)
        silent_until = _silence(site)
    site.way.disarm()
    if site.lines is not None:
        site.lines.disarm()
    before = site.requests()
    for _ in range(dice.randrange(3)):
        stand.write()
    site.start()
    site.caught_up()
    _heeded(site, before, silent_until)
    return stood


def _kill_at_random(stand: Stand) -> tuple[bool, datetime | None]:
    end = time.monotonic() + stand.dice.uniform(0, LONGEST_RUN)
    while time.monotonic() < end:
        stand.write()
        time.sleep(stand.dice.uniform(0, 0.05))
    stand.site.processes[-1].kill()
    eventually(stand.site.at_rest)
    return True, _silence(stand.site)


def _silence(site: Site) -> datetime | None:
    """Return until when nothing may be sent, by the settings; None: nothing was open."""
    started_at = site.instant("SELECT max(started_at) FROM oicp_intent")
    return started_at + timedelta(seconds=LEASE / 2 + REQUEST_TIMEOUT + SETTLE) if started_at is not None else None


def _heeded(site: Site, before: int, silent_until: datetime | None) -> None:
    """Fail if a request came before the silence of an open intent had passed."""
    later: Sequence[datetime] = [entry.received_at for entry in site.entries() if entry.number > before]
    if silent_until is not None and later:
        assert later[0] >= silent_until, f"a request came {silent_until - later[0]} before the silence had passed"
