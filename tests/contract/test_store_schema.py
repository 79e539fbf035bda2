"""The tables are as the contract has them, and refuse what it refuses."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError, StatementError

from oicp_adapter.domain.errors import StoreSchemaError
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.health import missing_triggers
from oicp_adapter.store.migrate import SchemaState, check, require_current, upgrade
from oicp_adapter.store.schema import metadata

GOOD = (
    "2026-01-31 23:59:59",
    "2026-01-31 23:59:59.5",
    "2026-01-31 23:59:59.123456",
    "2024-02-29 00:00:00",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
)
BAD = (
    "2026-01-31T23:59:59",
    "2026-01-31 23:59:59Z",
    "2026-01-31 23:59:59+00:00",
    "2026-02-31 00:00:00",
    "2026-02-29 00:00:00",
    "2026-13-01 00:00:00",
    "2026-01-31 25:00:00",
    "2026-01-31 24:00:00",
    "2026-01-31 23:60:00",
    "2026-01-31 23:59:59.",
    "2026-01-31 23:59:59.1234567",
    "2026-01-31 23:59:59.12a",
    "2026-01-31 23:59:59,5",
    "2026-01-31 23:59",
    "2026-01-31",
    " 2026-01-31 23:59:59",
    "2026-1-31 23:59:59",
    "0000-01-01 00:00:00",
    "-001-01-01 00:00:00",
    "2026-01-31 23:59:59\0",
    "now",
    "",
    "2461072.5",
)


def test_a_second_upgrade_changes_nothing(store: Store):
    assert upgrade(store) == SchemaState("0004", "0004")
    assert check(store).is_current


def test_a_store_that_was_never_migrated_says_so(tmp_path: Path):
    (tmp_path / "empty.db").touch()
    with open_store(f"sqlite:///{tmp_path / 'empty.db'}") as empty:
        assert check(empty) == SchemaState(None, "0004")


def test_the_migrations_make_what_the_schema_describes(store: Store):
    with store.reading() as connection:
        found = inspect(connection)
        for table in metadata.tables.values():
            columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
            assert columns == {column.name: bool(column.nullable) for column in table.c}
            assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]


def test_a_store_of_a_later_version_is_left_alone(store: Store, sql):
    sql("UPDATE oicp_schema_version SET version_num = '9999'")
    sql("UPDATE oicp_schema_support SET oldest = '9998'")
    assert not check(store).is_current
    with pytest.raises(StoreSchemaError, match="newer program"):
        upgrade(store)


def test_a_store_of_a_later_version_that_only_grew_is_worked_with_and_left_alone(store: Store, sql):
    sql("UPDATE oicp_schema_version SET version_num = '9999'")
    assert check(store) == SchemaState("9999", "0004", "0004")
    assert check(store).is_current
    assert upgrade(store).current == "9999"


@pytest.mark.parametrize("table", ["evse_status", "evse_location", "oicp_ledger", "oicp_schema_support"])
def test_a_table_that_is_missing_is_named_and_no_upgrade_says_that_all_is_well(store: Store, sql, table: str):
    sql(f"ALTER TABLE {table} RENAME TO elsewhere")
    for look in (check, require_current, upgrade):
        with pytest.raises(StoreSchemaError, match=rf"has version 0004, but lacks {table}: give it its name back"):
            look(store)
    sql(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert upgrade(store).is_current
    assert require_current(store).is_current


def test_hints_that_are_missing_are_made_anew_by_an_upgrade_as_the_cure_says(store: Store, sql):
    sql("DROP TABLE oicp_hint")
    with pytest.raises(StoreSchemaError, match=r"but lacks oicp_hint: run `oicp-adapter db upgrade`"):
        require_current(store)
    upgrade(store)
    assert require_current(store).is_current


def test_two_upgrades_at_once_both_succeed(server_url: str, tmp_path: Path):
    admin = create_engine(server_url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE racing"))
    admin.dispose()
    for url in (f"sqlite:///{tmp_path / 'racing.db'}", server_url.replace("/postgres?", "/racing?")):
        states: list[SchemaState] = []

        def race(url: str = url, states: list[SchemaState] = states) -> None:
            with open_store(url) as store:
                states.append(upgrade(store))

        threads = [threading.Thread(target=race) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [state.is_current for state in states] == [True] * 3


def test_an_upgrade_leaves_tables_that_others_made(tmp_path: Path):
    (tmp_path / "own.db").touch()
    with open_store(f"sqlite:///{tmp_path / 'own.db'}") as own:
        with own.writing() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE evse_status (evse_id TEXT PRIMARY KEY, operator_id, status, changed_at)"
            )
            connection.exec_driver_sql("INSERT INTO evse_status VALUES ('DE*ABC*E1', 'DE*ABC', 'Available', NULL)")
        assert upgrade(own).is_current
        with own.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM evse_status").scalar_one() == 1


def test_a_view_in_place_of_a_table_is_left_without_triggers(tmp_path: Path):
    (tmp_path / "view.db").touch()
    with open_store(f"sqlite:///{tmp_path / 'view.db'}") as own:
        with own.writing() as connection:
            connection.exec_driver_sql(
                "CREATE VIEW evse_status AS SELECT 'DE*ABC*E1' AS evse_id, 'DE*ABC' AS operator_id,"
                " 'Available' AS status, NULL AS changed_at"
            )
        assert upgrade(own).is_current
        assert missing_triggers(own)


@pytest.mark.parametrize("instant", GOOD)
def test_sqlite_takes_an_instant_as_the_contract_writes_it(sqlite_store: Store, instant: str):
    with sqlite_store.writing() as connection:
        connection.execute(
            text("INSERT INTO evse_status VALUES ('DE*ABC*E1', 'DE*ABC', 'Available', :at)"), {"at": instant}
        )


@pytest.mark.parametrize("instant", BAD)
@pytest.mark.parametrize("column", ["valid_from", "valid_to", "ended_at", "created_at", "updated_at"])
def test_sqlite_refuses_what_is_no_instant(sqlite_store: Store, column: str, instant: str):
    with pytest.raises((IntegrityError, StatementError)), sqlite_store.writing() as connection:
        connection.execute(
            text(f"INSERT INTO temporary_status (evse_id, status, {column}) VALUES ('E', 'Blocked', :at)"),
            {"at": instant},
        )


def test_a_window_that_ends_before_or_when_it_starts_is_refused(store: Store, sql):
    for end in ("2026-01-01 00:00:00", "2026-01-01 00:00:00.0", "2025-12-31 23:59:59"):
        with pytest.raises(IntegrityError):
            sql(
                "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to)"
                f" VALUES ('E', 'Blocked', '2026-01-01 00:00:00', '{end}')"
            )


def test_a_temporary_status_is_one_of_four_words_in_any_case(store: Store, sql):
    for word in ("Maintenance", "COMMISSIONING", "blocked", "rEsErVeD"):
        sql("INSERT INTO temporary_status (evse_id, status) VALUES ('E', :word)", {"word": word})
    for word in ("Available", "", "Maintenance ", "Charging"):
        with pytest.raises(IntegrityError):
            sql("INSERT INTO temporary_status (evse_id, status) VALUES ('E', :word)", {"word": word})


def test_timestamps_default_to_now(store: Store, sql, lane):
    sql("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')")
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E1', 'Blocked')")
    with lane.transaction() as books:
        (seen,) = books.observe_these(["DEABCE1"])
        for instant in (seen.rows[0].changed_at, seen.windows[0].valid_from):
            assert abs((books.now - instant).total_seconds()) < 30


def test_no_trigger_is_missing_after_an_upgrade(store: Store):
    assert missing_triggers(store) == []


def test_a_disabled_trigger_is_named(pg_store: Store):
    with pg_store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE evse_status DISABLE TRIGGER oicp_hint_status_update")
    assert missing_triggers(pg_store) == ["oicp_hint_status_update"]


def test_sqlite_connections_write_durably(sqlite_store: Store):
    with sqlite_store.writing() as connection:
        full = 2
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == full
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10_000
