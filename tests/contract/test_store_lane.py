"""A lane sees every change once, loses none, and blocks nobody."""

import contextlib
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping, TemporaryStatus
from oicp_adapter.store.engine import PREPARED_AFTER, open_store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.observing import read_found
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Action, Entry, Intent, Position, Presence, Record, Rejected, Rejection

ALL = {"hinted": 100, "due": 100, "suspects": 100}
INSTANTS = st.none() | st.integers(0, 630_000_000_000_000).map(
    lambda microseconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
ENTRIES = st.builds(
    Entry,
    canonical=st.sampled_from(["DEABCE1", "DEABCE2", "x'\"; --", "ä"]).map(CanonicalEvseId),
    evse_id=st.sampled_from(["DE*ABC*E1", "De*abc*E1"]).map(EvseId),
    acknowledged=st.none() | st.sampled_from(OicpStatus),
    acknowledged_at=INSTANTS,
    acknowledged_since=INSTANTS,
    asserted_at=INSTANTS,
    presence=st.sampled_from(Presence),
    doubted_at=INSTANTS,
    debt_at=INSTANTS,
    pending_since=INSTANTS,
    withdrawn_at=INSTANTS,
    held_since=INSTANTS,
    approved_at=INSTANTS,
    approved_by=st.none() | st.just("ann"),
    failures=st.integers(0, 1000),
    first_failed_at=INSTANTS,
    retry_at=INSTANTS,
    refusal=st.none() | st.just("refused"),
    refusal_detail=st.none() | st.just("no such thing"),
    refused_status=st.none() | st.sampled_from(OicpStatus),
    batch_cap=st.none() | st.integers(1, 1000),
    flipped=st.booleans(),
    failed_singly=st.integers(0, 9),
    attempt=st.integers(0, 2**40),
    due_at=INSTANTS,
)


def observe(lane: LaneStore):
    with lane.transaction() as books:
        seen = books.find(**ALL).observe()
        books.consume_hints()
    return seen


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.canonical), later=st.lists(ENTRIES, max_size=1)
)
def test_ledger_rows_come_back_as_they_were_saved(lane: LaneStore, entries: list[Entry], later: list[Entry]):
    with lane.transaction() as books:
        books.save(entries)
        books.save(later)
        expected = {entry.canonical: entry for entry in (*entries, *later)}
        assert books.entries(list(expected)) == expected
        books.forget(list(expected))
        assert books.entries(list(expected)) == {}


def test_the_position_and_the_intent_come_back_as_they_were_saved(lane: LaneStore):
    at = datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
    position = Position(
        epoch=3,
        holder="host/1",
        expires_at=at,
        attempt=7,
        silent_until=at,
        wait_until=at,
        failures=2,
        hold_reason="unauthorized",
        hold_detail="no",
        last_success_at=at,
        refused_streak=4,
        flip_first=True,
        after_suspect=True,
        doubted_before=at,
        debt_at=at,
        paced_at=at,
        full_load_at=at,
        full_load_tried_at=at,
        full_load_requested_at=at,
        full_load_requested_by="ann",
    )
    record = Record(CanonicalEvseId("DEABCE1"), EvseId("DE*ABC*E1"), OicpStatus.AVAILABLE)
    intent = Intent(3, 7, Action.UPDATE, (record,), at, at + timedelta(seconds=1), suspect=True)
    with lane.transaction() as books:
        assert (books.position, books.intent) == (Position(), None)
        books.save_position(position)
        books.write_intent(intent)
        assert (books.position, books.intent) == (position, intent)
    assert lane.position()[0] == position
    with lane.transaction() as books:
        assert (books.position, books.intent) == (position, intent)
        books.write_intent(replace(books.intent, epoch=4))  # as who distrusts the store does
    with lane.transaction() as books:
        assert books.intent == replace(intent, epoch=4)
        assert books.intent != replace(intent, epoch=4, records=())
        books.clear_intent()
    with lane.transaction() as books:
        assert books.intent is None


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


def test_consumed_hints_are_gone_and_others_stay(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    with lane.transaction() as books:
        assert len(books.find(**ALL).observe()) == 1
        books.consume_hints()
    assert not lane.look().hinted
    add("DE*ABC*E2")
    assert lane.look().hinted
    assert [seen.canonical for seen in observe(lane)] == ["DEABCE2"]


def test_hints_that_were_not_read_are_not_consumed(lane: LaneStore, add):
    for number in range(5):
        add(f"DE*ABC*E{number}")
    with lane.transaction() as books:
        assert [seen.canonical for seen in books.find(hinted=2, due=0, suspects=0).observe()] == ["DEABCE0", "DEABCE1"]
        books.consume_hints()
    assert [seen.canonical for seen in observe(lane)] == ["DEABCE2", "DEABCE3", "DEABCE4"]


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


def test_a_change_that_commits_later_with_a_smaller_id_is_not_lost(pg_url: str, pg_store, request):
    """P13: the order of ids is not the order of commits."""
    lane = _lane(pg_store, request)
    with closing(psycopg.connect(pg_url)) as early, closing(psycopg.connect(pg_url)) as late:
        insert = "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (%s, 'DE*ABC', 'x')"
        early.execute(insert, ("DE*ABC*E1",))
        late.execute(insert, ("DE*ABC*E2",))
        late.commit()
        assert [seen.canonical for seen in observe(lane)] == ["DEABCE2"]
        early.commit()
    assert [seen.canonical for seen in observe(lane)] == ["DEABCE1"]


def test_a_change_between_reading_and_consuming_keeps_its_hint(pg_store, request, sql_of):
    """P16: only what was read is consumed."""
    lane = _lane(pg_store, request)
    sql_of(pg_store, "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
    with lane.transaction() as books:
        (seen,) = books.find(**ALL).observe()
        sql_of(pg_store, "UPDATE evse_status SET status = 'y'")
        books.consume_hints()
    assert seen.rows[0].status == "x"
    (again,) = observe(lane)
    assert again.rows[0].status == "y"


def test_an_open_writer_blocks_neither_reading_nor_consuming(pg_url: str, pg_store, request, sql_of):
    """P19."""
    lane = _lane(pg_store, request)
    sql_of(pg_store, "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
    with closing(psycopg.connect(pg_url)) as writer:
        writer.execute("UPDATE evse_status SET status = 'y'")
        assert len(observe(lane)) == 1
        assert next(iter(lane.sweep())).registered == 1
        writer.commit()
    (seen,) = observe(lane)
    assert seen.rows[0].status == "y"


def test_a_lane_that_consumes_blocks_no_writer(pg_url: str, pg_store, request):
    lane = _lane(pg_store, request)
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


def test_the_clock_is_read_after_the_lock_was_granted(pg_url: str, pg_store, request):
    """P20: who waited for the lock must not believe in the time at which the wait began."""
    lane = _lane(pg_store, request)
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


def test_two_lanes_do_not_see_each_others_evses(lane: LaneStore, other_lane: LaneStore, add):
    add("DE*ABC*E1")
    add("DE*XYZ*E1", operator_id="DE*XYZ")
    assert [seen.canonical for seen in observe(lane)] == ["DEABCE1"]
    assert [seen.canonical for seen in observe(other_lane)] == ["DEXYZE1"]


def test_a_moved_evse_is_seen_by_both_lanes(lane: LaneStore, other_lane: LaneStore, add, sql, present):
    add("DE*ABC*E1")
    observe(lane)
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
    sql("UPDATE evse_status SET operator_id = 'DE*XYZ'")
    (left,) = observe(lane)
    assert left.rows == []
    assert left.entry is not None
    (joined,) = observe(other_lane)
    assert [row.operator_id for row in joined.rows] == ["DE*XYZ"]


def test_a_hint_for_the_operator_that_lost_the_evse_is_sent_on(lane: LaneStore, other_lane: LaneStore, add, sql):
    """One writer set a window while another, unseen by the first, moved the EVSE."""
    add("DE*ABC*E1", operator_id="DE*XYZ")
    observe(other_lane)
    sql("INSERT INTO oicp_hint (evse_key, operator_key) VALUES ('DEABCE1', 'DEABC')")
    observe(lane)
    assert not lane.look().hinted
    assert [seen.canonical for seen in observe(other_lane)] == ["DEABCE1"]
    assert not lane.look().hinted
    assert not other_lane.look().hinted


def test_two_lanes_with_a_spelling_each_do_not_send_a_hint_to_and_fro(lane: LaneStore, other_lane: LaneStore, add):
    add("DE*ABC*E1")
    add("DEABCE1", operator_id="DE*XYZ")
    observe(lane)
    observe(other_lane)
    assert not lane.look().hinted
    assert not other_lane.look().hinted


def test_a_hint_for_nobody_reaches_those_who_have_the_evse(lane: LaneStore, other_lane: LaneStore, add, sql, present):
    add("DE*XYZ*E1", operator_id="DE*XYZ")
    observe(other_lane)
    with other_lane.transaction() as books:
        books.save([present("DE*XYZ*E9", books.now)])
    sql("INSERT INTO oicp_hint (evse_key) VALUES ('DEXYZE1'), ('DEXYZE9'), ('NOBODY')")
    assert lane.look().hinted
    assert observe(lane) == []
    assert not lane.look().hinted
    assert [seen.canonical for seen in observe(other_lane)] == ["DEXYZE1", "DEXYZE9"]


def test_a_hint_for_nobody_is_taken_by_its_own_lane_at_once(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    observe(lane)
    sql("INSERT INTO oicp_hint (evse_key) VALUES ('DEABCE1')")
    assert [seen.canonical for seen in observe(lane)] == ["DEABCE1"]
    assert not lane.look().hinted


def test_an_evse_that_came_and_went_is_seen_as_nothing(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    sql("DELETE FROM evse_status")
    (seen,) = observe(lane)
    assert (seen.rows, seen.windows, seen.entry) == ([], [], None)
    assert not lane.look().hinted


def test_rejections_are_exactly_what_was_judged_last(lane: LaneStore, sql):
    def rejected(evse_id: str, reason: Rejection, detail: str = "why") -> Rejected:
        return Rejected(EvseId(evse_id), CanonicalEvseId("K"), "DE*ABC", reason, detail)

    stored = "SELECT evse_id, reason, since FROM oicp_rejection ORDER BY evse_id"
    with lane.transaction() as books:
        books.replace_rejections(
            ["K"], [rejected("a", Rejection.DUPLICATE), rejected("b", Rejection.MALFORMED_EVSE_ID)]
        )
    first = sql(stored)
    with lane.transaction() as books:
        books.replace_rejections(["K"], [rejected("b", Rejection.MALFORMED_EVSE_ID, "other words")])
    assert [tuple(row) for row in sql(stored)] == [tuple(first[1])]
    with lane.transaction() as books:
        books.replace_rejections(["other"], [])
    assert len(sql(stored)) == 1
    with lane.transaction() as books:
        books.replace_rejections(["K"], [])
    assert sql(stored) == []


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


def test_a_look_notices_that_an_instant_has_come(migrated_file, tmp_path, request, present):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    path = tmp_path / "clocked.db"
    path.write_bytes(migrated_file.read_bytes())
    with open_store(f"sqlite:///{path}", clock=lambda: now) as store:
        lane = _lane(store, request)
        with lane.transaction() as books:
            assert books.now == now
            books.save([present("DE*ABC*E1", now, due_at=now + timedelta(seconds=1))])
        assert lane.look().due_at == now + timedelta(seconds=1)
        now += timedelta(seconds=2)
        assert lane.look().due_at == lane.look().now - timedelta(seconds=1)
        lane.close()


def test_a_replaced_file_is_noticed_and_opened_anew(sqlite_store, request, tmp_path, migrated_file):
    lane = _lane(sqlite_store, request)
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


def test_a_lane_recovers_when_its_connection_was_cut(pg_url: str, pg_store, request):
    lane = _lane(pg_store, request)
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


def test_a_prepared_statement_whose_columns_changed_is_prepared_anew(pg_url: str, pg_store, request):
    lane = _lane(pg_store, request)
    for _ in range(PREPARED_AFTER + 2):
        assert observe(lane) == []
    with closing(psycopg.connect(pg_url, autocommit=True)) as admin:
        admin.execute("ALTER TABLE oicp_hint ALTER COLUMN evse_key TYPE varchar(80)")
        admin.execute("INSERT INTO evse_status VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')")
    with pytest.raises(StoreUnavailableError, match="cached plan"):
        observe(lane)
    assert [each.canonical for each in observe(lane)] == ["DEABCE1"]


def test_a_failed_statement_is_never_called_committed(pg_store, request):
    """P23's neighbour: PostgreSQL answers COMMIT of a failed transaction without an error."""
    lane = _lane(pg_store, request)

    def careless() -> None:
        with lane.transaction() as books, contextlib.suppress(DBAPIError):
            books._connection.exec_driver_sql("SELECT 1 / 0")

    with pytest.raises(StoreUnavailableError):
        careless()


def test_odd_text_in_sqlite_raises_nothing(sqlite_store, request):
    lane = _lane(sqlite_store, request)
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


def test_infinity_and_far_years_in_postgresql_raise_nothing(pg_store, request, sql_of):
    lane = _lane(pg_store, request)
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


def test_saving_nothing_does_nothing(lane: LaneStore):
    with lane.transaction() as books:
        books.save([])
        books.forget([])
        books.replace_rejections([], [])
        books.consume_hints()
        assert books.entries([]) == {}
        assert books.observe_these([]) == []


def test_concurrent_writers_and_a_lane_lose_nothing(store, lane: LaneStore, sql):
    writers, rounds = 4, 15
    sql(
        "INSERT INTO evse_status (evse_id, operator_id, status)"
        + " UNION ALL ".join(f" SELECT 'DE*ABC*E{n}', 'DE*ABC', 'start'" for n in range(8))
    )
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for turn in range(rounds):
                with store.writing() as connection:
                    connection.exec_driver_sql(
                        f"UPDATE evse_status SET status = 's{writer}-{turn}' WHERE evse_id = 'DE*ABC*E{turn % 8}'"
                    )
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    known: dict[str, str] = {}
    running = True
    while running:
        running = any(thread.is_alive() for thread in threads)
        known |= {seen.canonical: seen.rows[0].status for seen in observe(lane)}
    assert failures == []
    stored = sql("SELECT replace(evse_id, '*', ''), status FROM evse_status")
    assert known == {row[0]: row[1] for row in stored}


def _lane(store, request) -> LaneStore:
    lane = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
    request.addfinalizer(lane.close)
    return lane


def test_entries_of_another_lane_are_not_touched(lane: LaneStore, other_lane: LaneStore, present):
    with lane.transaction() as books:
        books.save([entry := present("DE*ABC*E1", books.now)])
    with other_lane.transaction() as books:
        books.save([replace(entry, attempt=9)])
        books.forget(["DEABCE1"])
    with lane.transaction() as books:
        assert books.entries(["DEABCE1"]) == {"DEABCE1": entry}
