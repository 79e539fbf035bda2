"""Every change that matters leaves a hint, and no writer is harmed by that."""

import threading
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.store.engine import Store


@pytest.fixture
def hints(sql):
    """Take the hints that are there: pairs of EVSE and operator, each once, in order."""

    def take():
        rows = sql("SELECT DISTINCT evse_key, operator_key FROM oicp_hint")
        sql("DELETE FROM oicp_hint")
        return sorted((key, operator or "-") for key, operator in rows)

    return take


def test_an_insert_hints(add, hints):
    add("de*abc*E1")
    assert hints() == [("DEABCE1", "DEABC")]


def test_an_update_hints_only_when_something_changed(add, hints, sql):
    add("DE*ABC*E1")
    hints()
    sql("UPDATE evse_status SET status = status, operator_id = operator_id")
    sql("UPDATE evse_status SET changed_at = '2026-01-01 00:00:00'")
    assert hints() == []
    sql("UPDATE evse_status SET status = 'Charging'")
    assert hints() == [("DEABCE1", "DEABC")]


def test_an_upsert_that_changes_nothing_is_at_most_one_hint(add, hints, sql):
    add("DE*ABC*E1")
    hints()
    sql(
        "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'Charging')"
        " ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status"
    )
    assert hints() == [("DEABCE1", "DEABC")]


def test_a_moved_evse_hints_both_operators(add, hints, sql):
    add("DE*ABC*E1")
    hints()
    sql("UPDATE evse_status SET operator_id = 'DE*XYZ'")
    assert hints() == [("DEABCE1", "DEABC"), ("DEABCE1", "DEXYZ")]


def test_a_changed_evse_id_hints_both_keys(add, hints, sql):
    add("DE*ABC*E1")
    hints()
    sql("UPDATE evse_status SET evse_id = 'DE*ABC*E2'")
    assert hints() == [("DEABCE1", "DEABC"), ("DEABCE2", "DEABC")]


def test_a_deletion_hints(add, hints, sql):
    add("DE*ABC*E1")
    hints()
    sql("DELETE FROM evse_status")
    assert hints() == [("DEABCE1", "DEABC")]


def test_a_window_hints_the_operator_of_its_evse_whatever_the_spelling(add, hints, sql):
    add("DE*ABC*E1")
    hints()
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DEABCE1', 'Blocked')")
    assert hints() == [("DEABCE1", "DEABC")]
    sql("UPDATE temporary_status SET ended_at = '2036-01-01 00:00:00'")
    assert hints() == [("DEABCE1", "DEABC")]
    sql("UPDATE temporary_status SET reason = 'wet paint', updated_at = '2036-01-01 00:00:00'")
    assert hints() == []
    sql("UPDATE temporary_status SET evse_id = 'DE*ABC*E2'")
    assert hints() == [("DEABCE1", "DEABC"), ("DEABCE2", "-")]
    sql("DELETE FROM temporary_status")
    assert hints() == [("DEABCE2", "-")]


def test_a_window_of_an_evse_with_two_operators_hints_both(add, hints, sql):
    add("DE*ABC*E1")
    add("DEABCE1", operator_id="DE*XYZ")
    hints()
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E1', 'Blocked')")
    assert hints() == [("DEABCE1", "DEABC"), ("DEABCE1", "DEXYZ")]


def test_a_bulk_update_hints_each_changed_evse(add, hints, sql):
    for number in range(20):
        add(f"DE*ABC*E{number}", "Available" if number % 2 else "Charging")
    hints()
    sql("UPDATE evse_status SET status = 'Charging'")
    assert len(hints()) == 10


def test_the_id_of_a_hint_is_never_used_again(add, sql):
    add("DE*ABC*E1")
    ((first,),) = sql("SELECT max(id) FROM oicp_hint")
    sql("DELETE FROM oicp_hint")
    add("DE*ABC*E2")
    ((second,),) = sql("SELECT max(id) FROM oicp_hint")
    assert second > first


def test_replace_hints_the_operator_that_lost_the_evse(sqlite_store: Store):
    with sqlite_store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO evse_status VALUES ('DE*ABC*E1', 'DE*ABC', 'Available', NULL)")
        connection.exec_driver_sql("DELETE FROM oicp_hint")
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO evse_status (evse_id, operator_id, status)"
            " VALUES ('DE*ABC*E1', 'DE*XYZ', 'Charging')"
        )
        found = connection.exec_driver_sql("SELECT DISTINCT operator_key FROM oicp_hint ORDER BY 1").scalars().all()
    assert found == ["DEABC", "DEXYZ"]


def test_replace_of_a_window_hints_the_evse_that_lost_it(sqlite_store: Store):
    with sqlite_store.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO temporary_status (id, evse_id, status) VALUES (7, 'DE*ABC*E1', 'Blocked')"
        )
        connection.exec_driver_sql("DELETE FROM oicp_hint")
        connection.exec_driver_sql(
            "REPLACE INTO temporary_status (id, evse_id, status) VALUES (7, 'DE*ABC*E2', 'Blocked')"
        )
        found = connection.exec_driver_sql("SELECT DISTINCT evse_key FROM oicp_hint ORDER BY 1").scalars().all()
    assert found == ["DEABCE1", "DEABCE2"]


def test_a_writer_that_may_write_only_the_shared_tables_leaves_hints(pg_store: Store, pg_url: str):
    role = make_url(pg_url).database
    with pg_store.writing() as connection:
        connection.exec_driver_sql(f"CREATE ROLE writer_{role} LOGIN")
        connection.exec_driver_sql(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON evse_status, temporary_status, evse_location TO writer_{role}"
        )
    with closing(psycopg.connect(pg_url, user=f"writer_{role}", autocommit=True)) as writer:
        writer.execute("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
        writer.execute("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E1', 'Blocked')")
        writer.execute("UPDATE evse_status SET status = 'y'")
        writer.execute("DELETE FROM evse_status")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute("SELECT * FROM oicp_hint")
        # A table of the same name in the writer's own temporary schema must not catch the hints.
        writer.execute("CREATE TEMPORARY TABLE oicp_hint (evse_key text, operator_key text)")
        writer.execute("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E2', 'DE*ABC', 'x')")
    with pg_store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM oicp_hint").scalar_one() == 5
    with pg_store.writing() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY writer_{role}")
        connection.exec_driver_sql(f"DROP ROLE writer_{role}")


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE oicp_hint",
        "ALTER TABLE oicp_hint ADD COLUMN surprise int NOT NULL",
        "ALTER TABLE oicp_hint ADD CONSTRAINT nothing CHECK (false)",
    ],
)
def test_a_broken_hint_table_fails_no_writer(pg_store: Store, sql_of, damage: str):
    sql_of(pg_store, damage)
    sql_of(pg_store, "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
    sql_of(pg_store, "INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E1', 'Blocked')")
    sql_of(pg_store, "UPDATE evse_status SET status = 'y'")
    assert sql_of(pg_store, "SELECT status FROM evse_status") == [("y",)]


def test_a_cancelled_writer_stays_cancelled(pg_url: str, pg_store: Store):
    with (
        closing(psycopg.connect(pg_url)) as blocker,
        closing(psycopg.connect(pg_url, autocommit=True)) as writer,
    ):
        blocker.execute("LOCK TABLE oicp_hint IN ACCESS EXCLUSIVE MODE")
        writer.execute("SET statement_timeout = 100")
        with pytest.raises(psycopg.errors.QueryCanceled):
            writer.execute("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('E', 'DE*ABC', 'x')")
        blocker.rollback()


def test_writers_in_opposite_order_deadlock_no_more_than_without_triggers(pg_url: str):
    """T1 writes EVSE 1 then a window of 2, T2 writes EVSE 2 then a window of 1: disjoint rows, so both must commit."""
    with closing(psycopg.connect(pg_url, autocommit=True)) as setup:
        setup.execute(
            "INSERT INTO evse_status (evse_id, operator_id, status) SELECT 'DE*ABC*E' || n, 'DE*ABC', 'x'"
            " FROM generate_series(1, 2) n"
        )
    meet = threading.Barrier(2, timeout=10)
    failures: list[BaseException] = []

    def write(mine: int, other: int) -> None:
        try:
            with closing(psycopg.connect(pg_url)) as connection:
                connection.execute("UPDATE evse_status SET status = 'y' WHERE evse_id = %s", (f"DE*ABC*E{mine}",))
                meet.wait()
                connection.execute(
                    "INSERT INTO temporary_status (evse_id, status) VALUES (%s, 'Blocked')", (f"DE*ABC*E{other}",)
                )
                connection.commit()
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
