"""A relation is read by whatever name it has."""

from contextlib import closing

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from oicp_adapter.checks.relations import relation_errors
from oicp_adapter.settings import StoreSettings
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.relations import Relations, quoted, source_of
from oicp_adapter.store.schema import evse_status
from oicp_adapter.store.transactions import raw

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
