"""A lane sees every change once, loses none, and takes no other lane's."""

import threading
from contextlib import closing

import psycopg

from oicp_adapter.store.lanes import LaneStore

from .conftest import ALL, observe


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


def test_a_change_that_commits_later_with_a_smaller_id_is_not_lost(pg_url: str, pg_store, lane_of):
    """P13: the order of ids is not the order of commits."""
    lane = lane_of(pg_store)
    with closing(psycopg.connect(pg_url)) as early, closing(psycopg.connect(pg_url)) as late:
        insert = "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (%s, 'DE*ABC', 'x')"
        early.execute(insert, ("DE*ABC*E1",))
        late.execute(insert, ("DE*ABC*E2",))
        late.commit()
        assert [seen.canonical for seen in observe(lane)] == ["DEABCE2"]
        early.commit()
    assert [seen.canonical for seen in observe(lane)] == ["DEABCE1"]


def test_a_change_between_reading_and_consuming_keeps_its_hint(pg_store, lane_of, sql_of):
    """P16: only what was read is consumed."""
    lane = lane_of(pg_store)
    sql_of(pg_store, "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
    with lane.transaction() as books:
        (seen,) = books.find(**ALL).observe()
        sql_of(pg_store, "UPDATE evse_status SET status = 'y'")
        books.consume_hints()
    assert seen.rows[0].status == "x"
    (again,) = observe(lane)
    assert again.rows[0].status == "y"


def test_an_open_writer_blocks_neither_reading_nor_consuming(pg_url: str, pg_store, lane_of, sql_of):
    """P19."""
    lane = lane_of(pg_store)
    sql_of(pg_store, "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')")
    with closing(psycopg.connect(pg_url)) as writer:
        writer.execute("UPDATE evse_status SET status = 'y'")
        assert len(observe(lane)) == 1
        assert next(iter(lane.sweep())).registered == 1
        writer.commit()
    (seen,) = observe(lane)
    assert seen.rows[0].status == "y"


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
