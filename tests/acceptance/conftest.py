"""Runs `oicp-adapter run` as a child process against the simulator over mutual TLS; every wait has a deadline."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oicp_adapter.oicp.development_pki import Authority, DevelopmentPki, KeyPair, create_development_pki
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer
from oicp_adapter.store.engine import open_store
from reliability.real.interpreter import Interpreter
from reliability.real.machine import Machine
from reliability.real.process import PATIENCE, Process, eventually

OPERATORS = ("DE*ABC", "DE*XYZ")
REQUEST_TIMEOUT = 2.0


@dataclass(slots=True)
class Site(Machine):
    """
    A machine with one lane, or two.

    Attributes:
        secret: The password of the first operator's private key.
    """

    starter: Interpreter
    pki: DevelopmentPki
    secret: str
    opened: ExitStack

    def command(self, *arguments: str, within: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
        """Run another command with the same settings."""
        return self.starter.run(["--config", str(self.config()), *arguments], folder=self.folder, within=within)

    def client_pair(self, name: str, operator: str, *, valid_for: timedelta = timedelta(days=90)) -> KeyPair:
        """Make a certificate and key of their own for an operator."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        now = datetime.now(UTC)
        issued = Authority.load(self.pki.client_ca).issue_client(
            operator, not_before=now - timedelta(hours=1), not_after=now + valid_for
        )
        return issued.write(KeyPair(folder / "client.pem", folder / "client.key"))

    def add_operator(self, operator: str) -> None:
        """Let the settings have a lane more."""
        pair = self.pki.clients[operator]
        self.operators.append({"id": operator, "certificate": pair.certificate, "private_key": pair.private_key})

    def simulator(self, *, port: int = 0) -> SimulatorServer:
        """Start another hub that knows the same certificates."""
        return self.opened.enter_context(SimulatorServer(replace(self.hub.config, port=port)))

    def loaded(self, size: int = 3) -> Process:
        """Give the first operator a fleet, start a daemon, and wait until its full load is acknowledged."""
        self.fleet(size)
        daemon = self.daemon()
        eventually(lambda: daemon.log("push.acknowledged", action="fullLoad"))
        return daemon


@pytest.fixture(scope="session")
def site_pki(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentPki:
    return create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=OPERATORS, valid_for=timedelta(days=60), now=datetime.now(UTC)
    )


@pytest.fixture
def store_url(migrated_file: Path, tmp_path: Path) -> str:
    """The store of the test; a SQLite file unless the test says otherwise."""
    shutil.copy(migrated_file, tmp_path / "store.db")
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def site(site_pki: DevelopmentPki, store_url: str, tmp_path: Path) -> Iterator[Site]:
    """Everything around a daemon with the lane of DE*ABC."""
    config = SimulatorConfig(
        site_pki.hub.certificate,
        site_pki.hub.private_key,
        site_pki.client_ca.certificate,
        options=HubOptions(strict=True, partners={each: frozenset() for each in OPERATORS}, history=50),
    )
    sections: dict[str, dict[str, Any]] = {
        "store": {"url": store_url},
        "push": {"settle": 0.3, "late_apply": 3.0, "lease": 2.0},
        "monitoring": {"port": 0},
        "log": {"format": "auto", "level": "debug"},
    }
    pair = site_pki.clients["DE*ABC"]
    operators = [{"id": "DE*ABC", "name": "ABC", "certificate": pair.certificate, "private_key": pair.private_key}]
    with ExitStack() as opened:
        hub = opened.enter_context(SimulatorServer(config))
        store = opened.enter_context(open_store(store_url))
        sections["hub"] = {
            "url": hub.url,
            "ca_file": site_pki.hub_ca.certificate,
            "request_timeout": REQUEST_TIMEOUT,
        }
        made = Site(tmp_path, Interpreter(), hub, store, sections, operators, site_pki, "canary-4f1c9", opened)
        yield made
        made.clean_up()
        for process in made.processes:
            sys.stdout.write(process.text())  # pytest shows it with a test that failed


@pytest.fixture
def two_lanes(site: Site) -> Site:
    """The same with a second lane, DE*XYZ."""
    site.add_operator("DE*XYZ")
    return site


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(name="eventually", scope="session")
def _eventually() -> Callable[..., Any]:
    return eventually
