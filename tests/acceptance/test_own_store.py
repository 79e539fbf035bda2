"""The daemon and the commands over somebody else's tables, set up by docs/own-store.md as it stands there."""

import json
import re
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

GUIDE = (Path(__file__).parents[2] / "docs" / "own-store.md").read_text(encoding="utf-8")
TABLES = """
CREATE SCHEMA charging;
CREATE TABLE charging.connectors (
    evse_uid text PRIMARY KEY, cpo text, state varchar(20) NOT NULL, state_since timestamptz DEFAULT now());
CREATE TABLE charging.blockings (
    number bigint PRIMARY KEY, evse_uid text, begins timestamptz, ends timestamptz, note text);
CREATE ROLE charging_writer LOGIN;
GRANT USAGE ON SCHEMA charging TO charging_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON charging.connectors, charging.blockings TO charging_writer;
"""
CATALOGUE = """
SELECT c.relname, c.relkind, c.relacl::text, t.tgname FROM pg_class AS c LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid
WHERE c.relnamespace = 'charging'::regnamespace ORDER BY 1, 4
"""
FLEET = "INSERT INTO charging.connectors SELECT 'DE*ABC*E' || n, 'DE*ABC', 'Available' FROM generate_series(1, 4) AS n"


def guide(heading):
    """Return the SQL of a chapter."""
    (chapter,) = re.findall(rf"^## \d\. {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sql\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)


def as_role(url, role):
    return make_url(url).set(drivername="postgresql", username=role).render_as_string(hide_password=False)


@pytest.fixture
def store_url(server_url):
    """A database of this test's own, with the tables of a charge point system and the roles of the guide."""
    with closing(psycopg.connect(server_url, autocommit=True)) as admin:
        admin.execute("CREATE DATABASE own")
        url = make_url(server_url).set(database="own").render_as_string(hide_password=False)
        with closing(psycopg.connect(url, autocommit=True)) as own:
            for block in (TABLES, *guide("Views with our columns"), guide("Roles")[0]):
                own.execute(block)
        yield url
        admin.execute("DROP DATABASE own WITH (FORCE)")
        for role in ("oicp_adapter", "oicp_owner", "charging_writer"):
            admin.execute(f"DROP ROLE {role}")


@pytest.fixture
def own(site, store_url):
    """The site with the settings of the guide, its tables made by the role that may."""
    site.sections["store"] |= {
        "status_relation": 'charging."EVSE view"',
        "temporary_relation": "charging.blockings_for_oicp",
        "sweep_every": 300.0,
        "url": as_role(store_url, "oicp_owner"),
    }
    made = site.command("db", "upgrade")
    assert made.returncode == 0, made.stderr
    assert '"charging"."EVSE view" is read instead of evse_status' in made.stderr
    site.sql(guide("Roles")[1])
    site.sections["store"]["url"] = as_role(store_url, "oicp_adapter")
    return site


@pytest.fixture
def writer(store_url):
    """The charge point system's own connection."""
    with closing(psycopg.connect(as_role(store_url, "charging_writer"), autocommit=True)) as connection:
        yield connection


def test_without_a_hint_and_without_ddl_the_sweep_brings_every_change_to_the_hub(own, writer, eventually):
    own.sections["store"]["sweep_every"] = 0.5
    before = own.sql(CATALOGUE)
    writer.execute(FLEET)
    daemon = own.daemon()
    eventually(lambda: own.at_hub() == {f"DEABCE{n}": "Available" for n in range(1, 5)})
    writer.execute("UPDATE charging.connectors SET state = 'Charging' WHERE evse_uid = 'DE*ABC*E1'")
    own.arrives("DE*ABC*E1", "Occupied")
    writer.execute("INSERT INTO charging.blockings VALUES (1, 'DEABCE2', now(), NULL, 'snow')")
    own.arrives("DE*ABC*E2", "Occupied")
    writer.execute("UPDATE charging.blockings SET ends = now() + interval '1 second'")
    own.arrives("DE*ABC*E2", "Available")
    writer.execute("DELETE FROM charging.connectors WHERE evse_uid = 'DE*ABC*E3'")
    eventually(lambda: own.hub.hub.find("DE*ABC*E3") is None)
    shown = {each["evseId"]: each for each in json.loads(own.command("status", "--json").stdout)}
    assert {key: each["technicalStatus"] for key, each in shown.items()} == {
        "DE*ABC*E1": "Charging",
        "DE*ABC*E2": "Available",
        "DE*ABC*E4": "Available",
    }
    assert daemon.stop() == 0
    assert own.sql(CATALOGUE) == before, "nothing was made or changed in the customer's schema"


def test_three_lines_of_sql_bring_a_change_to_the_hub_long_before_the_next_sweep(own, writer, eventually):
    _, triggers, rights = guide("How soon a change arrives")
    with closing(psycopg.connect(own.store.address, autocommit=True)) as admin:
        admin.execute(triggers)
        admin.execute(rights)
    writer.execute(FLEET)
    own.daemon()
    eventually(lambda: len(own.at_hub()) == 4)
    for word, published in (("Faulted", "OutOfService"), ("Available", "Available"), ("Charging", "Occupied")):
        writer.execute("UPDATE charging.connectors SET state = %s WHERE evse_uid = 'DE*ABC*E1'", (word,))
        own.arrives("DE*ABC*E1", published, within=30)
    writer.execute("DELETE FROM charging.connectors WHERE evse_uid = 'DE*ABC*E2'")
    eventually(lambda: own.hub.hub.find("DE*ABC*E2") is None, within=30)


def test_windows_of_a_named_relation_count_for_chargers_of_our_own_table(own, writer, eventually):
    del own.sections["store"]["status_relation"]
    own.sql("INSERT INTO oicp.evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')")
    own.daemon()
    own.arrives("DE*ABC*E1", "Available")
    writer.execute("INSERT INTO charging.blockings VALUES (1, 'DEABCE1', now(), NULL, 'snow')")
    own.sql("UPDATE oicp.evse_status SET status = 'Offline'")
    eventually(lambda: len(own.hub.hub.history("DE*ABC*E1")) > 1, within=30)
    assert [change.status for change in own.hub.hub.history("DE*ABC*E1")] == ["Available", "Occupied"]


def test_what_is_somebody_elses_is_shown_and_never_written(own, writer, tmp_path):
    writer.execute(FLEET)
    writer.execute("INSERT INTO charging.blockings VALUES (1, 'DEABCE2', now(), NULL, 'snow')")
    listed = json.loads(own.command("temporary", "list", "--json").stdout)
    assert [(each["evseId"], each["reason"]) for each in listed] == [("DEABCE2", "snow")]
    for command in (("set", "DE*ABC*E1", "blocked"), ("end", "1")):
        refused = own.command("temporary", *command)
        assert refused.returncode == 2, refused.stderr
        assert 'are read from "charging"."blockings_for_oicp", which the adapter never writes' in refused.stderr
        assert "store.temporary_relation" in refused.stderr
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("evse_id,operator_id,status\nDE*ABC*E9,DE*ABC,Available\n")
    refused = own.command("db", "import", str(fleet))
    assert refused.returncode == 2
    assert "store.status_relation" in refused.stderr


def test_a_relation_that_cannot_be_used_is_told_by_check_and_keeps_run_and_serve_from_starting(own):
    good = own.command("check", "--offline", "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    assert sum("is read instead of" in each["what"] for each in json.loads(good.stdout)) == 2
    own.sections["store"]["status_relation"] = "charging.EVSE_view"
    for command in (("check", "--offline"), ("run",), ("serve",), ("db", "check")):
        ended = own.command(*command)
        assert ended.returncode == 69, (command, ended.stdout, ended.stderr)
        said = ended.stdout + ended.stderr
        assert 'store.status_relation names "charging"."evse_view", which is not in this database' in said
        assert "without quotes capital letters become small ones" in said
