"""The clock of PostgreSQL jumps under a running daemon: nothing is lost, and no window is missed for long."""

from datetime import timedelta

import pytest

from reliability.real.judge import judge
from reliability.real.points import FLEET, evse, stand_at
from reliability.real.workshop import side_by_side

LATER = "SELECT pg_catalog.clock_timestamp() + shift FROM moved.clock"
JUMPS = {
    "5 s ahead": timedelta(seconds=5),
    "5 s back": timedelta(seconds=-5),
    "1 h ahead": timedelta(hours=1),
    "1 h back": timedelta(hours=-1),
}


def put_a_clock_before_the_servers(site):
    """Put a `clock_timestamp` that the test moves before the server's own in the search path of the database."""
    name = site.one("SELECT current_database()")
    for statement in (
        "CREATE SCHEMA moved",
        "CREATE TABLE moved.clock (shift interval)",
        "INSERT INTO moved.clock VALUES ('0')",
        f"CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS '{LATER}'",
        f"ALTER DATABASE {name} SET search_path = moved, public, pg_catalog",
    ):
        site.sql(statement)
    site.store.close()  # connections made from now on see it


def move(site, shift):
    site.sql("UPDATE moved.clock SET shift = :shift", shift=shift)


def jumped(site, shift):
    put_a_clock_before_the_servers(site)
    site.sections["store"]["sweep_every"] = 2.0  # what a clock that went back left in the far future, the sweep finds
    daemon = site.settled(FLEET)
    stand = stand_at(site, str(shift))
    stand.warm()
    now = site.store.now()
    site.window(evse(3), "Maintenance", now + timedelta(seconds=3), now + timedelta(minutes=30))
    site.write(evse(4), "Faulted")
    site.will("answer_lost")
    stand.change()
    move(site, shift)
    stand.change()
    judge(site)
    for back in (timedelta(), shift, timedelta()):
        move(site, back)
        stand.change()
        stand.warm()
    judge(site)
    assert daemon.stop() == 0


@pytest.mark.timeout(300)
def test_a_clock_that_jumps_loses_nothing(workshop):
    workshop.shared()

    def job(name):
        with workshop.site("postgresql") as site:
            jumped(site, JUMPS[name])

    side_by_side({name: lambda name=name: job(name) for name in JUMPS})
