"""Statements that go past SQLAlchemy, and plans that a server keeps, find their rows by index, too."""

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.store import lane_transaction, position
from oicp_adapter.store.engine import PREPARED_AFTER, Store
from oicp_adapter.store.full_load import full_load_records
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.transactions import _as_text, raw
from oicp_adapter.sync.exchange import Acknowledgement
from oicp_adapter.sync.model import Action, Intent, Position, Record

TABLES = (
    "evse_status", "temporary_status", "oicp_ledger", "oicp_hint", "oicp_rejection", "oicp_full_load",
    "l ", "s ", "o ", "w ",  # as the statements name them that are written out
)  # fmt: skip
PLAIN = "EXPLAIN (COSTS OFF) "
Plans = Sequence[str]


def work(store: Store, lane: LaneStore) -> None:
    """Do all that a lane does for a change, often enough that each statement is prepared and its plan kept."""
    key, evse_id = CanonicalEvseId("DEABCE7"), EvseId("DE*ABC*E7")
    for epoch in range(1, PREPARED_AFTER + 8):
        lane.look()
        with lane.transaction() as books:
            intent = Intent(
                epoch, epoch, Action.UPDATE, (Record(key, evse_id, OicpStatus.AVAILABLE),), books.now, books.now
            )
            books.find(hinted=50, due=50, suspects=50)
            books.steady(reassert_every=timedelta(hours=6), doubted_before=None)
            seen = books.observe()
            books.save([each.entry for each in seen if each.entry is not None])
            books.replace_rejections([each.canonical for each in seen], [])
            books.consume_hints()
            books.entries([key])
            books.write_intent(intent)
            books.save_position(Position(epoch=epoch))
        with lane.transaction() as books:
            again = books.now + timedelta(hours=6)
            books.acknowledge(Acknowledgement(intent, {}, books.now, None, again, again))
            books.clear_intent()
        with lane.writing() as connection:
            connection.exec_driver_sql("INSERT INTO oicp_hint (evse_key, operator_key) VALUES ('DEABCE7', 'DEABC')")
    list(full_load_records(store, "DEABC"))


def fill(sql: Callable[..., object], dialect: str) -> None:
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)"
    for table, columns, values in (
        ("evse_status", "evse_id, operator_id, status", "'DE*ABC*E' || n, 'DE*ABC', 'Available'"),
        ("temporary_status", "evse_id, status", "'DE*ABC*E' || n, 'Blocked'"),
        ("oicp_full_load", "lane, canonical, evse_id, status", "'DEABC', 'DEABCE' || n, 'DE*ABC*E' || n, 'Available'"),
    ):
        into, rows = f"INSERT INTO {table} ({columns})", f"SELECT {values} FROM n"
        sql(f"{numbers} {into} {rows}" if dialect == "postgresql" else f"{into} {numbers} {rows}")


def scans(plans: Plans) -> Plans:
    """Return the lines that walk a table, or a whole fleet by its operator, or make an index for one statement."""
    walked = tuple(f"SCAN {table}" for table in TABLES)
    words = [*(f"Seq Scan on {table}" for table in TABLES), "AUTOMATIC", "oicp_evse_status_operator (<expr>=?)"]
    return [line for line in plans if line.startswith(walked) or any(each in line for each in words)]


def test_no_statement_of_sqlites_driver_reads_a_table_whole(sqlite_store, sql_of):
    said: list[str] = []
    with closing(LaneStore(sqlite_store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())) as lane:
        fill(lambda text: sql_of(sqlite_store, text), "sqlite")
        list(lane.sweep())
        raw(lane._connection).set_trace_callback(said.append)
        work(sqlite_store, lane)
        raw(lane._connection).set_trace_callback(None)
        plans = [
            row[-1]
            for text in sorted({each for each in said if each.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}})
            for row in raw(lane._connection).execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
        ]
    assert any("oicp_ledger" in line or "SEARCH l " in line for line in plans)
    assert scans(plans) == []


def test_no_plan_that_postgresql_kept_from_an_empty_table_reads_it_whole_when_it_is_full(pg_store, sql_of):
    with closing(LaneStore(pg_store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())) as lane:
        work(pg_store, lane)
        driver = raw(lane._connection)
        kept = "SELECT name, statement, cardinality(parameter_types), generic_plans FROM pg_prepared_statements"
        found = driver.execute(kept).fetchall()
        fill(lambda text: sql_of(pg_store, text), "postgresql")
        driver.execute("SET plan_cache_mode = force_generic_plan")
        told: dict[str, Plans] = {}
        for name, statement, parameters, _ in found:
            if "FROM" in statement:
                nothing = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
                told[statement] = [row[0] for row in driver.execute(f"{PLAIN}EXECUTE {name}{nothing}").fetchall()]
    assert len(told) >= 6, "the look, hints, steady, observe, entries"
    assert any(generic for *_, generic in found), "some plans are kept"
    assert {statement: scans(plans) for statement, plans in told.items() if scans(plans)} == {}


def test_what_goes_to_postgresql_in_messages_of_several_reads_no_table_whole(pg_store, sql_of, monkeypatch):
    plans: list[str] = []
    usual = lane_transaction.commit_with

    def explaining(connection, statements):
        for each in statements:
            statement, values = _as_text(*each)
            plans.extend(row[0] for row in raw(connection).execute(PLAIN + statement, values).fetchall())
        usual(connection, statements)

    monkeypatch.setattr(lane_transaction, "commit_with", explaining)
    with closing(LaneStore(pg_store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())) as lane:
        fill(lambda text: sql_of(pg_store, text), "postgresql")
        list(lane.sweep())
        raw(lane._connection).prepare_threshold = None  # as behind a pooler, where a session has no settings of ours
        raw(lane._connection).execute("RESET ALL")
        work(pg_store, lane)
        with lane.writing_after(position.opening("DEABC")) as (connection, _):
            for statement in position.opening("DEABC"):
                plans.extend(row[0] for row in raw(connection).execute(PLAIN + statement).fetchall())
    assert len(plans) > 20
    assert [line for line in plans if "Seq Scan" in line] == []
