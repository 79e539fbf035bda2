"""Opens the operator page in a real browser, over a real store, with the real hub and daemon where they are needed."""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from oicp_adapter.control.access import NewToken, create_token
from oicp_adapter.control.desk import Desk, desk_of
from oicp_adapter.control_server import ControlServer
from oicp_adapter.domain.access import EVERYTHING, Actor, Grant, Scope
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.oicp.development_pki import DevelopmentPki, create_development_pki
from oicp_adapter.settings import load_settings
from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer
from oicp_adapter.store.engine import Store, open_store
from reliability.real.interpreter import Interpreter
from reliability.real.machine import run_sql, settings_text, written
from reliability.real.process import Process, eventually

PATIENCE = 30.0
ROOT = Actor("root", None, EVERYTHING)
ALL_RIGHTS = Grant(scopes=frozenset(Scope), kinds=frozenset(TemporaryStatus))


@dataclass
class House:
    """
    An operator's house: the store, the page, and whoever needs them a hub and a daemon.

    Attributes:
        url: Of the page.
        token: With all rights.
    """

    folder: Path
    store: Store
    desk: Desk
    url: str
    token: str
    hub: SimulatorServer | None
    opened: ExitStack

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        """Run a statement as another program would."""
        return run_sql(self.store, statement, values)

    def evse(
        self,
        evse_id: str,
        status: str = "Available",
        *,
        location: str | None = "Mainz, Rheinufer",
        box: str | None = "CB-1",
        zone: str | None = "Europe/Berlin",
    ) -> None:
        """Write an EVSE and where it stands."""
        self.sql(
            "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, 'DE*ABC', :status)",
            evse=evse_id,
            status=status,
        )
        self.sql(
            "INSERT INTO evse_location (evse_id, location, charge_box, time_zone)"
            " VALUES (:evse, :location, :box, :zone)",
            evse=evse_id,
            location=location,
            box=box,
            zone=zone,
        )

    def window(self, evse_id: str, kind: str, start: datetime, end: datetime | None, reason: str | None = None) -> int:
        """Write a window as another program would, and return its number."""
        rows = self.sql(
            "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to, reason)"
            " VALUES (:evse, :kind, :start, :end, :reason) RETURNING id",
            evse=evse_id,
            kind=kind,
            start=written(self.store, start),
            end=written(self.store, end),
            reason=reason,
        )
        return int(rows[0][0])

    def windows(self) -> Sequence[Any]:
        return self.sql("SELECT * FROM temporary_status ORDER BY id")

    def token_of(self, name: str, **grant: Any) -> str:
        """Make a token with some rights."""
        return create_token(self.desk, ROOT, NewToken(name=name, **grant))[1]

    def will(self, kind: str, *, count: int | None = 1, **fault: Any) -> None:
        """Let a fault strike at the hub."""
        assert self.hub is not None
        self.hub.faults.add(Fault.model_validate({"kind": kind, "count": count, **fault}))

    @contextmanager
    def without_hub(self) -> Iterator[None]:
        """Cut the hub off, and let it come back at its address with what it knew."""
        assert self.hub is not None
        self.hub.config = replace(self.hub.config, port=urlsplit(self.hub.url).port)
        self.hub.stop()
        yield
        self.hub.start()

    def at_hub(self, evse_id: str) -> str | None:
        assert self.hub is not None
        held = self.hub.hub.find(evse_id)
        return held.status if held else None


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentPki:
    return create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=["DE*ABC"], valid_for=timedelta(days=60), now=datetime.now(UTC)
    )


@pytest.fixture
def build(migrated_file: Path, pki: DevelopmentPki, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Make a house; with its daemon and a hub when asked for, else without either."""
    with ExitStack() as opened:

        def make(*, alive: bool = False) -> House:
            shutil.copy(migrated_file, tmp_path / "store.db")
            config = SimulatorConfig(
                pki.hub.certificate,
                pki.hub.private_key,
                pki.client_ca.certificate,
                options=HubOptions(strict=True, partners={"DE*ABC": frozenset()}, history=50),
            )
            hub = opened.enter_context(SimulatorServer(config)) if alive else None
            path = _settings(tmp_path, pki, hub.url if hub is not None else "https://127.0.0.1:9/api/oicp")
            ports = {"control.port": 0, "monitoring.port": _daemon(opened, path, tmp_path) if alive else 9}
            settings = load_settings(path, ports, {})
            store = opened.enter_context(open_store(f"sqlite:///{tmp_path}/store.db"))
            desk = desk_of(settings, store)
            server = ControlServer(desk_of(settings, open_store(settings.store.url)))
            opened.enter_context(_running(server))
            token = create_token(desk, ROOT, NewToken("Night shift", ALL_RIGHTS.scopes, ALL_RIGHTS.kinds))[1]
            return House(tmp_path, store, desk, server.url, token, hub, opened)

        yield make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser; no longer than a module, for its driver's event loop is in the way of all others of the thread."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1400, "height": 900}) as opened:
        opened.set_default_timeout(PATIENCE * 1000)
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page; whatever its scripts complain of fails the test."""
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    # What the tests ask for on purpose: refused forms, and pages about what is not there.
    assert [each for each in complaints if "the server responded with a status of 4" not in each] == []


@pytest.fixture
def sign_in(page: Page) -> Callable[..., Page]:
    def do(house: House, token: str | None = None) -> Page:
        enter(page, house, token)
        return page

    return do


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Callable[[House], Page]]:
    """Sign in with a browser that runs no scripts."""
    with browser.new_context(viewport={"width": 1400, "height": 900}, java_script_enabled=False) as opened:
        opened.set_default_timeout(PATIENCE * 1000)

        def do(house: House) -> Page:
            page = opened.new_page()
            enter(page, house)
            return page

        yield do


def enter(page: Page, house: House, token: str | None = None) -> None:
    """Sign in with a token."""
    page.goto(f"{house.url}/")
    page.get_by_label("Token").fill(token or house.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Chargers").wait_for()


@pytest.fixture(name="enter", scope="session")
def _enter() -> Callable[..., None]:
    return enter


def _settings(folder: Path, pki: DevelopmentPki, hub_url: str) -> Path:
    pair = pki.clients["DE*ABC"]
    sections: Mapping[str, Mapping[str, Any]] = {
        "store": {"url": f"sqlite:///{folder}/store.db"},
        "hub": {"url": hub_url, "ca_file": pki.hub_ca.certificate, "request_timeout": 2.0},
        "push": {"settle": 0.3, "late_apply": 3.0, "lease": 2.0},
        "monitoring": {"port": 0},
    }
    operator = {
        "id": "DE*ABC",
        "name": "ABC technologies",
        "certificate": pair.certificate,
        "private_key": pair.private_key,
    }
    path = folder / "oicp-adapter.toml"
    path.write_text(settings_text(sections, [operator]))
    return path


@contextmanager
def _running(server: ControlServer) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)


def _daemon(opened: ExitStack, config: Path, folder: Path) -> int:
    """Start `oicp-adapter run`, wait until it is ready, and return the port of its metrics."""
    daemon = Process(Interpreter(), ["--config", str(config), "run", "--announce"], folder=folder, number=0)
    opened.callback(daemon.clean_up)
    daemon.started()
    return int(str(daemon.url).rpartition(":")[2])


@pytest.fixture(name="eventually", scope="session")
def _eventually() -> Callable[..., Any]:
    return eventually
