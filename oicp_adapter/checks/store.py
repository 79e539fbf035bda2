"""Looks at the shared store: reachable, migrated, safe, and what its rows will come to."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from oicp_adapter.checks.finding import Finding, Level
from oicp_adapter.checks.relations import relation_errors, relation_findings
from oicp_adapter.checks.rows import row_findings
from oicp_adapter.domain.errors import ConfigurationError, ForeignStoreError, StoreError
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import configured_store, lane_scopes
from oicp_adapter.store.engine import Store
from oicp_adapter.store.health import has_wal_bug
from oicp_adapter.store.migrate import require_current
from oicp_adapter.store.operations import strangeness

SUBJECT: Final = "store"


def store_findings(settings: Settings, *, fleet: bool) -> Iterator[Finding]:
    """Look at the store without changing it; a file that does not exist is not created."""
    try:
        with configured_store(settings) as store:
            if wrong := list(relation_errors(store)):
                yield from wrong
                return
            version = require_current(store).current
            yield Finding(Level.OK, SUBJECT, f"{store.address} is reachable and migrated (version {version})")
            if store.dialect == "sqlite" and has_wal_bug(sqlite3.sqlite_version_info):
                yield Finding(
                    Level.WARNING,
                    SUBJECT,
                    f"SQLite {sqlite3.sqlite_version} can damage the file when two processes write to it at once",
                    "install SQLite 3.51.3 (or 3.50.7, 3.44.6), or use PostgreSQL; until then keep backups",
                )
            if fleet:
                yield from relation_findings(store)
                yield from _identity(store, settings)
                yield from row_findings(store, settings)
    except (StoreError, ConfigurationError) as exc:
        yield Finding.from_error(SUBJECT, exc)


def _identity(store: Store, settings: Settings) -> Iterator[Finding]:
    for operator, scope in zip(settings.operators, lane_scopes(settings), strict=True):
        different = strangeness(store, scope.lane, hub_url=settings.hub.url)
        if different:
            yield Finding.from_error(SUBJECT, ForeignStoreError(operator.id, different))
