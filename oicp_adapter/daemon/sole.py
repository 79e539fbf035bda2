"""Keeps a second daemon away from a SQLite store, which one host and one daemon may use."""

import fcntl
import os
from pathlib import Path
from typing import IO, Self

from oicp_adapter.domain.errors import ConfigurationError, LaneHeldElsewhereError


class SoleDaemon:
    """
    A lock beside the store's file, which the system releases when this process ends, however it ends.

    It is what makes a foreign lease in a SQLite store a dead one.
    """

    def __init__(self, store: Path) -> None:
        """
        Take the lock.

        Raises:
            LaneHeldElsewhereError: Another daemon has it; waiting makes no sense.
            ConfigurationError: The lock's file cannot be written.
        """
        path = store.with_name(f"{store.name}.daemon")
        try:
            self._file: IO[str] = path.open("a+")
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror}", cure="give the daemon's user rights on the folder"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read(100).strip() or "another process"
            self._file.close()
            raise LaneHeldElsewhereError(what=f"the SQLite store {store}", holder=holder) from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()
