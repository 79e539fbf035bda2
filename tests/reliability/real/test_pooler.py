"""Behind a pooler in transaction mode, where each transaction may run in another session of the server."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.store.engine import PREPARED_AFTER, open_store
from oicp_adapter.store.transactions import raw
from reliability.real import pooler
from reliability.real.judge import judge
from reliability.real.points import evse
from reliability.real.process import eventually

pytestmark = pytest.mark.skipif(pooler.PROGRAM is None, reason="no PgBouncer is installed")

SESSIONS = 2


@pytest.fixture
def pooled(postgresql_site, workshop):
    """A site whose daemons reach the store through a pooler that has fewer sessions than clients."""
    site = postgresql_site
    with pooler.Pooler(workshop.shared().port, sessions=SESSIONS) as made:
        url = make_url(site.sections["store"]["url"]).set(port=made.port)
        site.sections["store"]["url"] = url.render_as_string(hide_password=False)
        yield site, made, url


def test_statements_are_prepared_where_a_connection_leads_to_the_server_and_behind_a_pooler_not(pooled, workshop):
    _, _, url = pooled
    for port, after in ((url.port, None), (workshop.shared().port, PREPARED_AFTER)):
        with (
            open_store(url.set(port=port).render_as_string(hide_password=False)) as store,
            store.own_connection() as connection,
        ):
            assert raw(connection).prepare_threshold == after


def test_replicas_work_take_over_and_leave_nothing_behind_in_a_session(pooled, workshop):
    site, pool, url = pooled
    site.settled()
    for _ in range(3):
        site.daemon()
    for number, status in enumerate(("Faulted", "Charging", "Available", "Faulted")):
        site.write(evse(number), status)
        site.arrives(evse(number), {"Faulted": "OutOfService", "Charging": "Occupied"}.get(status, status))
    now = site.instant("SELECT now()")
    site.window(evse(2), "Maintenance", now, now + timedelta(seconds=3))
    site.arrives(evse(2), "OutOfService")
    site.arrives(evse(2), "Available")
    for number in range(2):
        leader = site.leader()
        leader.kill() if number % 2 else leader.stop()
        site.write(evse(number), "Charging")
        site.arrives(evse(number), "Occupied")
    site.rest()
    clients = [row for row in pool.ask("SHOW CLIENTS") if row["database"] == url.database]
    servers = [row for row in pool.ask("SHOW SERVERS") if row["database"] == url.database]
    assert len(servers) <= SESSIONS < len(clients), "they share sessions"
    plain = url.set(drivername="postgresql", port=workshop.shared().port)
    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "enable_seqscan"):
        with psycopg.connect(plain.render_as_string(hide_password=False)) as direct:
            usual = direct.execute(f"SHOW {setting}").fetchone()
        with psycopg.connect(url.render_as_string(hide_password=False), prepare_threshold=None) as shared:
            for _ in range(2 * SESSIONS):
                assert shared.execute(f"SHOW {setting}").fetchone() == usual
                shared.commit()
    judge(site)


def test_a_pooler_that_is_replaced_costs_no_change(pooled):
    site, pool, _ = pooled
    daemon = site.settled()
    pool.stop()
    site.write(evse(1), "Faulted")
    eventually(lambda: daemon.log("lane.trouble"))
    pool.start()
    site.arrives(evse(1), "OutOfService")
    judge(site)
