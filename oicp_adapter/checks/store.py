"""
Looks at the shared store without changing it: each check looks at one thing.

1. A file that does not exist is not created, and no lock is taken.
2. What only slows or misleads is looked at when the fleet is; the rest before each start of the daemon.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from oicp_adapter.checks.books import last_answers
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.checks.relations import relation_errors, relation_findings
from oicp_adapter.checks.rows import row_findings
from oicp_adapter.domain.errors import ConfigurationError, ForeignStoreError, StoreError, StoreSchemaError
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import configured_store, lane_scopes
from oicp_adapter.store.engine import Store
from oicp_adapter.store.health import has_wal_bug, missing_triggers
from oicp_adapter.store.migrate import require_current
from oicp_adapter.store.operations import strangeness
from oicp_adapter.store.rights import lacking_rights
from oicp_adapter.store.sqlite_file import writing_problem
from oicp_adapter.sync.clock import ASTRAY

SUBJECT: Final = "store"
SKEW: Final = timedelta(seconds=5)
"""Clocks that differ by less are not worth a word."""


def store_findings(settings: Settings, *, fleet: bool, now: datetime | None = None) -> Iterator[Finding]:
    """
    Look at the store; what cannot be used ends it.

    Args:
        fleet: Also what costs as much as the fleet is large.
        now: Aware, UTC, to compare the store's clock with; None: the host's clock when it is asked.
    """
    try:
        with configured_store(settings) as store:
            stopping = False
            for check in (file_writable, rights_granted, relation_errors):
                for finding in check(store):
                    stopping |= finding.level is Level.ERROR
                    yield finding
                if stopping:
                    return
            yield from schema_current(store)
            yield from library_sound(store)
            yield from clock_set(store, now)
            yield from store_known(store, settings)
            if fleet:
                yield from hints_told(store)
                yield from relation_findings(store)
                yield from last_answers(store, settings)
                yield from row_findings(store, settings)
    except StoreSchemaError as exc:
        yield Finding.from_error(Check.SCHEMA, SUBJECT, exc)
    except (StoreError, ConfigurationError) as exc:
        yield Finding.from_error(Check.STORE, SUBJECT, exc)


def file_writable(store: Store) -> Iterator[Finding]:
    """May this user write SQLite's file, and beside it?"""
    if store.path is not None and (problem := writing_problem(Path(store.path).absolute())) is not None:
        yield Finding.from_error(Check.FILE, SUBJECT, problem)


def rights_granted(store: Store) -> Iterator[Finding]:
    """
    Has this user of PostgreSQL the rights that the daemon needs, and those of `serve`?

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        lacking = list(lacking_rights(connection))
    for each in lacking:
        if each.stops:
            yield Finding(Check.RIGHTS, Level.ERROR, SUBJECT, each.what, each.grant, StoreSchemaError.exit_code)
        else:
            what = f"{each.what}, which `serve` and the commands need"
            yield Finding(Check.RIGHTS, Level.WARNING, SUBJECT, what, f"unless that is meant: {each.grant}")


def schema_current(store: Store) -> Iterator[Finding]:
    """
    Has the store the tables, in a version that this program can work with?

    Raises:
        StoreError: It has not, or could not be read.
    """
    version = require_current(store).current
    yield Finding(Check.SCHEMA, Level.OK, SUBJECT, f"{store.address} is reachable and migrated (version {version})")


def library_sound(store: Store) -> Iterator[Finding]:
    """Is this SQLite free of the bug that damages files?"""
    if store.dialect == "sqlite" and has_wal_bug(sqlite3.sqlite_version_info):
        yield Finding(
            Check.LIBRARY,
            Level.WARNING,
            SUBJECT,
            f"SQLite {sqlite3.sqlite_version} can damage the file when two processes write to it at once",
            "install SQLite 3.51.3 (or 3.50.7, 3.44.6), or use PostgreSQL; until then keep backups",
        )


def clock_set(store: Store, now: datetime | None = None) -> Iterator[Finding]:
    """
    Does the database server's clock, by which windows begin and end, agree with this machine's?

    Raises:
        StoreError: The store could not be read.
    """
    if store.dialect == "sqlite":
        return  # this machine's clock decides there
    before = now or datetime.now(UTC)
    theirs = store.now()
    after = now or datetime.now(UTC)
    ahead = theirs - after if theirs > after else min(theirs - before, timedelta())
    if abs(ahead) <= SKEW:
        return
    way = "ahead of" if ahead > timedelta() else "behind"
    what = f"the clock of the database server is {abs(ahead).total_seconds():.0f} s {way} this machine's"
    cure = "let NTP set both clocks: windows begin and end by the database server's"
    if abs(ahead) > ASTRAY:
        cure += ", and the daemon believes none that is a day off"
        yield Finding(Check.STORE_CLOCK, Level.ERROR, SUBJECT, what, cure, StoreError.exit_code, starts=True)
    else:
        yield Finding(Check.STORE_CLOCK, Level.WARNING, SUBJECT, what, cure)


def hints_told(store: Store) -> Iterator[Finding]:
    """
    Are the triggers at work that tell of each change?

    Raises:
        StoreError: The store could not be read.
    """
    if missing := missing_triggers(store):
        what = f"{', '.join(missing)} missing or disabled: changes are found by the sweep only"
        cure = "run `oicp-adapter db upgrade`, or enable the triggers; it is meant where shared tables are views"
        yield Finding(Check.HINTS, Level.WARNING, SUBJECT, what, cure)


def store_known(store: Store, settings: Settings) -> Iterator[Finding]:
    """
    Is it the store that each lane knows? The daemon starts with another one, and holds the lane.

    Raises:
        StoreError: The store could not be read.
    """
    for operator, scope in zip(settings.operators, lane_scopes(settings), strict=True):
        different = strangeness(store, scope.lane, hub_url=settings.hub.url)
        if different:
            error = ForeignStoreError(operator.id, different)
            yield replace(Finding.from_error(Check.IDENTITY, SUBJECT, error), starts=True)
