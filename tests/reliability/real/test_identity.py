"""A store that is another one, or went back, under a real daemon: DESIGN.md §8, FAULTS.md F27 to F30."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from reliability.real.cluster import Cluster
from reliability.real.interpreter import Interpreter
from reliability.real.process import PATIENCE, Process, eventually
from reliability.real.site import Site, evse

FLEET = 4


def command(site: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return Interpreter().run(["--config", str(site.config()), *arguments], folder=site.folder, within=PATIENCE)


def refuses(daemon: Process) -> bool:
    """Tell whether a daemon says that the store is not its lane's."""
    if daemon.url is None:
        return False
    code, said = daemon.get("/readyz")
    return code == 503 and "knows another store" in said


def attempts(site: Site) -> int:
    """Return the number of the lane's last request."""
    return int(site.one("SELECT attempt FROM oicp_lane"))


def told_again(site: Site, since: int) -> set[str]:
    """Return which EVSEs the hub acknowledged in a request after the nth."""
    return {row.evse_id for row in site.read("SELECT evse_id FROM oicp_ledger WHERE attempt > :since", since=since)}


def file_of(site: Site) -> Path:
    return site.folder / "store.db"


def copy_of(site: Site) -> Path:
    """Back the file up as SQLite does, while the daemon is at work."""
    target = site.folder / "backup.db"
    with closing(sqlite3.connect(file_of(site))) as source, closing(sqlite3.connect(target)) as backup:
        source.backup(backup)
    return target


def put_in_place(site: Site, copy: Path, *, same_file: bool) -> None:
    """Restore a backup: into the file that is there, or as a file of its own."""
    for left in site.folder.glob("store.db-*"):
        left.unlink()
    if same_file:
        file_of(site).write_bytes(copy.read_bytes())
    else:
        shutil.copy(copy, f"{file_of(site)}.other")
        Path(f"{file_of(site)}.other").rename(file_of(site))


def test_a_copied_file_is_refused_until_it_is_adopted(workshop):
    with workshop.site("sqlite") as site:
        assert site.settled(FLEET).stop() == 0
        put_in_place(site, copy_of(site), same_file=False)
        site.write(evse(1), "Faulted")
        before, attempt = site.requests(), attempts(site)
        daemon = site.start()
        eventually(lambda: refuses(daemon))
        assert 'lane_state{operator="DE*ABC",state="held"} 1.0' in daemon.get("/metrics")[1]
        checked = command(site, "check", "--offline")
        assert checked.returncode == 78
        assert "oicp-adapter adopt" in checked.stdout
        assert site.requests() == before
        assert command(site, "adopt", "--yes", "--by", "an operator").returncode == 0
        site.arrives(evse(1), "OutOfService")
        site.rest()
        assert told_again(site, attempt) == {evse(number) for number in range(FLEET)}


def test_an_older_copy_in_the_very_file_is_noticed_and_everything_asserted_again(workshop):
    with workshop.site("sqlite") as site:
        daemon = site.settled(FLEET)
        older = copy_of(site)
        site.write(evse(1), "Faulted")
        site.arrives(evse(1), "OutOfService")
        site.rest()
        assert daemon.stop() == 0
        before = attempts(site)
        put_in_place(site, older, same_file=True)
        again = site.start()
        site.arrives(evse(1), "Available")
        site.rest()
        assert again.log("store.went_back")
        assert told_again(site, before) == {evse(number) for number in range(FLEET)}


@pytest.fixture
def cluster():
    """A server of the test's own, which may crash."""
    with Cluster() as made:
        yield made


@pytest.mark.timeout(240)
@pytest.mark.parametrize("running", [True, False], ids=["the daemon at work", "no daemon running"])
def test_a_fail_over_to_a_standby_that_lagged_is_noticed_and_everything_asserted_again(workshop, cluster, running):
    with workshop.site("postgresql", cluster=cluster) as site:
        daemon = site.settled(FLEET)
        lagging = cluster.copied()
        site.write(evse(1), "Faulted")
        site.arrives(evse(1), "OutOfService")
        site.rest()
        if not running:
            assert daemon.stop() == 0
        before = attempts(site)
        site.store.close()
        cluster.fail_over(lagging)
        if not running:
            daemon = site.start()
        site.arrives(evse(1), "Available")
        site.rest()
        assert daemon.log("store.went_back")
        assert told_again(site, before) == {evse(number) for number in range(FLEET)}


def test_a_cloned_database_is_refused(workshop):
    with workshop.site("postgresql") as site:
        assert site.settled(FLEET).stop() == 0
        site.store.close()
        cluster = workshop.shared()
        name = site.sections["store"]["url"].rpartition("/")[2]
        cluster.admin(f"CREATE DATABASE {name}_clone TEMPLATE {name}")
        before = site.requests()
        site.sections["store"]["url"] = cluster.url(f"{name}_clone")
        clone = site.start()
        eventually(lambda: refuses(clone))
        assert site.requests() == before
