"""Makes what tests of several kinds copy, and gives errors room for one line."""

import os
from pathlib import Path

import pytest

from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade

os.environ["TERMINAL_WIDTH"] = "1000"  # read once, when the first wrong argument of this process is shown


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the adapter's tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    with open_store(f"sqlite:///{path}") as store:
        upgrade(store)
    return path
