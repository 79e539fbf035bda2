"""What keeps a relation from being used, or makes it slow, is found before anything starts."""

import re
from contextlib import closing

import pytest

from oicp_adapter.checks.finding import Level
from oicp_adapter.checks.relations import LARGE, relation_errors, relation_findings
from oicp_adapter.domain.errors import StoreSchemaError
from oicp_adapter.domain.statuses import Status, StatusMapping
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store.engine import PREPARED_AFTER, Store, open_store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.migrate import check
from oicp_adapter.store.relations import Relations
from oicp_adapter.store.schema import evse_status, temporary_status
from oicp_adapter.store.transactions import raw

from .conftest import GUIDE, LANE, STATUS, TEMPORARY, connected, guide, overviews


def said_of(url: str, relations: Relations) -> list[tuple[str, str]]:
    with open_store(url, relations=relations) as store:
        found = list(relation_errors(store))
        assert {each.level for each in found} <= {Level.ERROR}
        if found:
            with pytest.raises(StoreSchemaError):
                check(store)
        else:
            check(store)
        return [(each.what, each.cure) for each in found]


@pytest.mark.parametrize(
    ("made", "relation", "what", "cure"),
    [
        ("", RelationName("none"), "which is not on the search path", "capital letters"),
        ("", RelationName("none", "charging"), "not in this database", "correct the name"),
        ("CREATE SEQUENCE charging.bad", RelationName("bad", "charging"), "no table or view", "correct"),
        (
            "CREATE VIEW charging.bad AS SELECT evse_id, status FROM evse_status",
            RelationName("bad", "charging"),
            "has no column operator_id, changed_at",
            "a view that has all columns of evse_status",
        ),
        (
            "CREATE TABLE charging.bad (evse_id text, operator_id text, status charging.state, changed_at timestamptz)",
            RelationName("bad", "charging"),
            "status of",
            "CAST(status AS text) AS status",
        ),
        (
            "CREATE TABLE charging.bad (evse_id char(20), operator_id text, status text, changed_at timestamptz)",
            RelationName("bad", "charging"),
            "of type character(20), not text",
            "CAST(evse_id AS text) AS evse_id",
        ),
        (
            "CREATE TABLE charging.bad (evse_id text, operator_id text, status text, changed_at timestamp)",
            RelationName("bad", "charging"),
            "timestamp without time zone, not timestamptz",
            "changed_at AT TIME ZONE 'Europe/Berlin'",
        ),
        (
            (
                "CREATE COLLATION charging.odd (LOCALE = 'C'); CREATE TABLE charging.bad"
                " (evse_id text COLLATE charging.odd, operator_id text, status text, changed_at timestamptz);"
                # Only ICU has such collations, and not every server is built with it.
                "UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'odd'"
            ),
            RelationName("bad", "charging"),
            "the collation odd",
            'evse_id COLLATE "C" AS evse_id',
        ),
        (
            (
                "CREATE VIEW charging.bad AS SELECT evse_id, operator_id, (1 / (random() * 0)::int)::text AS status,"
                " now() AS changed_at FROM (VALUES ('E', 'O')) AS v(evse_id, operator_id)"
            ),
            RelationName("bad", "charging"),
            "division by zero",
            "mend the view",
        ),
    ],
)
def test_what_keeps_a_relation_from_being_used_is_named_with_its_cure(charging_url, made, relation, what, cure):
    if made:
        with closing(connected(charging_url)) as admin:
            admin.execute(made)
    ((said, told),) = said_of(charging_url, Relations(relation))
    assert what in said
    assert "store.status_relation" in said
    assert cure in told


def test_columns_of_a_domain_or_of_varchar_and_ids_of_any_integer_will_do(charging_url):
    with closing(connected(charging_url)) as admin:
        admin.execute("CREATE DOMAIN charging.word AS varchar(40)")
        admin.execute(
            "CREATE TABLE charging.good (evse_id charging.word, operator_id varchar(9), status text,"
            " changed_at timestamptz, more int)"
        )
        admin.execute("CREATE COLLATION charging.exact (LOCALE = 'C')")
        admin.execute("ALTER TABLE charging.good ALTER evse_id TYPE text COLLATE charging.exact")
        admin.execute(
            "CREATE VIEW charging.small AS SELECT id::smallint AS id, evse_id, status, valid_from, valid_to, reason,"
            " reference, created_by, created_at, updated_at, ended_at, ended_by FROM temporary_status"
        )
        admin.execute("INSERT INTO charging.good VALUES ('DE*ABC*E1', 'DE*ABC', 'Available', now())")
        admin.execute("INSERT INTO temporary_status (evse_id, status) VALUES ('DEABCE1', 'Reserved')")
    named = Relations(RelationName("good", "charging"), RelationName("small", "charging"))
    assert said_of(charging_url, named) == []
    with open_store(charging_url, relations=named) as store:
        assert overviews(store)["DE*ABC*E1"].resolution.effective is Status.RESERVED
        with closing(LaneStore(store, LANE, StatusMapping())) as lane:
            assert sum(page.registered for page in lane.sweep(page=1)) == 1


def test_an_instant_that_no_calendar_has_keeps_nobody_from_starting(charging_url):
    with closing(connected(charging_url)) as admin:
        admin.execute("INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available', '-infinity')")
        admin.execute("INSERT INTO charging.blockings VALUES (1, 'DE*ABC*E1', now(), 'infinity', NULL)")
    named = Relations(STATUS, TEMPORARY)
    assert said_of(charging_url, named) == []
    with open_store(charging_url, relations=named) as store:
        assert overviews(store)["DE*ABC*E1"].resolution.effective is Status.BLOCKED


def test_no_plan_is_kept_for_named_relations_which_may_have_no_index(charging_store):
    with closing(LaneStore(charging_store, LANE, StatusMapping())) as lane:
        for _ in range(2 * PREPARED_AFTER):
            lane.look()
            with lane.transaction() as books:
                books.observe_these(["DEABCE1"])
        assert raw(lane._connection).execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_in_sqlite_a_name_a_column_or_a_view_that_is_wrong_is_named(sqlite_store):
    url = f"sqlite:///{sqlite_store.path}"
    with sqlite_store.writing() as connection:
        connection.exec_driver_sql("CREATE VIEW lacking AS SELECT evse_id, STATUS FROM evse_status")
        connection.exec_driver_sql("CREATE VIEW broken AS SELECT * FROM gone")
        connection.exec_driver_sql("CREATE VIEW lost AS SELECT evse_id, operator_id, nowhere(1) AS status, changed_at"
                                   " FROM evse_status")  # fmt: skip
    for relation, what, cure in (
        (RelationName("none"), "not in this file", "correct the name"),
        (RelationName("evse_status", "charging"), "no schemas", "leave the schema out"),
        (RelationName("LACKING"), "has no column operator_id, changed_at", "NULL where you have nothing"),
        (RelationName("broken"), "no such table: main.gone", "mend the view"),
        (RelationName("lost"), "no such function", "mend the view"),
    ):
        ((said, told),) = said_of(url, Relations(relation))
        assert what in said
        assert cure in told


def test_a_timestamp_that_sqlite_cannot_compare_is_a_warning(store, sql, charge):
    if store.dialect == "postgresql":
        pytest.skip("a column of PostgreSQL has a type")
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    assert {each.level for each in relation_findings(store)} == {Level.OK}
    for number, odd in enumerate(("2026-03-29T10:00:00", "2026-03-29 10:00:00Z", "1774778400"), start=2):
        sql(f"INSERT INTO blockings VALUES ({number}, 'DE*ABC*E1', '{odd}', NULL, NULL)")
    (warning,) = [each for each in relation_findings(store) if each.level is Level.WARNING]
    assert warning.what.startswith("3 rows of")


def fill(store: Store, sql, rows: int) -> None:
    schema = "charging." if store.dialect == "postgresql" else ""
    numbers = f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})"
    into = f"INSERT INTO {schema}connectors (evse_uid, cpo, state)"
    picked = "SELECT 'DE*ABC*E' || n, 'DE*ABC', 'Available' FROM n"
    if schema:
        sql(f"{into} SELECT a, b, c::charging.state FROM ({numbers} {picked}) AS f(a, b, c)")
    else:
        sql(f"{into} {numbers} {picked}")


def test_a_large_relation_without_an_index_is_a_warning_and_the_guides_indexes_are_its_cure(store, sql, charge):
    if store.dialect == "postgresql":
        statements = "".join(guide("Indexes"))
    else:
        (key,) = re.findall(r"`(CAST\(substr.*?)`", GUIDE)
        statements = (
            f"CREATE INDEX one ON connectors ({key}); CREATE INDEX three ON blockings ({key});"
            f"CREATE INDEX two ON connectors ({key.replace('evse_uid', 'cpo')}, evse_uid)"
        )
    fill(store, sql, LARGE[evse_status])
    for number in range(LARGE[temporary_status]):
        charge.block(number, "DE*ABC*E1")
    warnings = [each for each in relation_findings(store) if each.level is Level.WARNING]
    assert ["status_relation" in each.what for each in warnings] == [True, False]
    assert all("no index finds an EVSE in" in each.what for each in warnings)
    for statement in filter(str.strip, statements.split(";")):
        sql(statement)
    assert {each.level for each in relation_findings(store)} == {Level.OK}


def test_a_sweep_of_an_unindexed_relation_ends_and_finds_every_row_once(store, sql, lane: LaneStore):
    fill(store, sql, 5000)
    pages = list(lane.sweep(page=700))
    assert sum(page.scanned for page in pages) == 5000
    assert sum(page.registered for page in pages) == 5000
    assert sum(page.registered for page in lane.sweep()) == 0
