"""Runs a PgBouncer of one's own in transaction mode, so that every transaction may run in another server session."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from reliability.real.process import eventually

PROGRAM: Final = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
"""Where it is installed; None: it is not."""

_SETTINGS: Final = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = postgres
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 100
server_round_robin = 1
"""


class Pooler:
    """
    One pooler before a server; a context manager.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server: int, *, sessions: int) -> None:
        """
        Prepare it.

        Args:
            server: The port of the PostgreSQL server.
            sessions: How many its clients share; they take turns, so that none gets the same one again.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self._settings = _SETTINGS.format(server=server, port=self.port, sessions=sessions)
        self._folder = Path(tempfile.mkdtemp(prefix="oicp-adapter-pooler-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        assert PROGRAM is not None
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(self._settings)
        user = "nobody" if os.geteuid() == 0 else None  # it does not run as root
        if user is not None:
            shutil.chown(self._folder, user)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, cwd="/"
            )
        eventually(self._takes_connections, told=(self._folder / "log").read_text)

    def stop(self) -> None:
        """End it, and every session through it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def ask(self, command: str) -> list[dict[str, Any]]:
        """Return what its console answers."""
        url = f"postgresql://postgres@127.0.0.1:{self.port}/pgbouncer"
        with closing(psycopg.connect(url, autocommit=True, connect_timeout=5)) as driver:
            cursor = psycopg.ClientCursor(driver, row_factory=psycopg.rows.dict_row)
            return cursor.execute(command).fetchall()

    def _takes_connections(self) -> bool:
        try:
            self.ask("SHOW VERSION")
        except psycopg.OperationalError:
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
