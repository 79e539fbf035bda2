"""What is done for each change finds its rows by index, also on tables that were just filled and never analysed."""

from dataclasses import replace

import pytest
from sqlalchemy import event

from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.evses import evse_overviews
from oicp_adapter.store.hints import deletion
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.overview import lane_backlog
from oicp_adapter.store.position import intent_deletion, position_write
from oicp_adapter.sync.model import Position, Presence

SHARED = ("evse_status", "temporary_status")
OWN = ("oicp_ledger", "oicp_hint")


@pytest.fixture
def plans(store, lane: LaneStore, sql):
    """Fill the tables, then note the plan of every statement of the lane's connection."""
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)"
    fill = "INSERT INTO evse_status (evse_id, operator_id, status)"
    rows = "SELECT 'DE*ABC*E' || n, 'DE*ABC', 'x' FROM n"
    sql(f"{numbers} {fill} {rows}" if store.dialect == "postgresql" else f"{fill} {numbers} {rows}")
    sql("INSERT INTO temporary_status (evse_id, status) SELECT evse_id, 'Blocked' FROM evse_status")
    list(lane.sweep())
    noted: list[str] = []
    explain = "EXPLAIN QUERY PLAN " if store.dialect == "sqlite" else "EXPLAIN "

    def note(connection, _cursor, statement, parameters, _context, many):
        words = statement.split()[0]
        if words in ("SELECT", "DELETE", "UPDATE") and not many and "pg_catalog" not in statement:
            driver = connection.connection.dbapi_connection
            noted.extend(row[-1].strip() for row in driver.execute(explain + statement, parameters).fetchall())

    engines = {store._own, store._pooled}
    for engine in engines:
        event.listen(engine, "after_cursor_execute", note)
    yield noted
    for engine in engines:
        event.remove(engine, "after_cursor_execute", note)


def scans(plans: list[str], tables: tuple[str, ...]) -> list[str]:
    words = [f"SCAN {table}" for table in tables] + [f"Seq Scan on {table}" for table in tables]
    return [line for line in plans if any(word in line for word in words)]


def test_looking_at_changes_scans_no_table(lane: LaneStore, plans):
    with lane.transaction() as books:
        seen = books.find(hinted=50, due=50, suspects=50).observe()
        books.save([each.entry for each in seen])
        books.replace_rejections([each.canonical for each in seen], [])
        books.consume_hints()
        books.entries([each.canonical for each in seen])
    assert len(seen) > 50
    assert plans
    assert scans(plans, SHARED + OWN) == []


def test_what_goes_with_the_commit_scans_no_table(lane: LaneStore, plans):
    plans.clear()
    with lane.writing() as connection:
        for ending in (deletion(range(50)), position_write("DEABC", Position(epoch=1)), intent_deletion("DEABC")):
            connection.execute(*ending)
    assert plans
    assert scans(plans, (*OWN, "oicp_lane", "oicp_intent")) == []


def test_a_page_of_a_sweep_scans_no_table(lane: LaneStore, plans):
    pages = lane.sweep(page=100)
    for _ in range(3):
        next(pages)
    pages.close()
    assert plans
    assert scans(plans, SHARED) == []


def test_a_page_of_the_ledger_looks_its_evses_up_by_key(lane: LaneStore, plans):
    list(lane.sweep(page=2000))
    assert not any("oicp_evse_status_operator" in line and "Filter" in line for line in plans)
    assert scans(plans, ("evse_status",)) == []


def test_showing_single_evses_scans_no_shared_table(store, lane: LaneStore, plans):
    assert len(list(evse_overviews(store, [lane.scope], StatusMapping(), ["DE*ABC*E7"]))) == 1
    assert scans(plans, SHARED) == []


def test_showing_a_whole_fleet_sorts_nothing_and_reads_each_page_by_its_key(store, lane: LaneStore, plans):
    with lane.transaction() as books:
        seen = books.observe_these([f"DEABCE{number}" for number in range(1, 3000)])
        books.save([replace(each.entry, presence=Presence.PRESENT, attempt=1) for each in seen])
    plans.clear()
    assert len(list(evse_overviews(store, [lane.scope], StatusMapping()))) == 3000
    assert any("oicp_ledger" in line for line in plans)
    assert [line for line in plans if "Sort" in line or "TEMP B-TREE FOR ORDER" in line] == []
    assert scans(plans, ("oicp_ledger",)) == []


def test_what_is_open_is_found_by_its_index_and_not_by_walking_the_fleet(store, lane: LaneStore, plans):
    list(lane.sweep(page=2000))
    plans.clear()
    assert lane_backlog(store, lane.scope).quarantined == 0
    with lane.transaction() as books:
        books.clean()
    assert any("oicp_ledger_unsettled" in line for line in plans)
    assert scans(plans, SHARED) == []
    assert not [line for line in plans if "USING PRIMARY KEY (lane=?)" in line or "Seq Scan on oicp_ledger" in line]
