"""What a lane's own connection does around its statements: time-outs, messages of several, what is not there."""

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from oicp_adapter.domain.errors import StoreError, StoreUnavailableError
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.transactions import LOCK_TIMEOUT, SHARED_LOCK_TIMEOUT, commit_with, raw, transaction
from oicp_adapter.sync.model import Action, Intent, Record

on_postgresql = pytest.mark.parametrize("store", ["postgresql"], indirect=True)
RECORD = Record(CanonicalEvseId("DEABCE1"), EvseId("DE*ABC*E1"), OicpStatus.AVAILABLE)


def intent(epoch: int, now: datetime) -> Intent:
    return Intent(epoch, 1, Action.UPDATE, (RECORD,), now, now + timedelta(seconds=60), suspect=False)


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "as behind a pooler"])
@on_postgresql
def test_a_look_waits_but_shortly_for_a_table_that_somebody_has_locked(pg_url, lane: LaneStore, pooled):
    lane.look()
    if pooled:
        raw(lane._connection).prepare_threshold = None
        raw(lane._connection).execute("RESET ALL")
    with closing(psycopg.connect(pg_url)) as other:
        other.execute("LOCK TABLE oicp_hint")
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            lane.look()
        assert time.monotonic() - began < LOCK_TIMEOUT / 1000 / 2
    assert lane.look().hinted is False


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "as behind a pooler"])
@on_postgresql
def test_a_look_says_the_same_with_a_pooler_and_without(lane: LaneStore, add, pooled):
    before = lane.look()
    if pooled:
        raw(lane._connection).prepare_threshold = None
    add("DE*ABC*E1")
    seen = lane.look()
    assert (before.hinted, seen.hinted, seen.due_at, seen.free) == (False, True, None, False)
    assert timedelta() < seen.now - before.now < timedelta(minutes=1)
    assert raw(lane._connection).info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_an_error_in_what_goes_with_the_commit_takes_everything_back(lane: LaneStore, sql, add):
    add("DE*ABC*E1")
    ending = [("DELETE FROM oicp_hint", {}), ("DELETE FROM evse_status", {}), ("DELETE FROM no_such_table", {})]
    with pytest.raises(StoreError), lane.writing() as connection:
        commit_with(connection, ending)
    assert sql("SELECT count(*) FROM oicp_hint")[0][0] == 1
    assert sql("SELECT count(*) FROM evse_status")[0][0] == 1
    assert lane.look().hinted


def test_a_lane_that_is_new_to_two_processes_shows_the_second_what_the_first_did(lane: LaneStore):
    rival = LaneStore(lane.store, lane.scope, lane.mapping)
    seen = []

    def work() -> None:
        with closing(rival), rival.transaction() as books:
            seen.append((books.position.epoch, books.intent, books.now))

    other = threading.Thread(target=work)
    with lane.transaction() as books:
        other.start()
        time.sleep(0.3)
        first = intent(7, books.now)
        books.write_intent(first)
        books.save_position(books.position.__class__(epoch=7))
        ended = datetime.now(UTC)
    other.join(10)
    ((epoch, found, now),) = seen
    assert (epoch, found) == (7, first)
    assert now >= ended, "the clock is read once the lock is there"


def test_hints_that_cannot_be_used_leave_nothing_behind_in_a_session(lane: LaneStore, sql, store):
    if store.dialect == "sqlite":
        for row in sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            sql(f"DROP TRIGGER {row.name}")
    sql("ALTER TABLE oicp_hint RENAME TO hidden")
    assert lane.look().hinted is False
    assert lane.hintless is not None
    with lane.transaction() as books:
        assert books.find(hinted=10, due=10, suspects=10).observe() == []
        books.consume_hints()
        assert books.drop_hints() == 0
        assert books.withdrawal_count().pending == 0
        assert books.clean()
    assert len(list(lane.sweep())) == 0
    sql("ALTER TABLE hidden RENAME TO oicp_hint")
    with lane.reading() as connection:  # the very session that had none
        assert connection.execute(text("SELECT count(*) FROM oicp_hint")).scalar_one() == 0
        tables = "pg_temp.oicp_hint" if store.dialect == "postgresql" else "temp.oicp_hint"
    with pytest.raises(StoreError), lane.reading() as connection:
        connection.execute(text(f"SELECT * FROM {tables}"))


@on_postgresql
def test_tidying_up_after_a_sweep_waits_but_shortly_for_a_shared_table(pg_url, lane: LaneStore, add):
    add("DE*ABC*E1")
    pages = lane.sweep()
    steps = [next(pages), next(pages)]
    assert [step.scanned for step in steps] == [1, 0]
    with closing(psycopg.connect(pg_url)) as other:
        other.execute("LOCK TABLE evse_status")
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            list(pages)
        assert time.monotonic() - began < SHARED_LOCK_TIMEOUT / 1000 * 4


@on_postgresql
def test_a_transaction_of_the_lane_itself_sets_nothing_for_its_session(lane: LaneStore):
    lane.look()
    driver = raw(lane._connection)
    before = driver.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall()
    with lane.transaction() as books:
        books.prepare_full_load()
        books.drop_full_load()
    with transaction(lane._connection, writes=False):
        pass
    assert driver.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall() == before
