"""A lane sees all that a decision about an EVSE needs, whatever the tables hold."""

from datetime import UTC, datetime, timedelta

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.observing import read_found

from .conftest import ALL, observe


def test_a_lane_sees_rows_windows_and_ledger_of_a_hinted_evse(lane: LaneStore, add, sql, present):
    add("DEABCE1", "Charging")
    add("DE*ABC*E1")
    sql(
        "INSERT INTO temporary_status (evse_id, status, valid_from)"
        " VALUES ('DE*abc*E1', 'mAINTENANCE', '2036-01-01 00:00:00')"
    )
    with lane.transaction() as books:
        books.save([entry := present("DE*ABC*E1", books.now)])
        (seen,) = books.find(**ALL).observe()
    assert seen.canonical == "DEABCE1"
    assert [row.evse_id for row in seen.rows] == ["DE*ABC*E1", "DEABCE1"]
    assert [row.status for row in seen.rows] == ["Available", "Charging"]
    assert [(window.kind, window.valid_from) for window in seen.windows] == [
        (TemporaryStatus.MAINTENANCE, datetime(2036, 1, 1, tzinfo=UTC))
    ]
    assert seen.entry == entry
    assert seen.changed_at is not None


def test_windows_that_are_over_are_left_out(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    for values in (
        "'2020-01-01 00:00:00', '2020-01-02 00:00:00', NULL",
        "'2020-01-01 00:00:00', NULL, '2020-01-02 00:00:00'",
        "'2020-01-01 00:00:00', NULL, '2036-01-02 00:00:00'",
        "'2036-01-01 00:00:00', '2036-01-02 00:00:00', NULL",
    ):
        sql(
            "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to, ended_at)"
            f" VALUES ('DE*ABC*E1', 'Blocked', {values})"
        )
    (seen,) = observe(lane)
    assert len(seen.windows) == 2


def test_a_boundary_at_now_is_reached_whatever_its_spelling(sqlite_store):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for text in ("2026-01-01 00:00:00", "2026-01-01 00:00:00.0", "2026-01-01 00:00:00.000000"):
        with sqlite_store.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to)"
                " VALUES ('DE*ABC*E1', 'Blocked', '2025-01-01 00:00:00', ?)",
                (text,),
            )
    with sqlite_store.reading() as connection:
        assert read_found(connection, ["DEABCE1"], now) == {}
        assert len(read_found(connection, ["DEABCE1"], now - timedelta(microseconds=1))["DEABCE1"].windows) == 3


def test_observe_keeps_room_for_due_rows_and_for_suspects(lane: LaneStore, add, present):
    for number in range(5):
        add(f"DE*ABC*E{number}")
    with lane.transaction() as books:
        ago = [books.now - timedelta(minutes=minutes) for minutes in range(20)]
        books.save([present(f"DE*ABC*E1{n}", books.now, due_at=ago[n]) for n in range(3)])
        books.save([present(f"DE*ABC*E2{n}", books.now, due_at=ago[n], failures=1) for n in range(3)])
        books.save([present("DE*ABC*E30", books.now, due_at=books.now + timedelta(seconds=60))])
        roomy = books.find(hinted=2, due=4, suspects=1).observe()
        crowded = books.find(hinted=2, due=2, suspects=1).observe()
    assert [each.canonical for each in roomy] == ["DEABCE0", "DEABCE1", "DEABCE12", "DEABCE22", "DEABCE10"]
    assert [each.canonical for each in crowded] == ["DEABCE0", "DEABCE1", "DEABCE12", "DEABCE22", "DEABCE10"]


def test_an_evse_that_came_and_went_is_seen_as_nothing(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    sql("DELETE FROM evse_status")
    (seen,) = observe(lane)
    assert (seen.rows, seen.windows, seen.entry) == ([], [], None)
    assert not lane.look().hinted


def test_odd_text_in_sqlite_raises_nothing(sqlite_store, lane_of):
    lane = lane_of(sqlite_store)
    with sqlite_store.writing() as connection:
        for evse_id in ("CAST(X'FF4445' AS TEXT)", "X'00FF'", "'DE*ABC*E1' || char(0) || 'x'", "17", "''"):
            connection.exec_driver_sql(
                f"INSERT INTO evse_status VALUES ({evse_id}, 'DE*ABC', CAST(X'FE' AS TEXT), NULL)"
            )
        connection.exec_driver_sql(
            "INSERT INTO temporary_status (evse_id, status, reason) VALUES (CAST(X'FF4445' AS TEXT), 'Blocked', X'FF')"
        )
    observe(lane)
    pages = list(lane.sweep(page=2))
    assert sum(page.scanned for page in pages) == 5
    assert sum(page.rejected for page in pages) >= 4
    list(lane.sweep())
    assert not lane.look().hinted


def test_infinity_and_far_years_in_postgresql_raise_nothing(pg_store, lane_of, sql_of):
    lane = lane_of(pg_store)
    sql_of(
        pg_store,
        "INSERT INTO evse_status VALUES ('DE*ABC*E1', 'DE*ABC', 'Available', 'infinity'),"
        " ('DE*ABC*E2', 'DE*ABC', 'Available', '0044-03-15 BC')",
    )
    for window in (
        "'-infinity', 'infinity', NULL",
        "'0044-03-15 BC', NULL, NULL",
        "'20000-01-01', NULL, NULL",
        "'2020-01-01', '20000-01-01', 'infinity'",
        "'2020-01-01', NULL, '-infinity'",
    ):
        sql_of(
            pg_store,
            "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to, ended_at)"
            f" VALUES ('DE*ABC*E1', 'Blocked', {window})",
        )
    first, second = observe(lane)
    assert first.rows[0].changed_at is None
    assert second.rows[0].changed_at is not None
    now = lane.position()[1]
    assert sorted(window.applies(now) for window in first.windows) == [False, True, True, True]
    assert next(iter(lane.sweep())).registered == 2
