"""
Keeps a second daemon away from a SQLite store, which one host and one daemon may use.

Within a daemon the lanes of old and of new settings may use a store together for a moment: it is locked once for both.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from oicp_adapter.daemon.witness import WitnessFile
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
            ConfigurationError: The lock's file cannot be written or locked.
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
        except (BlockingIOError, PermissionError) as error:  # what a held lock is called depends on the file system
            self._file.seek(0)
            holder = self._file.read(100).strip() or "another process"
            self._file.close()
            raise LaneHeldElsewhereError(what=f"the SQLite store {store}", holder=holder) from error
        except OSError as error:
            self._file.close()
            raise ConfigurationError(
                f"{path} cannot be locked: {error.strerror}", cure="keep the store on a disk of this host"
            ) from error
        try:
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()}\n")
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # closing writes what is left once more, and lets go of the lock all the same
                self._file.close()
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror}", cure="make room on the disk, or name another one"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


class SoleStores:
    """The SQLite stores that this process uses; for one thread."""

    def __init__(self) -> None:
        self._held: dict[Path, tuple[SoleDaemon, WitnessFile]] = {}
        self._users: Counter[Path] = Counter()

    @contextmanager
    def held(self, store: Path) -> Iterator[WitnessFile]:
        """
        Keep other daemons away from a store, and give what remembers how far its lanes had come.

        Raises:
            LaneHeldElsewhereError: Another daemon has it; waiting makes no sense.
            ConfigurationError: The lock's file cannot be written or locked.
        """
        path = store.resolve()
        if path not in self._held:
            self._held[path] = SoleDaemon(path), WitnessFile(path)
        sole, witnesses = self._held[path]
        self._users[path] += 1
        try:
            yield witnesses
        finally:
            self._users[path] -= 1
            if not self._users[path]:
                del self._held[path]
                sole.release()
