"""
Opens a SQLite store's file, creates it where that is asked for, and says why it cannot be opened.

A file that is not there is made by `create` alone: whoever reads and made one would take a mistyped path, or a volume
that is not mounted, for a store without tables.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from oicp_adapter.domain.errors import StoreError, StoreSchemaError, foreign_text
from oicp_adapter.store.failures import MAKE_FILE, MAKE_FOLDER, OTHER_FILE, RIGHTS

BUSY_TIMEOUT: Final = 10.0
"""Seconds that a transaction on SQLite waits for another writer."""


def connect(path: Path) -> sqlite3.Connection:
    """
    Open a file that exists; transactions and threads are the caller's business.

    Args:
        path: Absolute.

    Raises:
        StoreSchemaError: It is not there, or is no file, or may not be opened.
        sqlite3.OperationalError: It could not be opened for another reason, which may pass.
    """
    return _open(path, "rw")


def create(path: Path) -> None:
    """
    Make an empty file unless there is one.

    SQLite itself makes it: any other descriptor would, when it is closed, release the locks of all others here.

    Args:
        path: Absolute.

    Raises:
        StoreSchemaError: Its folder is not there, or it is no file, or may not be made.
        sqlite3.OperationalError: It could not be made for another reason, which may pass.
    """
    _open(path, "rwc").close()


def writing_problem(path: Path) -> StoreSchemaError | None:
    """
    Say why this user may not write to a file that it can open, without opening it; None: nothing that can be seen.

    SQLite opens such a file for reading and says nothing until the first write. Beside the file it makes two more.
    """
    journals = [path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm")]
    for each in (path, *(journal for journal in journals if journal.exists())):
        if path.is_file() and not os.access(each, os.W_OK):
            what = f"this user may not write the store's file {foreign_text(each)}{_mounted(each)}"
            return StoreSchemaError(what, cure=RIGHTS)
    if path.is_file() and not os.access(path.parent, os.W_OK | os.X_OK):
        folder = foreign_text(path.parent)
        what = f"this user may not write in {folder}{_mounted(path.parent)}, where SQLite keeps its journal"
        return StoreSchemaError(what, cure=RIGHTS)
    return None


def _mounted(path: Path) -> str:
    return ", whose file system is mounted read-only" if os.statvfs(path).f_flag & os.ST_RDONLY else ""


def _open(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.as_uri()}?mode={mode}"
    try:
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT)
    except sqlite3.OperationalError as error:
        known = _why_not(path)
        if known is None:
            raise
        raise known from error


def _why_not(path: Path) -> StoreError | None:
    """Look at the way to the file; None: nothing is wrong with it that can be seen."""
    shown = foreign_text(path)
    try:
        path.stat()
        if path.is_dir():
            return StoreSchemaError(f"store.url names {shown}, which is a folder", cure=OTHER_FILE)
    except FileNotFoundError:
        return _why_absent(path)
    except NotADirectoryError:
        what = f"the store's file {shown} cannot be there, for what should be its folder is a file"
        return StoreSchemaError(what, cure=OTHER_FILE)
    except OSError as error:
        said = foreign_text(error.strerror or error)
        return StoreSchemaError(f"the store's file {shown} cannot be reached: {said}", cure=RIGHTS)
    if not os.access(path, os.R_OK):
        return StoreSchemaError(f"this user may not read the store's file {shown}", cure=RIGHTS)
    return None


def _why_absent(path: Path) -> StoreError:
    if not path.parent.is_dir():
        what = f"the folder {foreign_text(path.parent)} of the store's file does not exist"
        return StoreSchemaError(what, cure=MAKE_FOLDER)
    if not os.access(path.parent, os.W_OK):
        what = f"the store's file {foreign_text(path)} does not exist, and this user may not make it"
        return StoreSchemaError(what, cure=f"{RIGHTS}; then {MAKE_FILE}")
    return StoreSchemaError(f"the store's file {foreign_text(path)} does not exist", cure=MAKE_FILE)
