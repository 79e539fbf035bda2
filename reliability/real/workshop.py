"""Makes sites out of what they share: one nursery, one PKI, one migrated file, one PostgreSQL server."""

import shutil
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from oicp_adapter.oicp.development_pki import DevelopmentPki, create_development_pki
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade
from reliability.real.cluster import Cluster
from reliability.real.machine import OPERATOR
from reliability.real.nursery import Nursery
from reliability.real.site import Site, opened_site

Kind = Literal["sqlite", "postgresql"]


@dataclass(slots=True)
class Workshop:
    """
    What sites share.

    Attributes:
        cluster: Started when the first site asks for it.
    """

    folder: Path
    nursery: Nursery
    pki: DevelopmentPki
    opened: ExitStack
    cluster: Cluster | None = None

    @contextmanager
    def site(
        self, kind: Kind, *, cluster: Cluster | None = None, version: ssl.TLSVersion | None = None
    ) -> Iterator[Site]:
        """
        Open a site in a folder of its own.

        Args:
            cluster: A server of the caller's, in place of the shared one.
            version: The only version of TLS that the hub speaks; None: 1.2 and 1.3.
        """
        folder = Path(mkdtemp(prefix="site-", dir=self.folder))
        file = None
        if kind == "sqlite":
            file = folder / "store.db"
            shutil.copy(self.folder / "migrated.db", file)
        else:
            cluster = cluster or self.shared()
        with opened_site(
            folder, nursery=self.nursery, pki=self.pki, file=file, cluster=cluster, version=version
        ) as site:
            yield site

    def shared(self) -> Cluster:
        """Return the server that all sites may use and none may stop; not for threads that ask side by side."""
        if self.cluster is None:
            self.cluster = self.opened.enter_context(Cluster())
        return self.cluster


def side_by_side(jobs: Mapping[str, Callable[[], None]], *, at_once: int = 8) -> None:
    """Run jobs in threads, since most of them wait; fail with the names of all that failed."""
    with ThreadPoolExecutor(at_once) as pool:
        running = {name: pool.submit(job) for name, job in jobs.items()}
    failed = {name: error for name, job in running.items() if (error := job.exception()) is not None}
    for name, error in failed.items():
        error.add_note(f"in: {name}")
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {len(jobs)}: {', '.join(failed)}", list(failed.values()))


@contextmanager
def opened_workshop(folder: Path) -> Iterator[Workshop]:
    """Make what sites share in an empty folder, and end it."""
    now = datetime.now(UTC)
    pki = create_development_pki(folder / "pki", operators=[OPERATOR], valid_for=timedelta(days=60), now=now)
    with open_store(f"sqlite:///{folder}/migrated.db") as store:
        upgrade(store)
    with ExitStack() as opened:
        yield Workshop(folder, opened.enter_context(Nursery()), pki, opened)
