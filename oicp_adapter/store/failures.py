"""
Maps what SQLAlchemy and the drivers raise to the adapter's two store errors.

1. What can pass by itself is "unavailable": connections, time-outs, locks, serialisation, a server that is not primary.
2. What needs a person is "schema": missing tables, missing rights, a file that is no database.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors as pg
from sqlalchemy import exc

from oicp_adapter.domain.errors import StoreError, StoreSchemaError, StoreUnavailableError, foreign_text

_PG_SCHEMA: Final = (
    pg.UndefinedTable,
    pg.UndefinedColumn,
    pg.UndefinedFunction,
    pg.UndefinedObject,
    pg.InvalidSchemaName,
    pg.InsufficientPrivilege,
    pg.WrongObjectType,
    pg.DatatypeMismatch,
    pg.InvalidCatalogName,
)
_PG_RIGHTS: Final = (pg.InvalidPassword, pg.InvalidAuthorizationSpecification)
_PG_PASSES: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
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
_SQLITE_PASSES: Final = ("locked", "busy", "disk i/o", "unable to open", "disk is full", "interrupted")

UPGRADE: Final = "run `oicp-adapter db upgrade`, and give this user rights on the adapter's tables"
WAIT: Final = "check that the database runs and can be reached, then try again; the daemon does so by itself"
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
        raise StoreUnavailableError(f"all connections to {store} are in use", cure=WAIT) from error
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
    if isinstance(error, _PG_RIGHTS):
        return StoreSchemaError(f"{store} refused the login: {shown}", cure="correct user and password in [store]")
    text = str(error).lower() if isinstance(error, sqlite3.Error) else ""
    if isinstance(error, _PG_SCHEMA) or any(words in text for words in _SQLITE_SCHEMA):
        return StoreSchemaError(f"{store} refused a statement: {shown}", cure=UPGRADE)
    for words, (what, cure) in _SQLITE_FILE.items():
        if words in text:
            return StoreSchemaError(f"{store} {what}: {shown}", cure=cure)
    changed = isinstance(error, pg.FeatureNotSupported) and _PG_CHANGED in str(error)
    if changed or isinstance(error, _PG_PASSES) or any(words in text for words in _SQLITE_PASSES):
        return StoreUnavailableError(f"{store} did not do what was asked: {shown}", cure=WAIT)
    return None


def _words(error: BaseException, secret: str | None) -> str:
    text = str(error).strip() or type(error).__name__
    return text.replace(secret, "***") if secret else text
