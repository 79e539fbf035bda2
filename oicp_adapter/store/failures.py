"""
Maps what SQLAlchemy and the drivers raise to the adapter's two store errors.

1. What can pass by itself is "unavailable": connections, time-outs, locks, serialisation, a server that is not primary;
   also a refused login or a missing database, since passwords are rotated and databases restored beside a daemon.
2. What needs a person is "schema": missing tables, missing rights, a file that is no database.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as pg
from sqlalchemy import exc

from oicp_adapter.domain.errors import StoreError, StoreFault, StoreSchemaError, StoreUnavailableError, foreign_text

_PG_SCHEMA: Final = (
    pg.UndefinedTable,
    pg.UndefinedColumn,
    pg.UndefinedFunction,
    pg.UndefinedObject,
    pg.InvalidSchemaName,
    pg.InsufficientPrivilege,
    pg.WrongObjectType,
    pg.DatatypeMismatch,
)
_PG_PASSES: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    pg.InvalidPassword,
    pg.InvalidAuthorizationSpecification,
    pg.InvalidCatalogName,
    pg.ReadOnlySqlTransaction,
    pg.InFailedSqlTransaction,
    pg.IdleInTransactionSessionTimeout,
    pg.InvalidSqlStatementName,  # a prepared statement that another session holds: a pooler came in between
    pg.DuplicatePreparedStatement,
)
_PG_CHANGED: Final = "cached plan must not change"
"""A prepared statement whose columns were changed; the next connection prepares it anew."""

_SQLITE_SCHEMA: Final = (
    "no such table",
    "no such column",
    "no such function",
    "has no column",
)
_SQLITE_PASSES: Final = {
    "locked": StoreFault.BUSY,
    "busy": StoreFault.BUSY,
    "disk i/o": StoreFault.FILE,
    "unable to open": StoreFault.FILE,
    "disk is full": StoreFault.EXHAUSTED,
    "interrupted": StoreFault.OTHER,
}

_PG_STATES: Final = {
    "08": StoreFault.UNREACHABLE,
    "28": StoreFault.LOGIN_REFUSED,
    "3D": StoreFault.NO_DATABASE,
    "40": StoreFault.BUSY,
    "53": StoreFault.EXHAUSTED,
    "55": StoreFault.BUSY,
    "57P": StoreFault.ENDED_BY_SERVER,
    "25P03": StoreFault.ENDED_BY_SERVER,
    "57014": StoreFault.BUSY,
    "25006": StoreFault.READ_ONLY,
}
"""By how the SQLSTATE begins."""

_PG_REFUSALS: Final = (
    (
        re.compile(
            r"authentication failed|pg_hba\.conf|not permitted to log in|role \".*\" does not exist|no such user"
        ),
        StoreFault.LOGIN_REFUSED,
    ),
    (re.compile(r"database \".*\" does not exist|no such database"), StoreFault.NO_DATABASE),
    (re.compile(r"database system is|terminating connection"), StoreFault.ENDED_BY_SERVER),
    (re.compile(r"too many (clients|connections)|remaining connection slots"), StoreFault.EXHAUSTED),
)
"""
Words of a server or a pooler that lets nobody in: libpq hands on no SQLSTATE then.

A server may be set to another language. Its words are shown in any case, and the general cure covers them.
"""

UPGRADE: Final = "run `oicp-adapter db upgrade`, and give this user rights on the adapter's tables"
WAIT: Final = "check that the database runs and can be reached, then try again; a daemon at work does so by itself"
LOGIN: Final = "correct address, user, database or password in [store]"
MAKE_FILE: Final = "run `oicp-adapter db upgrade` to make a new store, or put the file back, or correct store.url"
MAKE_FOLDER: Final = "make the folder, or correct store.url"
OTHER_FILE: Final = "let store.url name another file"
RIGHTS: Final = "give this user rights on the file and its folder"

_SQLITE_FILE: Final = {
    "not a database": ("is no SQLite database", OTHER_FILE),
    "readonly": ("may not be written", RIGHTS),
    "disk image is malformed": ("is damaged", "restore it from a backup"),
    "malformed database schema": ("is damaged", "restore it from a backup"),
}

_REFUSED: Final = {
    StoreFault.LOGIN_REFUSED: ("refused the login", LOGIN),
    StoreFault.NO_DATABASE: ("has no such database", LOGIN),
}


@contextmanager
def mapped_errors(*, secret: str | None = None, store: str = "the store") -> Iterator[None]:
    """
    Turn library exceptions that leave the block into the adapter's own.

    Args:
        secret: The store's password, blotted out should a driver quote it.
        store: What the errors call the store.

    Raises:
        StoreUnavailableError: It can pass by itself.
        StoreSchemaError: It does not.
    """
    try:
        yield
    except StoreError:
        raise
    except exc.TimeoutError as error:
        what = f"all connections to {store} are in use"
        raise StoreUnavailableError(what, cure=WAIT, fault=StoreFault.BUSY) from error
    except exc.DBAPIError as error:
        if error.orig is None:
            raise
        mapped = _judge(error.orig, secret, store)
        if mapped is None:
            raise
        raise mapped from error
    except (psycopg.Error, sqlite3.Error) as error:
        mapped = _judge(error, secret, store)
        if mapped is None:
            raise
        raise mapped from error


def _judge(error: BaseException, secret: str | None, store: str) -> StoreError | None:
    shown = foreign_text(_words(error, secret))
    text = str(error).lower() if isinstance(error, sqlite3.Error) else ""
    if isinstance(error, _PG_SCHEMA) or any(words in text for words in _SQLITE_SCHEMA):
        return StoreSchemaError(f"{store} refused a statement: {shown}", cure=UPGRADE)
    for words, (what, cure) in _SQLITE_FILE.items():
        if words in text:
            return StoreSchemaError(f"{store} {what}: {shown}", cure=cure)
    fault = next((fault for words, fault in _SQLITE_PASSES.items() if words in text), None)
    if isinstance(error, psycopg.Error):
        fault = _postgresql_fault(error)
    if fault is None:
        return None
    what, cure = _REFUSED.get(fault, ("did not do what was asked", WAIT))
    return StoreUnavailableError(f"{store} {what}: {shown}", cure=cure, fault=fault)


def _postgresql_fault(error: psycopg.Error) -> StoreFault | None:
    """Return what it was where it can pass by itself; None: it cannot."""
    if isinstance(error, pg.FeatureNotSupported) and _PG_CHANGED in str(error):
        return StoreFault.OTHER
    if not isinstance(error, _PG_PASSES):
        return None
    if error.sqlstate is not None:
        return next(
            (fault for begin, fault in _PG_STATES.items() if error.sqlstate.startswith(begin)), StoreFault.OTHER
        )
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return StoreFault.NO_ANSWER
    if error.pgconn is not None and error.pgconn.needs_password:  # whatever the language
        return StoreFault.LOGIN_REFUSED
    said = str(error)
    return next((fault for words, fault in _PG_REFUSALS if words.search(said)), StoreFault.UNREACHABLE)


def _words(error: BaseException, secret: str | None) -> str:
    text = str(error).strip() or type(error).__name__
    return text.replace(secret, "***") if secret else text
