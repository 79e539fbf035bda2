import sqlite3

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import exc

from oicp_adapter.domain.errors import StoreError, StoreFault, StoreSchemaError, StoreUnavailableError
from oicp_adapter.store.failures import mapped_errors

PASSES = [
    psycopg.OperationalError("server closed the connection"),
    psycopg.InterfaceError("the connection is closed"),
    pg.LockNotAvailable("lock timeout"),
    pg.DeadlockDetected("deadlock detected"),
    pg.SerializationFailure("could not serialize"),
    pg.QueryCanceled("statement timeout"),
    pg.AdminShutdown("terminating connection"),
    pg.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
    pg.InvalidPassword("password authentication failed"),
    pg.InvalidCatalogName("database does not exist"),
    sqlite3.OperationalError("database is locked"),
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("disk I/O error"),
    exc.TimeoutError("QueuePool limit"),
]
STAYS = [
    pg.UndefinedTable("relation does not exist"),
    pg.UndefinedColumn("column does not exist"),
    pg.InsufficientPrivilege("permission denied"),
    sqlite3.OperationalError("no such table: oicp_lane"),
    sqlite3.OperationalError("attempt to write a readonly database"),
    sqlite3.DatabaseError("file is not a database"),
    sqlite3.DatabaseError("database disk image is malformed"),
]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("error", PASSES, ids=str)
def test_what_passes_by_itself_is_unavailable(error, *, wrapped: bool):
    with pytest.raises(StoreUnavailableError) as caught, mapped_errors():
        _raise(error, wrapped=wrapped)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("error", STAYS, ids=str)
def test_what_needs_a_person_says_so(error, *, wrapped: bool):
    with pytest.raises(StoreSchemaError) as caught, mapped_errors():
        _raise(error, wrapped=wrapped)
    assert not caught.value.passes


def test_a_secret_in_the_drivers_words_is_blotted_out():
    with pytest.raises(StoreError) as caught, mapped_errors(secret="canary-73"):
        raise psycopg.OperationalError("password=canary-73 host=db")
    assert "canary-73" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "what", "cure"),
    [
        ("file is not a database", "is no SQLite database", "let store.url name another file"),
        ("attempt to write a readonly database", "may not be written", "rights on the file"),
        ("database disk image is malformed", "is damaged", "backup"),
    ],
)
def test_what_is_wrong_with_the_file_names_it_and_is_not_cured_by_an_upgrade(words: str, what: str, cure: str):
    with pytest.raises(StoreSchemaError) as caught, mapped_errors(store="the store /x.db"):
        raise sqlite3.DatabaseError(words)
    assert caught.value.what.startswith(f"the store /x.db {what}")
    assert cure in caught.value.cure
    assert "upgrade" not in caught.value.cure


def test_what_passes_is_worded_for_a_command_that_runs_once_and_for_the_daemon():
    with pytest.raises(StoreUnavailableError) as caught, mapped_errors():
        raise sqlite3.OperationalError("database is locked")
    assert caught.value.cure.endswith("then try again; a daemon at work does so by itself")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.OperationalError("Connection refused"), StoreFault.UNREACHABLE),
        (psycopg.OperationalError("FATAL:  Rolle »x« existiert nicht"), StoreFault.UNREACHABLE),
        (pg.ConnectionTimeout("connection timeout expired"), StoreFault.NO_ANSWER),
        (psycopg.OperationalError('FATAL:  no pg_hba.conf entry for host "10.0.0.1"'), StoreFault.LOGIN_REFUSED),
        (psycopg.OperationalError('FATAL:  role "x" does not exist'), StoreFault.LOGIN_REFUSED),
        (psycopg.OperationalError('FATAL:  database "x" does not exist'), StoreFault.NO_DATABASE),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), StoreFault.ENDED_BY_SERVER),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), StoreFault.EXHAUSTED),
        (pg.AdminShutdown("terminating connection"), StoreFault.ENDED_BY_SERVER),
        (pg.LockNotAvailable("lock timeout"), StoreFault.BUSY),
        (pg.QueryCanceled("statement timeout"), StoreFault.BUSY),
        (pg.DiskFull("no space left"), StoreFault.EXHAUSTED),
        (pg.ReadOnlySqlTransaction("cannot execute INSERT"), StoreFault.READ_ONLY),
        (pg.DuplicatePreparedStatement("already exists"), StoreFault.OTHER),
        (sqlite3.OperationalError("database is locked"), StoreFault.BUSY),
        (sqlite3.OperationalError("disk I/O error"), StoreFault.FILE),
        (exc.TimeoutError("QueuePool limit"), StoreFault.BUSY),
    ],
    ids=str,
)
def test_one_outage_is_told_from_another(error: Exception, fault: StoreFault):
    with pytest.raises(StoreUnavailableError) as caught, mapped_errors():
        raise error
    assert caught.value.fault is fault


def test_long_words_are_cut():
    with pytest.raises(StoreError) as caught, mapped_errors():
        raise psycopg.OperationalError("x" * 5000)
    assert len(str(caught.value)) < 500


MISTAKES = [
    ValueError("x"),
    pg.UniqueViolation("x"),
    sqlite3.IntegrityError("x"),
    sqlite3.IntegrityError("UNIQUE constraint failed: oicp_full_load.lane"),
    sqlite3.OperationalError("malformed JSON"),
]


@pytest.mark.parametrize("error", MISTAKES, ids=repr)
def test_mistakes_of_our_own_are_not_dressed_up(error):
    with pytest.raises(type(error)), mapped_errors():
        raise error


def test_an_error_of_the_store_stays_what_it_is():
    original = StoreUnavailableError("x", cure="y")
    with pytest.raises(StoreUnavailableError) as caught, mapped_errors():
        raise original
    assert caught.value is original


def _raise(error: Exception, *, wrapped: bool) -> None:
    if wrapped and not isinstance(error, exc.TimeoutError):
        raise exc.DBAPIError("SELECT 1", None, error)
    raise error
