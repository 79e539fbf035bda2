"""Makes what tests of several kinds copy, gives errors room for one line, and deals long tests out to the workers."""

import os
from itertools import chain, groupby, islice, zip_longest
from pathlib import Path

import hypothesis
import pytest

from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade

os.environ["TERMINAL_WIDTH"] = "1000"  # read once, when the first wrong argument of this process is shown

hypothesis.settings.register_profile("house", hypothesis.settings.default, deadline=None)  # a busy machine is no bug
hypothesis.settings.load_profile("house")

_COMPUTING = ("tests/reliability/test_seeds.py", "tests/reliability/test_search.py")
_WAITING = ("tests/reliability/real/", "tests/acceptance/", "tests/reliability/test_writers.py")
"""Where the long tests are: those that compute, and those that mostly wait for processes."""

_TOGETHER = "tests/browser/"
"""Where the tests of a module share what costs more than a test: a browser."""


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
