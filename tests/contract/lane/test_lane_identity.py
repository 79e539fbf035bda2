"""A store that is another one, or that forgot a part of what it had committed: DESIGN.md §8, FAULTS.md F27 to F30."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from oicp_adapter.daemon.witness import Sighting
from oicp_adapter.domain.errors import ForeignStoreError
from oicp_adapter.store import identity
from oicp_adapter.store.operations import adopt_store, request_full_load, strangeness
from oicp_adapter.sync.model import Action, Policy

from .conftest import POLICY, Bench, Lane

HUB = "https://service.hubject.com/api/oicp"
QA = "https://service-qa.hubject.com/api/oicp"
FLEET = 12


def known(bench: Bench, **options) -> Lane:
    """Start a lane that knows its store, with everything in sync."""
    bench.fleet(FLEET)
    lane = bench.lane(hub_url=HUB, **options)
    lane.quiet()
    assert len(lane.at_hub()) == FLEET
    return lane


def backup(bench: Bench) -> Callable[[], None]:
    """Remember the adapter's tables and the shared ones as they are; what is returned restores them in place."""
    tables = ("evse_status", "temporary_status", "oicp_ledger", "oicp_lane", "oicp_intent", "oicp_identity")
    kept = {name: [dict(row._mapping) for row in bench.sql(f"SELECT * FROM {name}")] for name in tables}

    def restore() -> None:
        with bench.store.writing() as connection:
            for name, rows in kept.items():
                connection.execute(text(f"DELETE FROM {name}"))
                for row in rows:
                    columns = ", ".join(row)
                    marks = ", ".join(f":{column}" for column in row)
                    connection.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({marks})"), row)
            connection.execute(text("DELETE FROM oicp_hint"))

    return restore


def test_the_first_start_remembers_the_store_and_a_later_one_knows_it(bench: Bench) -> None:
    known(bench).worker.release()
    rows = bench.sql("SELECT lane, hub FROM oicp_identity")
    assert [tuple(row) for row in rows] == [("DEABC", "service.hubject.com/api/oicp")]
    assert strangeness(bench.store, "DEABC", hub_url=HUB) == []
    later = bench.lane(hub_url=HUB, holder="two", sole=True)
    later.quiet()
    assert later.worker._epoch is not None
    assert not bench.events("store.went_back")


def test_a_ledger_of_another_hub_is_not_pushed_from_until_it_is_adopted(bench: Bench) -> None:
    known(bench).worker.release()
    moved = bench.lane(hub_url=QA, holder="two", sole=True)
    bench.write("DE*ABC*E1", "Faulted")
    with pytest.raises(
        ForeignStoreError, match=r"hub service-qa\.hubject\.com/api/oicp instead of service\.hub"
    ) as told:
        moved.worker.turn()
    assert "adopt" in told.value.cure
    assert moved.wire.sent == []
    assert moved.metric("lane_state", state="held") == 1
    adopt_store(bench.store, "DEABC", hub_url=QA, by="an operator", policy=Policy(**POLICY))
    moved.pass_time(minutes=5)
    assert moved.at_hub()["DEABCE1"] == "OutOfService"
    assert {evse for sent in moved.wire.sent for evse in sent.statuses} == {f"DE*ABC*E{n}" for n in range(FLEET)}
    assert bench.sql("SELECT adopted_by FROM oicp_identity")[0][0] == "an operator"


def test_nobody_takes_the_lane_of_a_foreign_store(bench: Bench) -> None:
    known(bench).worker.release()
    with pytest.raises(ForeignStoreError):
        bench.lane(hub_url=QA, holder="two", sole=True).worker.turn()
    assert bench.sql("SELECT holder FROM oicp_lane")[0][0] is None


def test_a_store_that_went_back_under_a_running_daemon_is_asserted_anew(bench: Bench) -> None:
    lane = known(bench)
    restore = backup(bench)
    bench.write("DE*ABC*E1", "Faulted")
    lane.quiet()
    assert lane.at_hub()["DEABCE1"] == "OutOfService"
    restore()  # of the outage nobody in the store knows any more, and no hint tells of it
    before = len(lane.wire.sent)
    lane.pass_time(minutes=5)
    assert [event["witnessed"] for event in bench.events("store.went_back")] == [2]
    assert lane.at_hub()["DEABCE1"] == "Available"
    asserted = {evse for sent in lane.wire.since(before) for evse in sent.statuses}
    assert asserted == {f"DE*ABC*E{n}" for n in range(FLEET)}


def test_a_store_that_went_back_while_nobody_ran_is_noticed_by_the_witness(bench: Bench) -> None:
    lane = known(bench)
    restore = backup(bench)
    for status in ("Faulted", "Charging", "Faulted"):
        bench.write("DE*ABC*E1", status)
        lane.quiet()
    seen = lane.worker._trust._witness.seen
    restore()
    later = bench.lane(hub_url=HUB, holder="two", sole=True)
    later.worker._trust._witness.note(seen)
    later.pass_time(minutes=5)
    assert later.at_hub()["DEABCE1"] == "Available"
    assert later.position().attempt > seen.attempt


def test_an_empty_store_in_place_of_the_old_one_deletes_nothing(bench: Bench) -> None:
    lane = known(bench, full_load_at="03:00")
    assert [sent.action for sent in lane.wire.sent] == [Action.FULL_LOAD]
    attempt = lane.position().attempt
    for table in ("evse_status", "oicp_ledger", "oicp_lane", "oicp_intent", "oicp_identity", "oicp_hint"):
        bench.without_triggers(f"DELETE FROM {table}")
    bench.write("DE*ABC*E3", "Faulted")
    fresh = bench.lane(hub_url=HUB, holder="two", sole=True, full_load_at="03:00")
    fresh.worker._trust._witness.note(Sighting(attempt))
    fresh.pass_time(hours=30, step=600)
    fresh.pass_time(minutes=5)  # in steps within the lease: a full load waits for the sweep that follows each takeover
    assert fresh.at_hub()["DEABCE3"] == "OutOfService"
    assert len(fresh.at_hub()) == FLEET, "what nobody remembers is still there"
    request_full_load(bench.store, "DEABC", by="an operator")
    fresh.pass_time(minutes=5)
    assert set(fresh.at_hub()) == {"DEABCE3"}, "a person asked for it"
    assert fresh.position().distrusted_at is None


def test_a_timeline_that_changed_puts_everything_in_doubt(bench: Bench) -> None:
    if bench.store.dialect == "sqlite":
        pytest.skip("a file has no timeline")
    known(bench).worker.release()
    bench.sql("UPDATE oicp_identity SET timeline = timeline + 1")
    later = bench.lane(hub_url=HUB, holder="two")
    later.pass_time(minutes=5)
    assert len(bench.events("store.went_back")) == 1
    assert {evse for sent in later.wire.sent for evse in sent.statuses} == {f"DE*ABC*E{n}" for n in range(FLEET)}


def test_a_copy_of_a_file_is_another_store(bench: Bench) -> None:
    if bench.store.path is None:
        pytest.skip("a server's database is no file")
    lane = known(bench)
    path = Path(bench.store.path)
    lane.worker.release()
    lane.store.close()
    bench.store.close()  # the last connection leaves everything in the file itself
    shutil.copy(path, path.with_suffix(".copy"))
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    path.with_suffix(".copy").rename(path)
    with pytest.raises(ForeignStoreError, match="database file"):
        bench.lane(hub_url=HUB, holder="two", sole=True).worker.turn()


def test_a_database_made_from_another_is_another_store(bench: Bench, request: pytest.FixtureRequest) -> None:
    if bench.store.dialect == "sqlite":
        pytest.skip("a file is no database of a server")
    known(bench).worker.release()
    with closing(psycopg.connect(request.getfixturevalue("pg_url"), autocommit=True)) as admin:
        admin.execute("UPDATE oicp_identity SET database = 'production (4711)'")
    with pytest.raises(ForeignStoreError, match=r"instead of production \(4711\)"):
        bench.lane(hub_url=HUB, holder="two").worker.turn()


def test_a_fact_that_a_server_does_not_tell_is_not_held_against_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.store.dialect == "sqlite":
        pytest.skip("a file tells all that it has")
    known(bench).worker.release()
    for fact in ("_SYSTEM", "_TIMELINE"):
        monkeypatch.setattr(identity, fact, "SELECT pg_no_such_function()")
    before = tuple(bench.sql("SELECT system, timeline FROM oicp_identity")[0])
    later = bench.lane(hub_url=HUB, holder="two")
    later.quiet()
    assert later.worker._epoch is not None
    assert tuple(bench.sql("SELECT system, timeline FROM oicp_identity")[0]) == before
