"""Replicas are replaced one by one by a later release: its migration first only adds, and takes away in the end."""

import itertools
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

import oicp_adapter
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import check

EXPAND = """
import sqlalchemy as sa
from alembic import op
revision = "9001"
down_revision = "{latest}"
branch_labels = depends_on = None
def upgrade():
    op.add_column("oicp_lane", sa.Column("later", sa.Text()))
    op.add_column("oicp_ledger", sa.Column("later", sa.Text()))
    op.create_table("oicp_later", sa.Column("thought", sa.Text(), primary_key=True))
"""
CONTRACT = """
from alembic import op
revision = "9002"
down_revision = "9001"
branch_labels = depends_on = None
def upgrade():
    op.drop_column("oicp_lane", "later")
    op.execute("UPDATE oicp_schema_support SET oldest = '9001'")
"""
FLEET = 8
STORE_WRONG = 69


@pytest.fixture
def store_url(pg_url):
    """PostgreSQL, where there can be replicas."""
    return pg_url


@pytest.fixture
def releases(tmp_path, store_url):
    """Where two later releases are: one whose migration adds, and one whose migration takes away."""
    with open_store(store_url) as store:
        latest = check(store).wanted
    made = {}
    for name, revisions in {"next": [EXPAND], "after next": [EXPAND, CONTRACT]}.items():
        made[name] = tmp_path / name
        package = made[name] / "oicp_adapter"
        shutil.copytree(Path(oicp_adapter.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        for number, script in enumerate(revisions):
            revision = package / "store" / "migrations" / "versions" / f"v900{number + 1}_later.py"
            revision.write_text(script.format(latest=latest))
    return made


@contextmanager
def changing(site):
    """Let a program of somebody else change statuses all the while."""
    over = threading.Event()

    def change():
        for number in itertools.count():
            with site.store.writing() as connection:
                connection.execute(
                    text("UPDATE evse_status SET status = :status WHERE evse_id = :evse"),
                    {"status": ("Charging", "Available", "Faulted")[number % 3], "evse": f"DE*ABC*E{number % FLEET}"},
                )
            if over.wait(0.02):
                return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(300)
def test_replicas_are_replaced_by_a_later_release_under_load_and_back_again(site, releases, eventually):
    def taken_by(process):
        eventually(lambda: process.log("lane.taken"))
        eventually(lambda: process.log("push.acknowledged"))

    site.fleet(FLEET)
    with changing(site):
        old = [site.daemon(), site.daemon()]
        eventually(lambda: len(site.at_hub()) == FLEET)
        first = next(process for process in old if process.log("lane.taken"))
        (second,) = (process for process in old if process is not first)

        site.starter.release = releases["next"]
        migrated = site.command("db", "upgrade")
        assert migrated.returncode == 0, migrated.stderr
        assert first.stop() == 0
        taken_by(second)  # a release that is older than the tables goes on
        third = site.daemon()
        assert second.stop() == 0
        taken_by(third)

        site.starter.release = None
        fourth = site.daemon()  # who takes the upgrade back is not shut out
        assert third.stop() == 0
        taken_by(fourth)

        site.starter.release = releases["next"]
        fifth = site.daemon()
        assert fourth.stop() == 0
        taken_by(fifth)
        site.starter.release = releases["after next"]
        migrated = site.command("db", "upgrade")
        assert migrated.returncode == 0, migrated.stderr
    wanted = {"Charging": "Occupied", "Available": "Available", "Faulted": "OutOfService"}
    rows = {row.evse_id.replace("*", ""): wanted[row.status] for row in site.sql("SELECT * FROM evse_status")}
    eventually(lambda: site.at_hub() == rows)
    assert site.hub.hub.journal.counters["overlaps"] == 0
    assert not [line for process in site.processes for line in process.log("lane.trouble")]

    site.starter.release = None
    late = site.start()  # the oldest release of all
    assert late.ended() == STORE_WRONG
    assert "newer" in late.text()
    assert fifth.stop() == 0
