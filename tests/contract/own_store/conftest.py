"""Gives tests of somebody else's relations a store that reads them; docs/own-store.md is run as it stands there."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.evses import evse_overviews
from oicp_adapter.store.migrate import upgrade
from oicp_adapter.store.relations import Relations
from oicp_adapter.store.scope import LaneScope

GUIDE = (Path(__file__).parents[3] / "docs" / "own-store.md").read_text(encoding="utf-8")
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
