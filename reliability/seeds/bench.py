"""
Keeps one SQLite store a process, made new for each run from a migrated file, its own clock in virtual time too.

One `Store` serves all runs, since its engine remembers how statements are compiled; only its file and its clock change.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import event

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade
from reliability.seeds.truth import LANES

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it; there a commit costs no disk


class Bench:
    """
    The store of one run after the other.

    Attributes:
        store: The adapter's.
        metrics: Shared by all runs, for nothing is decided by them.
        clock: What the store takes for the time.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "store.db"
        self._template = folder / "template.db"
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        with open_store(f"sqlite:///{self._template}") as template:
            upgrade(template)
        self.store = open_store(f"sqlite:///{self._path}", clock=self._now)
        event.listen(self.store._own, "connect", _careless)
        self.metrics = Metrics(list(LANES))

    def renew(self, clock: Callable[[], datetime]) -> sqlite3.Connection:
        """Make the store new, and return the connection of all who write to it with plain SQL."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._template, self._path)
        self.clock = clock
        return self.connect()

    def connect(self) -> sqlite3.Connection:
        """Return a connection of another program, whose `now` is the store's clock."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        _careless(connection, None)
        connection.create_function("strftime", 2, self._strftime)
        return connection

    def _now(self) -> datetime:
        return self.clock()

    def _strftime(self, form: str, _: str) -> str:
        text = self.clock().strftime(form.replace("%f", "%S.%f"))
        return text[:-3]  # SQLite's %f has milliseconds


@contextmanager
def bench() -> Iterator[Bench]:
    """Make a bench, and let nothing be logged while it is in use: nobody reads it, and it costs a third of a run."""
    before = structlog.get_config()
    structlog.configure(
        processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    where = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="oicp-adapter-seeds-", dir=where) as folder:
        made = Bench(Path(folder))
        try:
            yield made
        finally:
            made.store.close()
            structlog.configure(**before)


def _careless(driver: Any, _: Any) -> None:
    """No run is about the loss of power, and a sync costs more than a turn."""
    driver.execute("PRAGMA synchronous = OFF").close()


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent
