"""
A machine of one lane with a fault proxy before its hub and its store, and the books of its daemons.

1. What the hub should hold is computed here, from the shared tables alone, by a table of its own.
2. The hub's journal is the oracle of what was sent and when.
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.oicp.development_pki import DevelopmentPki
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.journal import Exchange
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.types import read_instant
from reliability.real.cluster import Cluster
from reliability.real.machine import OPERATOR, Machine
from reliability.real.nursery import Nursery
from reliability.real.process import Process, eventually
from reliability.real.proxy import FaultProxy

TOLD: Final = {"Available": "Available", "Charging": "Occupied", "Faulted": "OutOfService"}
"""What the hub is told of the words that the writers here use."""

SETTLE: Final = 0.2
LATE_APPLY: Final = 4.0
LEASE: Final = 2.0
REQUEST_TIMEOUT: Final = 1.5
PER_MINUTE: Final = 600


class HubOfVersion(SimulatorServer):
    """The simulator with one version of TLS only."""

    def __init__(self, config: SimulatorConfig, version: ssl.TLSVersion | None) -> None:
        super().__init__(config)
        self._version = version

    def _run(self, context: ssl.SSLContext) -> None:
        if self._version is not None:
            context.minimum_version = context.maximum_version = self._version
        super()._run(context)


@dataclass(slots=True)
class Site(Machine):
    """
    A machine with one lane and all ways to and from it.

    Attributes:
        way: The proxy between the daemons and the hub.
        lines: The proxy between the daemons and PostgreSQL; None: the store is a SQLite file.
    """

    way: FaultProxy
    lines: FaultProxy | None

    @property
    def sqlite(self) -> bool:
        return self.lines is None

    def settled(self, size: int = 5) -> Process:
        """Start a daemon, give it a fleet, and wait until the hub and the books are at rest."""
        self.fleet(size)
        process = self.daemon()
        self.rest()
        return process

    def read(self, statement: str, **values: Any) -> Sequence[Any]:
        """Return the rows that a statement gives, without a lock that anybody would notice."""
        with self.store.reading() as connection:
            return connection.execute(text(statement), values).all()

    def one(self, statement: str, **values: Any) -> Any:
        """Return the one value that a statement gives."""
        return self.read(statement, **values)[0][0]

    def expected(self) -> Mapping[str, str]:
        """Return what the hub should hold now, by shared tables with windows of maintenance only, and their clock."""
        with self.store.reading() as connection:
            now = self.store.now(connection)
            rows = connection.execute(text("SELECT evse_id, status FROM evse_status")).all()
            windows = connection.execute(text("SELECT evse_id, valid_from, valid_to, ended_at FROM temporary_status"))
            blocked = {row.evse_id for row in windows if _applies(row.valid_from, (row.valid_to, row.ended_at), now)}
        return {evse_key(row.evse_id): "OutOfService" if row.evse_id in blocked else TOLD[row.status] for row in rows}

    def entries(self) -> Sequence[Exchange]:
        """Return the requests that the hub has seen, oldest first."""
        return list(self.hub.hub.journal.entries)

    def applied(self) -> int:
        return int(self.hub.hub.journal.counters["applied"])

    def owed(self) -> int:
        """Return how many intents, doubts, debts and differences are in the books."""
        return int(
            self.one(
                "SELECT (SELECT count(*) FROM oicp_intent) + (SELECT count(*) FROM oicp_hint) + (SELECT count(*)"
                " FROM oicp_ledger WHERE doubted_at IS NOT NULL OR debt_at IS NOT NULL OR pending_since IS NOT NULL)"
            )
        )

    def intents(self) -> int:
        return int(self.one("SELECT count(*) FROM oicp_intent"))

    def at_rest(self) -> bool:
        """Whether the server runs no statement: one that a process sent before it died goes on to its commit."""
        busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        return self.sqlite or self.one(f"{busy} AND pid <> pg_backend_pid()") == 0

    def holder(self) -> str | None:
        """Return who holds the lane's lease."""
        rows = self.read("SELECT holder FROM oicp_lane")
        return rows[0][0] if rows else None

    def leader(self) -> Process:
        """Wait until a process that was started here holds the lease, and return it."""

        def held() -> Process | None:
            pid = (self.holder() or "//").split("/")[1]
            return next(
                (process for process in self.processes if str(process.pid) == pid and process.code is None), None
            )

        found: Process = eventually(held, every=0.05)
        return found

    def caught_up(self) -> None:
        """Wait until the hub holds what it should now, and no request is open; nobody may write meanwhile."""
        wanted = self.expected()  # once: to ask the store again and again costs more than all daemons together
        eventually(lambda: self.at_hub() == wanted and not self.intents(), every=0.05, told=self.books)

    def rest(self) -> None:
        """Wait until nothing is owed and the hub holds what it should."""
        self.caught_up()
        eventually(lambda: not self.owed(), every=0.1, told=self.books)
        self.caught_up()

    def books(self) -> str:
        """Return what the books hold, for people."""
        rows = [self.read(f"SELECT * FROM {table}") for table in ("oicp_lane", "oicp_intent", "oicp_ledger")]
        return "\n".join(str(row) for table in rows for row in table)

    def instant(self, statement: str) -> datetime | None:
        """Return the one instant that a statement gives."""
        value = self.one(statement)
        return _instant(value) if value is not None else None


def evse(number: int) -> str:
    """Return the EvseID of the nth charging spot."""
    return f"{OPERATOR}*E{number}"


@contextmanager
def opened_site(
    folder: Path,
    *,
    nursery: Nursery,
    pki: DevelopmentPki,
    file: Path | None = None,
    cluster: Cluster | None = None,
    version: ssl.TLSVersion | None = None,
) -> Iterator[Site]:
    """
    Make a site, and end everything of it.

    Args:
        file: A migrated SQLite file of its own.
        cluster: A running PostgreSQL server, for a database of its own; instead of *file*.
        version: The only version of TLS that the hub speaks; None: 1.2 and 1.3.
    """
    options = HubOptions(strict=True, partners={OPERATOR: frozenset()}, history=200)
    config = SimulatorConfig(pki.hub.certificate, pki.hub.private_key, pki.client_ca.certificate, options=options)
    database = cluster.fresh() if cluster is not None else None
    with HubOfVersion(config, version) as hub, FaultProxy(_address(hub)) as way:
        lines = FaultProxy(("127.0.0.1", cluster.port)) if cluster is not None else None
        direct, through = f"sqlite:///{file}", f"sqlite:///{file}"
        if cluster is not None and lines is not None and database is not None:
            direct, through = cluster.url(database), cluster.url(database, port=lines.port)
        pair = pki.clients[OPERATOR]
        with open_store(direct) as store:
            site = Site(
                folder,
                nursery,
                hub,
                store,
                way=way,
                lines=lines,
                sections={
                    "store": {"url": through},
                    "hub": {
                        "url": f"https://127.0.0.1:{way.port}/api/oicp",
                        "ca_file": pki.hub_ca.certificate,
                        "request_timeout": REQUEST_TIMEOUT,
                    },
                    "push": {
                        "settle": SETTLE,
                        "late_apply": LATE_APPLY,
                        "lease": LEASE,
                        "requests_per_minute": PER_MINUTE,
                    },
                    "log": {"format": "json", "level": "debug"},
                },
                operators=[{"id": OPERATOR, "certificate": pair.certificate, "private_key": pair.private_key}],
            )
            try:
                yield site
            finally:
                site.clean_up()
                if lines is not None:
                    lines.close()


def _address(hub: SimulatorServer) -> tuple[str, int]:
    return "127.0.0.1", int(hub.url.split(":")[2].split("/")[0])


def _applies(start: Any, ends: Sequence[Any], now: datetime) -> bool:
    begins, over = _instant(start), [_instant(end) for end in ends if end is not None]
    return begins <= now and all(now < end for end in over)


def _instant(value: Any) -> datetime:
    """Return an instant as either store gives it."""
    read = read_instant(value) if isinstance(value, str) else value
    assert read is not None
    return read.astimezone(UTC)
