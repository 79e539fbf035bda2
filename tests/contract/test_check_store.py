"""What `check` finds in a store, in real ones, and that it changes nothing there."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.checks.store import store_findings
from oicp_adapter.settings import OperatorSettings, Settings, StoreSettings
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store.engine import Store
from oicp_adapter.store.operations import adopt_store
from oicp_adapter.store.rights import DAEMON_RIGHTS, SERVICE_RIGHTS
from oicp_adapter.sync.model import Policy

ROLE = "oicp_narrow"
NOBODY = 65534
OPERATOR = OperatorSettings(id="DE*ABC", certificate=Path("absent.pem"), private_key=Path("absent.key"))
NEEDED = [
    (name, right, rights is DAEMON_RIGHTS)
    for rights in (DAEMON_RIGHTS, SERVICE_RIGHTS)
    for name in rights
    for right in rights[name]
]


def look(
    url: str, *, status_relation: RelationName | None = None, now: datetime | None = None, fleet: bool = True
) -> list[Finding]:
    store = StoreSettings.model_construct(url=url, password=None, status_relation=status_relation)
    return list(store_findings(Settings(operators=(OPERATOR,), store=store), fleet=fleet, now=now))


def bad(findings: Sequence[Finding]) -> list[Finding]:
    """Leave out what is good, and what this machine's SQLite has."""
    return [each for each in findings if each.level is not Level.OK and each.check is not Check.LIBRARY]


def only(findings: Sequence[Finding], check: Check, level: Level = Level.ERROR, exit_code: int = 69) -> Finding:
    (found,) = bad(findings)
    assert (found.check, found.level) == (check, level), found
    assert level is Level.WARNING or found.exit_code == exit_code
    assert found.cure
    return found


@pytest.fixture
def url(store: Store, request: pytest.FixtureRequest) -> str:
    return f"sqlite:///{store.path}" if store.path is not None else str(request.getfixturevalue("pg_url"))


@pytest.fixture
def narrow(pg_url: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """An administrator's connection, and a URL with which a role has what the programs need and nothing else."""
    with closing(psycopg.connect(pg_url, autocommit=True)) as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN")
        try:
            for relation, right, _ in NEEDED:
                admin.execute(f"GRANT {right} ON {relation} TO {ROLE}")
            yield admin, make_url(pg_url).set(username=ROLE).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_a_good_store_is_good_and_left_as_it_was(url, store, sql, add, lane):
    add("DE*ABC*E1")
    with lane.transaction():
        pass
    tables = [name for name in DAEMON_RIGHTS if name != "oicp_schema_version"]
    before = [sql(f"SELECT * FROM {name}") for name in tables]
    findings = look(url)
    assert bad(findings) == []
    assert [each.check for each in findings if each.check is not Check.LIBRARY] == [Check.SCHEMA, Check.FLEET]
    assert [sql(f"SELECT * FROM {name}") for name in tables] == before


def test_what_the_programs_need_is_enough_for_a_look(narrow):
    _, url = narrow
    assert bad(look(url)) == []


def test_each_right_that_is_missing_is_named_with_the_statement_that_gives_it(narrow):
    admin, url = narrow
    for relation, right, stops in NEEDED:
        admin.execute(f"REVOKE {right} ON {relation} FROM {ROLE}")
        found = next(each for each in look(url, fleet=False) if each.check is Check.RIGHTS)
        assert (found.level, found.starts) == (Level.ERROR if stops else Level.WARNING, False), relation
        assert f"{ROLE} lacks {right} on {relation}" in found.what
        statement = f"GRANT {right} ON {relation} TO {ROLE}"
        assert statement in found.cure
        admin.execute(statement)
    assert bad(look(url)) == []


def test_rights_of_a_relation_are_named_together_and_end_the_look(narrow):
    admin, url = narrow
    admin.execute(f"REVOKE ALL ON oicp_ledger FROM {ROLE}")
    found = only(look(url), Check.RIGHTS)
    assert found.cure == f"GRANT SELECT, INSERT, UPDATE, DELETE ON oicp_ledger TO {ROLE}"


def test_a_schema_that_may_not_be_used_and_one_that_is_not_searched(narrow):
    admin, url = narrow
    admin.execute("ALTER SCHEMA public RENAME TO oicp; CREATE SCHEMA public")
    admin.execute(f"ALTER ROLE {ROLE} SET search_path = oicp; REVOKE ALL ON SCHEMA oicp FROM PUBLIC")
    try:
        found = only(look(url), Check.RIGHTS)
        assert f"{ROLE} may not use the schema oicp" in found.what
        admin.execute(found.cure)
        assert bad(look(url)) == []
        admin.execute(f"ALTER ROLE {ROLE} RESET search_path")
        found = only(look(url), Check.RIGHTS)
        assert "not on the search path" in found.what
        admin.execute(found.cure.partition(";")[0])
        assert bad(look(url)) == []
    finally:
        admin.execute(f"ALTER ROLE {ROLE} RESET search_path")


def test_a_role_whose_transactions_are_read_only(narrow):
    admin, url = narrow
    admin.execute(f"ALTER ROLE {ROLE} SET default_transaction_read_only = on")
    found = only(look(url), Check.RIGHTS)
    assert "read-only" in found.what
    admin.execute(found.cure.partition(",")[0])
    assert bad(look(url)) == []


def test_a_relation_of_the_settings_needs_no_right_on_the_shared_table(narrow):
    admin, url = narrow
    admin.execute("CREATE VIEW own AS SELECT evse_id, operator_id, status, changed_at FROM evse_status")
    admin.execute(f"GRANT SELECT ON own TO {ROLE}; REVOKE ALL ON evse_status FROM {ROLE}")
    assert bad(look(url, status_relation=RelationName("own"))) == []


def test_a_login_that_is_refused_and_a_server_that_is_not_there(pg_url):
    nobody = make_url(pg_url).set(username="nobody_at_all").render_as_string(hide_password=False)
    assert "nobody_at_all" in only(look(nobody), Check.STORE).what
    only(look("postgresql://u@127.0.0.1:1/db"), Check.STORE)


def test_a_store_without_tables(server_url):
    found = only(look(server_url), Check.SCHEMA)
    assert "has no tables of the adapter" in found.what
    assert "db upgrade" in found.cure


def test_a_store_that_is_too_new(url, sql):
    sql("UPDATE oicp_schema_version SET version_num = '9999'")
    sql("UPDATE oicp_schema_support SET oldest = '9998'")
    found = only(look(url), Check.SCHEMA)
    assert "has version 9999" in found.what
    assert "install a newer program" in found.cure


def test_a_store_that_is_too_old(url, sql):
    sql("UPDATE oicp_schema_version SET version_num = '0001'")
    assert "db upgrade" in only(look(url), Check.SCHEMA).cure


@pytest.mark.parametrize(("ahead", "said"), [(60, "60 s behind"), (-60, "60 s ahead of"), (3, None), (-3, None)])
def test_a_clock_of_the_server_that_differs_from_this_machines(pg_url, ahead, said):
    findings = look(pg_url, now=datetime.now(UTC) + timedelta(seconds=ahead))
    if said is None:
        assert bad(findings) == []
        return
    found = only(findings, Check.STORE_CLOCK, Level.WARNING)
    amount, way = said.split(" s ")
    assert abs(int(found.what.split(" is ")[1].split()[0]) - int(amount)) <= 2
    assert f"s {way} this machine's" in found.what


def test_a_clock_that_the_daemon_would_not_believe_is_an_error_with_which_it_starts(pg_url):
    found = only(look(pg_url, now=datetime.now(UTC) + timedelta(days=2)), Check.STORE_CLOCK)
    assert found.starts


def test_a_file_is_judged_by_this_machines_own_clock(sqlite_store):
    assert bad(look(f"sqlite:///{sqlite_store.path}", now=datetime.now(UTC) + timedelta(days=2))) == []


def test_a_disabled_trigger(pg_url, pg_store, sql_of):
    sql_of(pg_store, "ALTER TABLE evse_status DISABLE TRIGGER oicp_hint_status_update")
    found = only(look(pg_url), Check.HINTS, Level.WARNING)
    assert "oicp_hint_status_update missing or disabled: changes are found by the sweep only" in found.what


def test_another_store_than_the_lane_knows(url, store):
    adopt_store(store, "DEABC", hub_url="https://hub.example/api/oicp", by="ann", policy=Policy())
    found = only(look(url), Check.IDENTITY, exit_code=78)
    assert "oicp-adapter adopt" in found.cure


@pytest.mark.parametrize(
    ("reason", "detail", "cure"),
    [
        ("partner_not_found", "300 Partner not found", "correct operators.id"),
        ("unauthorized", "017 Unauthorized Access", "the OperatorID of the certificate"),
        ("no_contract", "210 No valid contract", "the account has no active offer"),
        ("forbidden", "403", "ask Hubject to let the address in"),
        ("everything_refused", "022 Data error", "see what it said"),
    ],
)
def test_what_the_hub_said_to_the_last_push_is_told(url, sql, lane, *, reason, detail, cure):
    with lane.transaction():
        pass
    sql("UPDATE oicp_lane SET hold_reason = :reason, hold_detail = :detail", {"reason": reason, "detail": detail})
    found = only(look(url), Check.REFUSAL, Level.WARNING)
    assert f"refused the last push of this lane ({reason}: {detail})" in found.what
    assert cure in found.cure


# Files that this user may not write; root may write everything, so another user looks


@pytest.fixture
def folder(migrated_file: Path) -> Iterator[Path]:
    """A folder that everybody may enter, with a store in it."""
    with TemporaryDirectory(prefix="oicp-adapter-check-") as name:
        folder = Path(name)
        shutil.copy(migrated_file, folder / "store.db")
        (folder / "store.db").chmod(0o666)
        folder.chmod(0o777)
        yield folder
        folder.chmod(0o777)


def told_to_nobody(file: Path) -> list[tuple[str, str, str]]:
    """Look at a file as a user who owns nothing, in a process of its own; return check, words and cure of each."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            findings = bad(look(f"sqlite:///{file}", fleet=False))
            os.write(write, json.dumps([(each.check, each.what, each.cure) for each in findings]).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return [tuple(each) for each in json.loads(said)]


def test_a_file_that_may_not_be_written(folder):
    file = folder / "store.db"
    file.chmod(0o444)
    ((check, what, cure),) = told_to_nobody(file)
    assert check == Check.FILE
    assert f"may not write the store's file {file}" in what
    assert cure == "give this user rights on the file and its folder"


def test_a_folder_that_may_not_be_written(folder):
    folder.chmod(0o555)
    ((check, what, _),) = told_to_nobody(folder / "store.db")
    assert check == Check.FILE
    assert f"may not write in {folder}" in what


def test_a_journal_that_somebody_else_left(folder):
    journal = folder / "store.db-wal"
    journal.touch()
    journal.chmod(0o444)
    ((check, what, _),) = told_to_nobody(folder / "store.db")
    assert check == Check.FILE
    assert f"may not write the store's file {journal}" in what


def test_a_file_that_may_be_written_is_good_to_another_user_too(folder):
    assert told_to_nobody(folder / "store.db") == []
