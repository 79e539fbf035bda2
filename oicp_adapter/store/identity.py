"""
Reads what tells this store from others, and keeps what each lane knows of it.

1. What a server does not let this user ask is left out: a missing fact tells nothing.
2. An address on this machine is one address whatever its port: what listens there is a proxy or a test. Elsewhere a
   port that is the usual one makes no difference, whether somebody wrote it or not.

Source: PostgreSQL, "Control Data Functions", "Backup Control Functions" (`pg_walfile_name` begins with the timeline).
"""

import ipaddress
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import Connection, bindparam, delete, insert, select

from oicp_adapter.domain.errors import StoreFault, StoreUnavailableError, foreign_text
from oicp_adapter.store.engine import Store
from oicp_adapter.store.failures import MAKE_FILE
from oicp_adapter.store.schema import identity_row
from oicp_adapter.store.transactions import raw
from oicp_adapter.sync.identity import StoreIdentity

_THIS_MACHINE: Final = "this machine"
_HTTPS: Final = 443
_POSTGRESQL: Final = 5432
_DATABASE: Final = "SELECT datname || ' (' || oid || ')' FROM pg_database WHERE datname = current_database()"
_SYSTEM: Final = "SELECT system_identifier::text FROM pg_control_system()"
_TIMELINE: Final = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_KNOWN: Final = select(
    identity_row.c.hub,
    identity_row.c.address,
    identity_row.c.database,
    identity_row.c.system,
    identity_row.c.timeline,
).where(identity_row.c.lane == bindparam("lane"))


def find_identity(connection: Connection, store: Store, *, hub_url: str) -> StoreIdentity:
    """
    Read what the store is; outside of a transaction, since a fact that is refused would end it.

    Args:
        connection: Idle.
        hub_url: Of the hub that its ledger speaks of.

    Raises:
        StoreUnavailableError: SQLite's file is not where it was opened.
    """
    hub = urlsplit(hub_url)
    named = f"{_place(hub.hostname or '', hub.port, usual=_HTTPS)}{hub.path.rstrip('/')}"
    if store.path is not None:
        return StoreIdentity(named, None, f"file {_number(store.path)}", None, None)
    timeline = _fact(connection, _TIMELINE)
    return StoreIdentity(
        hub=named,
        address=_place(*store.server, usual=_POSTGRESQL),
        database=_fact(connection, _DATABASE),
        system=_fact(connection, _SYSTEM),
        timeline=int(timeline, 16) if timeline is not None else None,
    )


def known_identity(connection: Connection, lane: str) -> StoreIdentity | None:
    """Return what a lane knows of its store; None: it never worked with one."""
    row = connection.execute(_KNOWN, {"lane": lane}).first()
    return StoreIdentity(*row) if row is not None else None


def remember_identity(
    connection: Connection, lane: str, identity: StoreIdentity, *, now: datetime, adopted_by: str | None = None
) -> None:
    """Let a lane know its store; the lane's row is locked."""
    connection.execute(delete(identity_row).where(identity_row.c.lane == lane))
    connection.execute(
        insert(identity_row).values(
            lane=lane,
            hub=identity.hub,
            address=identity.address,
            database=identity.database,
            system=identity.system,
            timeline=identity.timeline,
            recorded_at=now,
            adopted_by=adopted_by,
        )
    )


def _number(file: str) -> int:
    """Return a file's number on the disk; it may have been moved away since it was opened."""
    try:
        return Path(file).stat().st_ino
    except OSError as error:
        what = f"the store's file {foreign_text(file)} cannot be looked at any more ({error.strerror})"
        raise StoreUnavailableError(what, cure=MAKE_FILE, fault=StoreFault.FILE) from error


def _fact(connection: Connection, statement: str) -> str | None:
    """Ask for one fact; None when this server or this user does not allow the question."""
    try:
        row = raw(connection).execute(statement).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFunction):
        return None
    return str(row[0]) if row is not None and row[0] is not None else None


def _place(host: str, port: int | None, *, usual: int) -> str:
    """Name a host and port; of this machine the port does not matter, nor by which name it is called."""
    if not host or host.startswith("/") or host == "localhost":
        return _THIS_MACHINE
    try:
        if ipaddress.ip_address(host).is_loopback:
            return _THIS_MACHINE
    except ValueError:
        pass
    return host.lower() if port in {None, usual} else f"{host.lower()}:{port}"
