"""A lane's looks and transactions tell the truth, outlive what happens to their connection, and block nobody."""

import contextlib
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.store.engine import PREPARED_AFTER, open_store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.sync.model import Position

from .conftest import ALL, observe


def test_an_error_rolls_everything_back(lane: LaneStore, add):
    add("DE*ABC*E1")

    def fail() -> None:
        with lane.transaction() as books:
            books.find(**ALL).observe()
            books.consume_hints()
            books.save_position(Position(epoch=9))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lane.look().hinted
    assert lane.position()[0].epoch == 0


def test_a_lane_that_consumes_blocks_no_writer(pg_url: str, pg_store, lane_of):
    lane = lane_of(pg_store)
    with lane.transaction() as books:
        books.save_position(Position(epoch=1))
        with closing(psycopg.connect(pg_url, autocommit=True)) as writer:
            writer.execute("SET lock_timeout = 100")
            writer.execute("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
        books.find(**ALL).observe()
        books.consume_hints()
        with closing(psycopg.connect(pg_url, autocommit=True)) as writer:
            writer.execute("SET lock_timeout = 100")
            writer.execute("UPDATE evse_status SET status = 'y'")


def test_the_clock_is_read_after_the_lock_was_granted(pg_url: str, pg_store, lane_of):
    """P20: who waited for the lock must not believe in the time at which the wait began."""
    lane = lane_of(pg_store)
    with lane.transaction():
        pass
    seen: list[datetime] = []

    def wait() -> None:
        with lane.transaction() as books:
            seen.append(books.now)

    with closing(psycopg.connect(pg_url)) as blocker:
        blocker.execute("SELECT * FROM oicp_lane FOR UPDATE")
        thread = threading.Thread(target=wait)
        thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with closing(psycopg.connect(pg_url, autocommit=True)) as watcher:
            while watcher.execute(waiting).fetchone() == (0,):
                pass
            released = watcher.execute("SELECT clock_timestamp()").fetchone()
        blocker.rollback()
        thread.join(20)
    assert seen[0] > released[0]


def test_a_look_sees_hints_and_the_next_due_instant(lane: LaneStore, add, present):
    quiet = lane.look()
    assert (quiet.hinted, quiet.due_at) == (False, None)
    with lane.transaction() as books:
        due = books.now + timedelta(hours=1)
        books.save([present("DE*ABC*E1", books.now, due_at=due)])
    assert lane.look().due_at == due
    assert lane.look().due_at == due
    add("DE*ABC*E1")
    assert lane.look().hinted
    assert lane.look().hinted


def test_a_look_notices_that_an_instant_has_come(migrated_file, tmp_path, lane_of, present):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    path = tmp_path / "clocked.db"
    path.write_bytes(migrated_file.read_bytes())
    with open_store(f"sqlite:///{path}", clock=lambda: now) as store:
        lane = lane_of(store)
        with lane.transaction() as books:
            assert books.now == now
            books.save([present("DE*ABC*E1", now, due_at=now + timedelta(seconds=1))])
        assert lane.look().due_at == now + timedelta(seconds=1)
        now += timedelta(seconds=2)
        assert lane.look().due_at == lane.look().now - timedelta(seconds=1)
        lane.close()


def test_a_replaced_file_is_noticed_and_opened_anew(sqlite_store, lane_of, tmp_path, migrated_file):
    lane = lane_of(sqlite_store)
    lane.look()
    copy = tmp_path / "copy.db"
    copy.write_bytes(migrated_file.read_bytes())
    copy.replace(sqlite_store.path)
    with pytest.raises(StoreUnavailableError, match="replaced"):
        lane.look()
    lane.look()


def test_the_clock_can_be_read_again(lane: LaneStore):
    with lane.transaction() as books:
        before = books.now
        assert books.read_clock() > before
        assert books.now > before


def test_a_lane_recovers_when_its_connection_was_cut(pg_url: str, pg_store, lane_of):
    lane = lane_of(pg_store)
    lane.look()
    with closing(psycopg.connect(pg_url, autocommit=True)) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailableError), lane.transaction():
        pass
    with lane.transaction() as books:
        books.save_position(Position(epoch=1))
    assert lane.position()[0].epoch == 1


def test_a_prepared_statement_whose_columns_changed_is_prepared_anew(pg_url: str, pg_store, lane_of):
    lane = lane_of(pg_store)
    for _ in range(PREPARED_AFTER + 2):
        assert observe(lane) == []
    with closing(psycopg.connect(pg_url, autocommit=True)) as admin:
        admin.execute("ALTER TABLE oicp_hint ALTER COLUMN evse_key TYPE varchar(80)")
        admin.execute("INSERT INTO evse_status VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')")
    with pytest.raises(StoreUnavailableError, match="cached plan"):
        observe(lane)
    assert [each.canonical for each in observe(lane)] == ["DEABCE1"]


def test_a_failed_statement_is_never_called_committed(pg_store, lane_of):
    """P23's neighbour: PostgreSQL answers COMMIT of a failed transaction without an error."""
    lane = lane_of(pg_store)

    def careless() -> None:
        with lane.transaction() as books, contextlib.suppress(DBAPIError):
            books._connection.exec_driver_sql("SELECT 1 / 0")

    with pytest.raises(StoreUnavailableError):
        careless()
