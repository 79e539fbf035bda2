"""`check` as a command: what it says to a person and to a script, and that neither hub nor store notice it."""

import json
import shutil
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade
from oicp_adapter.store.rights import DAEMON_RIGHTS


def found(done, level="error"):
    return {each["check"]: each for each in json.loads(done.stdout) if each["level"] == level}


def test_all_is_well_and_neither_hub_nor_store_are_touched(site, tmp_path):
    site.fleet(3)
    rows = site.sql("SELECT * FROM evse_status")
    file = (tmp_path / "store.db").read_bytes()
    done = site.command("check", "--json")
    assert done.returncode == 0, done.stdout
    checks = {each["check"] for each in json.loads(done.stdout)}
    assert {"hub.client_certificate", "hub.admission", "hub.clock", "store.schema", "fleet.pushed"} <= checks
    assert site.requests() == 0
    assert site.at_hub() == {}
    assert site.sql("SELECT * FROM evse_status") == rows
    assert site.sql("SELECT * FROM oicp_lane") == []
    assert (tmp_path / "store.db").read_bytes() == file


def test_each_finding_has_its_check_cause_and_cure_in_the_table_and_decides_the_exit_code(site, free_port):
    site.sections["hub"]["url"] = f"https://localhost:{free_port}/api/oicp"
    done = site.command("check")
    assert done.returncode == 69
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("error")]
    for words in ("hub.connection", "DE*ABC", "refuses the connection", "correct hub.url, or start the hub"):
        assert words in line
    assert "1 error keeps the daemon from pushing; it would start, and try again by itself" in done.stderr
    assert site.command("check", "--offline").returncode == 0


def test_an_operator_that_the_hub_does_not_know_is_told_by_its_last_answer(site, eventually):
    site.fleet(1)
    site.will("not_found_300", count=None)
    daemon = site.daemon()
    eventually(lambda: daemon.metric("lane_state", state="held"))
    assert daemon.stop() == 0
    before = site.requests()
    warning = found(site.command("check", "--json"), "warning")["hub.last_answer"]
    assert "partner_not_found" in warning["what"]
    assert "correct operators.id" in warning["cure"]
    assert site.requests() == before


def test_a_certificate_for_servers_does_not_keep_the_daemon_from_starting(site):
    authority = Authority.load(site.pki.client_ca)
    good = authority.issued.certificate
    pair = KeyPair(site.folder / "server.pem", site.folder / "server.key")
    authority.issue_hub(["DE*ABC"], not_before=good.not_valid_before_utc, not_after=good.not_valid_after_utc).write(
        pair
    )
    site.operators[0] |= {"certificate": pair.certificate, "private_key": pair.private_key}
    daemon = site.daemon()
    assert "extended key usage" in daemon.text()
    assert daemon.stop() == 0


# What the daemon is said to need is all that it needs.


@pytest.fixture
def narrow_url(server_url):
    """A database in which a role has what `check` asks for and nothing else; the URLs of its owner and of the role."""
    with closing(psycopg.connect(server_url, autocommit=True)) as admin:
        admin.execute("CREATE DATABASE narrow")
        url = make_url(server_url).set(database="narrow")
        owner = url.render_as_string(hide_password=False)
        with open_store(owner) as store:
            upgrade(store)
        admin.execute("CREATE ROLE oicp_narrow LOGIN")
        with closing(psycopg.connect(owner, autocommit=True)) as there:
            for relation, rights in DAEMON_RIGHTS.items():
                there.execute(f"GRANT {', '.join(rights)} ON {relation} TO oicp_narrow")
        yield owner, url.set(username="oicp_narrow").render_as_string(hide_password=False).replace(":@", "@")
        admin.execute("DROP DATABASE narrow WITH (FORCE)")
        admin.execute("DROP ROLE oicp_narrow")


@pytest.fixture
def store_url(request):
    """The owner's store for what other programs write; the file of the test where there is no such owner."""
    if "narrow_url" in request.fixturenames:
        return request.getfixturevalue("narrow_url")[0]
    folder = request.getfixturevalue("tmp_path")
    shutil.copy(request.getfixturevalue("migrated_file"), folder / "store.db")
    return f"sqlite:///{folder}/store.db"


def test_a_daemon_works_with_exactly_the_rights_that_check_asks_for(narrow_url, site, eventually):
    site.sections["store"]["url"] = narrow_url[1]
    site.sections["push"]["max_withdrawn_share"] = 1.0
    site.sections["store"]["sweep_every"] = 1.0
    done = site.command("check", "--json")
    assert done.returncode == 0, done.stdout
    site.fleet(5)
    site.write("malformed")
    daemon = site.daemon()
    site.arrives("DE*ABC*E4", "Available")
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")
    site.will("answer_lost")
    site.write("DE*ABC*E2", "Charging")
    site.arrives("DE*ABC*E2", "Occupied")
    site.will("poison", evse_id="DE*ABC*E3", count=2)
    site.write("DE*ABC*E3", "Charging")
    site.sql("DELETE FROM evse_status WHERE evse_id = 'malformed' OR evse_id = 'DE*ABC*E0'")
    eventually(lambda: "DE*ABC*E0" not in site.at_hub() and "DEABCE0" not in site.at_hub())
    eventually(lambda: daemon.metric("pushes_total", action="fullLoad") >= 1)
    assert daemon.stop() == 0
    assert "permission denied" not in daemon.text()
    assert daemon.log("store.unavailable") == []
