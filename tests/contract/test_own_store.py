"""Relations of somebody else's stand in the place of the shared tables; docs/own-store.md is run as it stands there."""

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import alias, delete, insert, make_url, select, text, update
from starlette.applications import Starlette

from oicp_adapter.api.app import api_app
from oicp_adapter.checks.finding import Level
from oicp_adapter.checks.relations import LARGE, relation_errors, relation_findings
from oicp_adapter.control.access import NewToken, create_token, session, sign_in
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.listing import count_windows, list_windows
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.control.window_model import WindowRequest
from oicp_adapter.control.windows import set_window
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreSchemaError
from oicp_adapter.domain.statuses import OicpStatus, Status, StatusMapping, TemporaryStatus
from oicp_adapter.page.gate import COOKIE
from oicp_adapter.page.router import page_router
from oicp_adapter.serving import BackgroundServer
from oicp_adapter.settings import Settings, StoreSettings
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store import sweep
from oicp_adapter.store.engine import PREPARED_AFTER, Store, open_store
from oicp_adapter.store.evses import evse_overviews
from oicp_adapter.store.fleet_import import import_fleet
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.migrate import check, upgrade
from oicp_adapter.store.operations import adopt_store, request_full_load
from oicp_adapter.store.overview import lane_census, unmapped_words, windows_of_no_evse
from oicp_adapter.store.places import places_of
from oicp_adapter.store.relations import Relations, quoted, source_of
from oicp_adapter.store.schema import evse_status, temporary_status
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.temporary import NewWindow, find_window, insert_windows, list_temporary, update_window
from oicp_adapter.store.transactions import raw
from oicp_adapter.store.windows import WindowFilter, WindowState
from oicp_adapter.sync.model import Policy

GUIDE = (Path(__file__).parents[2] / "docs" / "own-store.md").read_text(encoding="utf-8")
NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
ANN = Actor("ann", None, EVERYTHING)
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used; to read the system's authorities takes longer than most tests."""

HUB = "https://hub.example/api/oicp"
LANE = LaneScope("DEABC", frozenset({"DEABC"}))
STATUS, TEMPORARY = RelationName("EVSE view", "charging"), RelationName("blockings_for_oicp", "charging")

PG_TABLES = """
CREATE SCHEMA charging;
CREATE TYPE charging.state AS ENUM ('Available', 'Charging', 'Faulted', 'Party');
CREATE TABLE charging.connectors (evse_uid text, cpo text, state charging.state, state_since timestamptz DEFAULT now());
CREATE TABLE charging.blockings (number bigint, evse_uid text, begins timestamptz, ends timestamptz, note text);
"""
SQLITE = """
CREATE TABLE connectors (evse_uid TEXT, cpo TEXT, state TEXT, state_since TEXT DEFAULT '2026-03-29 10:00:00');
CREATE TABLE blockings (number INTEGER, evse_uid TEXT, begins TEXT, ends TEXT, note TEXT);
CREATE VIEW "EVSE view" AS SELECT evse_uid AS evse_id, cpo AS operator_id, state AS status, state_since AS changed_at
    FROM connectors;
CREATE VIEW blockings_for_oicp AS SELECT number AS id, evse_uid AS evse_id, 'Blocked' AS status, begins AS valid_from,
    ends AS valid_to, note AS reason, NULL AS reference, NULL AS created_by, NULL AS created_at, NULL AS updated_at,
    NULL AS ended_at, NULL AS ended_by FROM blockings;
"""


def guide(heading: str) -> list[str]:
    """Return the SQL of a chapter."""
    (chapter,) = re.findall(rf"^## \d\. {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sql\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)


def connected(url: str, role: str | None = None) -> psycopg.Connection:
    named = make_url(url) if role is None else make_url(url).set(username=role)
    return psycopg.connect(named.render_as_string(hide_password=False), autocommit=True)


@pytest.fixture
def charging_url(pg_url: str) -> str:
    """A database in which somebody's own schema has what the guide reads."""
    with closing(connected(pg_url)) as admin:
        admin.execute(PG_TABLES)
        for block in guide("Views with our columns"):
            admin.execute(block)
    return pg_url


@pytest.fixture
def charging_store(charging_url: str) -> Iterator[Store]:
    with open_store(charging_url, relations=Relations(STATUS, TEMPORARY)) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store in which both shared tables are somebody's views, once of each kind."""
    if request.param == "postgresql":
        yield request.getfixturevalue("charging_store")
        return
    request.getfixturevalue("sqlite_store")
    path = request.getfixturevalue("tmp_path") / "store.db"
    named = Relations(RelationName(STATUS.name), RelationName(TEMPORARY.name))
    with open_store(f"sqlite:///{path}", relations=named) as opened:
        with opened.writing() as connection:
            for statement in filter(str.strip, SQLITE.split(";")):
                connection.exec_driver_sql(statement)
        yield opened


@pytest.fixture
def charge(store: Store, sql):
    """Write what the customer's own system would."""
    schema = "charging." if store.dialect == "postgresql" else ""

    def connector(evse: str | None, state: str | None = "Available", cpo: str | None = "DE*ABC") -> None:
        cast = "CAST(:state AS charging.state)" if schema else ":state"
        sql(
            f"INSERT INTO {schema}connectors (evse_uid, cpo, state) VALUES (:evse, :cpo, {cast})",
            {"evse": evse, "state": state, "cpo": cpo},
        )

    def blocking(number: int, evse: str | None, begins: str | None = "2026-01-01 00:00:00+00", ends: str | None = None):
        instants = [None if each is None else each if schema else each[:19] for each in (begins, ends)]
        kind = "timestamptz" if schema else "text"
        sql(
            f"INSERT INTO {schema}blockings"
            f" VALUES (:number, :evse, CAST(:begins AS {kind}), CAST(:ends AS {kind}), 'a car')",
            {"number": number, "evse": evse, "begins": instants[0], "ends": instants[1]},
        )

    connector.block = blocking
    return connector


def overviews(store: Store):
    return {each.evse_id: each for each in evse_overviews(store, [LANE], StatusMapping())}


def test_all_readers_see_the_customers_rows_and_none_of_our_own_tables(store, sql, charge):
    sql("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E99', 'DE*ABC', 'Available')")
    charge("DE*ABC*E1", "Charging")
    charge("DE*ABC*E2", "Party")
    charge("DE*XYZ*E1", cpo="DE*XYZ")
    charge.block(7, "DEABCE1")
    charge.block(8, "DE*ABC*E77")
    shown = overviews(store)
    assert {key: each.technical for key, each in shown.items()} == {
        "DE*ABC*E1": "Charging",
        "DE*ABC*E2": "Party",
        "DE*XYZ*E1": "Available",
    }
    assert shown["DE*ABC*E1"].resolution.effective is Status.BLOCKED
    assert [each.text for each in unmapped_words(store)] == ["Party"]
    assert windows_of_no_evse(store, examples=3) == (1, ["DE*ABC*E77"])
    assert lane_census(store, LANE).windows[TemporaryStatus.BLOCKED, "active"] == 1
    assert [(each.window.id, each.reason) for each in list_temporary(store)] == [(7, "a car"), (8, "a car")]
    with store.reading() as connection:
        assert set(places_of(connection, ["DEABCE1", "DEABCE99"])) == {"DEABCE1"}


def test_without_any_hint_a_sweep_finds_what_changed_and_what_vanished(store, sql, lane: LaneStore, charge, present):
    for number in range(1, 6):
        charge(f"DE*ABC*E{number}")
    assert sum(page.registered for page in lane.sweep(page=2)) == 5
    with lane.transaction() as books:
        books.save([present(f"DE*ABC*E{number}", books.now) for number in range(1, 6)])
    assert sum(page.differing for page in lane.sweep(page=2)) == 0
    schema = "charging." if store.dialect == "postgresql" else ""
    sql(f"UPDATE {schema}connectors SET state = 'Faulted' WHERE evse_uid = 'DE*ABC*E2'")
    sql(f"DELETE FROM {schema}connectors WHERE evse_uid = 'DE*ABC*E4'")
    charge.block(1, "de*abc*e5")
    list(lane.sweep(page=2))
    due = sql("SELECT canonical FROM oicp_ledger WHERE pending_since IS NOT NULL ORDER BY canonical")
    assert [row[0] for row in due] == ["DEABCE2", "DEABCE4", "DEABCE5"]


def test_a_relation_that_is_gone_withdraws_nothing(store, sql, lane: LaneStore, charge, present):
    charge("DE*ABC*E1")
    list(lane.sweep())
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
    before = sql("SELECT canonical, due_at, pending_since, withdrawn_at FROM oicp_ledger")
    schema = "charging." if store.dialect == "postgresql" else ""
    sql(f'DROP VIEW {schema}"EVSE view"')
    with pytest.raises(StoreSchemaError):
        list(lane.sweep())
    with pytest.raises(StoreSchemaError), lane.transaction() as books:
        books.observe_these(["DEABCE1"])
    assert sql("SELECT canonical, due_at, pending_since, withdrawn_at FROM oicp_ledger") == before


def test_a_full_load_carries_the_customers_rows(store, sql, lane: LaneStore, charge):
    for number in range(1, 4):
        charge(f"DE*ABC*E{number}")
    charge.block(1, "DEABCE2")
    list(lane.sweep())
    with lane.transaction() as books:
        assert books.prepare_full_load().records == 3
    carried = sql("SELECT canonical, status FROM oicp_full_load ORDER BY canonical")
    assert [row[1] for row in carried] == [OicpStatus.AVAILABLE, OicpStatus.OCCUPIED, OicpStatus.AVAILABLE]


def test_a_row_that_lacks_what_a_row_must_have_is_none_and_a_status_that_is_not_known_is_unknown(
    store, lane: LaneStore, charge
):
    charge("DE*ABC*E1", None)
    charge(None)
    charge("DE*ABC*E2", cpo=None)
    charge("DE*ABC*E3")
    charge.block(1, None)
    charge.block(2, "DE*ABC*E3", begins=None)
    shown = overviews(store)
    assert {key: each.resolution.oicp for key, each in shown.items()} == {
        "DE*ABC*E1": OicpStatus.UNKNOWN,
        "DE*ABC*E3": OicpStatus.AVAILABLE,
    }
    assert sum(page.registered for page in lane.sweep(page=1)) == 2
    assert list(list_temporary(store)) == []


def refused(store: Store, do) -> str:
    with pytest.raises(RequestRefusedError) as caught, store.writing() as connection:
        do(connection)
    assert caught.value.refusal is Refusal.NOT_PERMITTED
    return str(caught.value)


def test_nothing_is_ever_written_to_what_is_somebody_elses(store, sql, charge):
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    new = NewWindow("DE*ABC*E1", TemporaryStatus.RESERVED, NOW, None)
    said = refused(store, lambda connection: insert_windows(connection, [new], NOW))
    assert "blockings_for_oicp" in said
    assert "store.temporary_relation" in said
    refused(store, lambda connection: update_window(connection, 1, {"ended_at": NOW}, NOW))
    refused(store, lambda connection: find_window(connection, 1, locked=True))
    refused(store, lambda connection: connection.execute(insert(temporary_status).values(evse_id="x")))
    refused(store, lambda connection: connection.execute(update(evse_status).values(status="x")))
    assert "EVSE view" in refused(store, lambda connection: connection.execute(delete(evse_status)))
    with pytest.raises(RequestRefusedError, match="status_relation"):
        import_fleet(store, [])
    for own in ("evse_status", "temporary_status", "oicp_window"):
        assert sql(f"SELECT count(*) FROM {own}") == [(0,)]


def test_what_was_noted_of_a_window_of_our_own_is_not_told_of_a_strangers_of_the_same_number(store, sql, charge):
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    sql("INSERT INTO oicp_window (window_id, token_id, time_zone) VALUES (1, 'token', 'Europe/Berlin')")
    with store.reading() as connection:
        found = find_window(connection, 1)
    assert (found.token_id, found.time_zone) == (None, None)


def test_an_alias_of_a_table_stands_for_the_same_rows(store, charge):
    charge("DE*ABC*E1")
    other = alias(evse_status, "other")
    with store.reading() as connection:
        joined = select(other.c.evse_id).join_from(evse_status, other, evse_status.c.evse_id == other.c.evse_id)
        assert connection.execute(joined).scalars().all() == ["DE*ABC*E1"]
        spelt = f"SELECT s.evse_id FROM {source_of(connection, evse_status)} AS s"
        assert raw(connection).execute(spelt).fetchall() == [("DE*ABC*E1",)]
        assert source_of(connection, temporary_status) != "temporary_status"


def test_without_a_temporary_relation_windows_are_kept_in_our_own_table(charging_url):
    with open_store(charging_url, relations=Relations(STATUS)) as store:
        new = NewWindow("DE*ABC*E1", TemporaryStatus.RESERVED, NOW, None, token_id="t")
        with store.writing() as connection:
            connection.execute(text("INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')"))
            (key,) = insert_windows(connection, [new], NOW)
            update_window(connection, key, {"reason": "a fair"}, NOW)
        assert overviews(store)["DE*ABC*E1"].resolution.effective is Status.RESERVED
        with closing(LaneStore(store, LANE, StatusMapping())) as lane:
            assert lane.look().hinted, "our own trigger speaks of windows as ever"


def test_our_own_tables_under_their_own_names_are_our_own(pg_url, monkeypatch):
    with open_store(
        pg_url, relations=Relations(RelationName("evse_status"), RelationName("temporary_status"))
    ) as store:
        assert import_fleet(store, [{"evse_id": "DE*ABC*E1", "operator_id": "DE*ABC", "status": "x"}]).inserted == 1
        monkeypatch.setattr(sweep, "whole_table", None)  # windows of our own table are found by their key
        with closing(LaneStore(store, LANE, StatusMapping())) as lane:
            assert sum(page.registered for page in lane.sweep()) == 1


def test_api_and_page_show_the_customers_windows_and_say_that_they_are_not_set_here(store, charge):
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    desk = Desk(store, {"DE*ABC": LANE}, StatusMapping(), Settings())
    new = NewToken(name="ann", scopes=EVERYTHING.scopes, kinds=EVERYTHING.kinds, requests_per_minute=6000)
    _, token = create_token(desk, ANN, new)
    begun = sign_in(desk, token)
    wanted = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}
    windows = "/v2/temporary-evse-statuses"
    with served(api_app(desk, RateLimits()), {"Authorization": f"Bearer {token}"}) as api:
        (listed,) = api.get(windows, params={"evseId": "DE*ABC*E1"}).json()
        assert (listed["id"], listed["temporaryStatus"]) == (1, "BLOCKED")
        for answer in (
            api.post(windows, json=wanted, headers={"Idempotency-Key": "once"}),
            api.patch(f"{windows}/1", json={"reason": "snow"}),
            api.delete(f"{windows}/1"),
        ):
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-permitted")
            assert "which the adapter never writes" in answer.json()["detail"]
    page = Starlette(routes=page_router(desk, limits=RateLimits()).routes)
    with served(page, {"Cookie": f"{COOKIE}={begun.secret}", "Sec-Fetch-Site": "same-origin"}) as browser:
        for path in ("/", "/windows", "/windows/1", "/timeline"):
            assert browser.get(path).status_code == 200, path
        answer = browser.post("/windows/1/end", data={"csrf": session(desk, begun.secret).csrf})
        assert answer.status_code == 403
        assert "temporary statuses are read from" in answer.text
        assert "change them where they come from" in answer.text


@contextmanager
def served(application, headers) -> Iterator[httpx.Client]:
    server = BackgroundServer(application, host="127.0.0.1", port=0, what="API")
    server.start()
    try:
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=TLS, timeout=30) as client:
            yield client
    finally:
        server.stop()


# Names


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: len(name.encode()) <= 63 and "__[" not in name
)
ODD = ['"', "%", "%s", ":name", "{0}", "\\", "a.b", "?", "U&", '";--', "é", "\n", "'", "__", " "]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=NAMES, name=NAMES | st.sampled_from(ODD) | st.lists(st.sampled_from(ODD)).map("".join).filter(bool))
def test_a_name_reads_from_just_the_relation_that_has_it(request, dialect, schema, name):
    if dialect == "sqlite":
        if name.lower().startswith(("sqlite_", "oicp_")):
            return
        url = f"sqlite:///{request.getfixturevalue('sqlite_store').path}"
        relation = RelationName(name)
    else:
        if schema.startswith("pg_") or len(name.encode()) > 63:
            return
        url = request.getfixturevalue("pg_url")
        relation = RelationName(name, schema)
    spelt = ".".join(f'"{part.replace(chr(34), chr(34) * 2)}"' for part in (relation.schema, relation.name) if part)
    assert StoreSettings(status_relation=spelt).status_relation == relation
    with open_store(url) as plain, open_store(url, relations=Relations(relation)) as named:
        with closing(plain.own_connection()) as connection:
            driver = raw(connection)
            if dialect == "postgresql":
                driver.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(psycopg.sql.Identifier(schema)))
            columns = "(evse_id text, operator_id text, status text, changed_at timestamptz)"
            driver.execute(f"CREATE TABLE {spelt} {columns}")
            driver.execute(f"INSERT INTO {spelt} VALUES ('E', 'DE*ABC', 'x', NULL)")
        try:
            read_in_every_way(named)
        finally:
            with closing(plain.own_connection()) as connection:
                raw(connection).execute(f"DROP TABLE {spelt}")
                if dialect == "postgresql":
                    raw(connection).execute(psycopg.sql.SQL("DROP SCHEMA {}").format(psycopg.sql.Identifier(schema)))


def read_in_every_way(store: Store) -> None:
    """Read the one row by the statements of a builder, of a text, and of the driver with and without parameters."""
    assert list(relation_errors(store)) == []
    with store.reading() as connection:
        assert connection.execute(select(evse_status.c.evse_id).where(evse_status.c.evse_id == "E")).scalar_one() == "E"
        source = source_of(connection, evse_status)
        mark = {"sqlite": "?", "postgresql": "%s"}[store.dialect]
        assert raw(connection).execute(f"SELECT evse_id FROM {source} AS s").fetchall() == [("E",)]
        assert raw(connection).execute(f"SELECT evse_id FROM {source} AS s WHERE evse_id = {mark}", ("E",)).fetchall()
        assert connection.exec_driver_sql(f"SELECT evse_id FROM {source} AS s").scalar_one() == "E"
        if store.dialect == "postgresql":
            assert connection.execute(text(f"SELECT evse_id FROM {source} AS s")).scalar_one() == "E"


def test_a_quoted_name_of_postgresql_holds_nothing_that_a_statement_would_trip_over():
    assert quoted(RelationName('a%b:c{d}"\\', "x.y"), "postgresql") == '"x.y".U&"a\\0025b\\003Ac\\007Bd\\007D""\\\\"'
    assert quoted(RelationName('a%"'), "sqlite") == '"a%"""'


# What is found before anything starts


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


# The role that may do nothing else, and the hints


@pytest.fixture
def two_roles(server_url: str) -> Iterator[str]:
    """A database that was set up as the guide says, up to `db upgrade`, by the roles that it makes."""
    with closing(connected(server_url)) as admin:
        admin.execute("CREATE DATABASE own")
    url = make_url(server_url).set(database="own").render_as_string(hide_password=False)
    make, narrow = guide("Roles")
    try:
        with closing(connected(url)) as admin:
            admin.execute(
                PG_TABLES + "CREATE ROLE charging_writer LOGIN; GRANT USAGE ON SCHEMA charging TO charging_writer;"
            )
            admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON charging.connectors TO charging_writer")
            for block in (*guide("Views with our columns"), make):
                admin.execute(block)
        with open_store(role_url(url, "oicp_owner")) as owner:
            assert upgrade(owner).is_current
        with closing(connected(url)) as admin:
            admin.execute(narrow)
        yield url
    finally:
        with closing(connected(server_url)) as admin:
            admin.execute("DROP DATABASE own WITH (FORCE)")
            for role in ("oicp_adapter", "oicp_owner", "charging_writer"):
                admin.execute(f"DROP ROLE IF EXISTS {role}")


def role_url(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


@pytest.fixture
def narrow_store(two_roles: str) -> Iterator[Store]:
    with open_store(role_url(two_roles, "oicp_adapter"), relations=Relations(STATUS, TEMPORARY)) as opened:
        yield opened


def test_the_guides_role_can_do_all_that_the_daemon_and_the_control_service_do(two_roles, narrow_store, present):
    with closing(connected(two_roles)) as admin:
        admin.execute(
            "INSERT INTO charging.connectors SELECT 'DE*ABC*E' || n, 'DE*ABC', 'Available' FROM generate_series(1, 9) n"
        )
        admin.execute("INSERT INTO charging.blockings VALUES (1, 'DE*ABC*E1', now(), NULL, 'a car')")
        admin.execute("INSERT INTO oicp.oicp_hint (evse_key) VALUES ('DEABCE1')")
    assert list(relation_errors(narrow_store)) == []
    assert check(narrow_store).is_current
    with closing(LaneStore(narrow_store, LANE, StatusMapping(), hub_url=HUB)) as lane:
        assert lane.hintless is None
        lane.unrecognised()
        assert lane.look().hinted
        assert sum(page.registered for page in lane.sweep()) == 9
        with lane.transaction() as books:
            seen = books.observe_these(["DEABCE1"])
            assert [len(each.windows) for each in seen] == [1]
            books.save([present("DE*ABC*E1", books.now)])
            assert books.prepare_full_load().records == 9
            books.withdrawal_count()
            books.drop_full_load()
            books.forget(["DEABCE1"])
    desk = Desk(narrow_store, {"DE*ABC": LANE}, StatusMapping(), Settings())
    assert [each.record.evse_id for each in list_windows(desk, ANN, WindowFilter()).items] == ["DE*ABC*E1"]
    assert count_windows(desk, ANN, WindowFilter())[WindowState.ACTIVE] == 1
    assert len(overviews(narrow_store)) == 9
    request_full_load(narrow_store, LANE.lane, by="ann")
    adopt_store(narrow_store, LANE.lane, hub_url=HUB, by="ann", policy=Policy())
    with pytest.raises(RequestRefusedError, match="blockings_for_oicp"):
        set_window(desk, ANN, WindowRequest("DE*ABC*E1", TemporaryStatus.BLOCKED))


def test_the_guides_role_can_do_nothing_else(two_roles):
    with closing(connected(two_roles, "oicp_adapter")) as role:
        for statement in (
            "INSERT INTO charging.connectors VALUES ('E', 'O', 'Available')",
            "SELECT * FROM charging.connectors",
            'UPDATE charging."EVSE view" SET operator_id = NULL',
            "DELETE FROM charging.blockings_for_oicp",
            "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('E', 'O', 'x')",
            "INSERT INTO temporary_status (evse_id, status) VALUES ('E', 'Reserved')",
            "UPDATE evse_location SET location = 'x'",
            "UPDATE oicp_schema_version SET version_num = 'x'",
            "DELETE FROM oicp_audit",
            "CREATE TABLE oicp.more (id int)",
            "CREATE TABLE charging.more (id int)",
            "ALTER TABLE oicp_ledger ADD COLUMN more int",
            "TRUNCATE oicp_ledger",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(statement)


@pytest.mark.parametrize(
    ("taken", "what", "cure"),
    [
        (
            'REVOKE SELECT ON charging."EVSE view" FROM oicp_adapter',
            "may not read evse_id, operator_id, status, changed_at",
            'GRANT SELECT ON "charging"."EVSE view" TO oicp_adapter',
        ),
        (
            "REVOKE USAGE ON SCHEMA charging FROM oicp_adapter",
            'may not use the schema "charging"',
            'GRANT USAGE ON SCHEMA "charging" TO oicp_adapter',
        ),
        (
            (
                'ALTER VIEW charging."EVSE view" OWNER TO charging_writer; REVOKE SELECT ON charging.connectors FROM'
                ' charging_writer; GRANT SELECT ON charging."EVSE view" TO oicp_adapter'
            ),
            "permission denied for table connectors",
            "give its owner the rights",
        ),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_statement_that_gives_it(two_roles, narrow_store, taken, what, cure):
    with closing(connected(two_roles)) as admin:
        admin.execute(taken)
    found = next(iter(relation_errors(narrow_store)))
    assert what in found.what
    assert cure in found.cure
    with closing(connected(two_roles)) as admin:
        if cure.startswith("GRANT"):
            admin.execute(found.cure)
            assert list(relation_errors(narrow_store)) == []


@pytest.fixture
def hinting(two_roles: str) -> str:
    """The same with the guide's triggers, which the writer's role may use."""
    _, triggers, rights = guide("How soon a change arrives")
    with closing(connected(two_roles)) as admin:
        admin.execute(triggers)
        admin.execute(rights)
    return two_roles


def test_three_lines_of_sql_leave_a_hint_for_every_change(hinting, narrow_store):
    with (
        closing(LaneStore(narrow_store, LANE, StatusMapping())) as lane,
        closing(connected(hinting, "charging_writer")) as writer,
    ):
        for statement in (
            "INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')",
            "UPDATE charging.connectors SET state = 'Charging'",
            "DELETE FROM charging.connectors",
        ):
            assert not lane.look().hinted
            writer.execute(statement)
            assert lane.look().hinted, statement
            with closing(connected(hinting)) as admin:
                assert admin.execute("DELETE FROM oicp.oicp_hint RETURNING evse_key, operator_key").fetchall() == [
                    ("DEABCE1", None)
                ]


def test_a_row_without_an_id_costs_the_others_no_hint(hinting):
    with closing(connected(hinting, "charging_writer")) as writer, closing(connected(hinting)) as admin:
        writer.execute(
            "INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available'), (NULL, 'DE*ABC', 'Available')"
        )
        assert admin.execute("SELECT evse_key FROM oicp.oicp_hint").fetchall() == [("DEABCE1",)]


def test_the_three_lines_alone_do_in_a_transaction_of_the_writers_own(hinting):
    (lines, _, _) = guide("How soon a change arrives")
    assert len(lines.strip().splitlines()) == 3
    with closing(connected(hinting, "charging_writer")) as writer:
        writer.execute("CREATE TEMPORARY TABLE changed AS SELECT '+49*810*000*438' AS evse_uid")
        writer.execute(lines)
    with closing(connected(hinting)) as admin:
        assert admin.execute("SELECT evse_key FROM oicp.oicp_hint").fetchall() == [("49810000438",)]


@pytest.mark.parametrize(
    "trouble",
    [
        "REVOKE ALL ON oicp.oicp_hint FROM charging_writer",
        "REVOKE ALL ON SCHEMA oicp FROM charging_writer",
        "ALTER TABLE oicp.oicp_hint RENAME TO elsewhere",
        "ALTER TABLE oicp.oicp_hint ADD COLUMN must int NOT NULL",
        "BEGIN; LOCK TABLE oicp.oicp_hint",
    ],
)
def test_nothing_that_goes_wrong_with_hints_fails_or_holds_the_writer(hinting, trouble):
    with closing(connected(hinting)) as admin, closing(connected(hinting, "charging_writer")) as writer:
        admin.execute(trouble)
        writer.execute("SET statement_timeout = '20s'")
        began = time.monotonic()
        writer.execute("INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')")
        assert time.monotonic() - began < 5
        assert writer.execute("SELECT count(*) FROM charging.connectors").fetchone() == (1,)
        with suppress(psycopg.Error):
            admin.execute("ROLLBACK")
