"""
Puts everything on the stage: the hub, the store with its fleet, the daemon between them, the operator page beside it.

What starts later is told where the earlier one is; nothing has a fixed port. Leaving ends it in the opposite order.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oicp_adapter.demo.children import Child, SceneFailedError, StoppedError
from oicp_adapter.demo.endpoints import ask_ready
from oicp_adapter.demo.first_user import FirstUser, first_user
from oicp_adapter.demo.folder import STORE
from oicp_adapter.demo.places import Account
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.migrate import upgrade

SETTINGS_FILE: Final = "oicp-adapter.toml"

START_WITHIN: Final = 60.0
"""Seconds in which a child must be ready; a busy machine needs a few to import the package."""

HUB_ENDS_WITHIN: Final = 5.0
CONTROL_ENDS_WITHIN: Final = 8.0
DAEMON_ENDS_WITHIN: Final = 12.0
"""Seconds after SIGTERM: a push that is out may take its whole time-out, and its outcome is recorded."""

_READY_EVERY: Final = 0.1
_REQUEST_TIMEOUT: Final = 5.0
_SETTLE: Final = 2.0
_LATE_APPLY: Final = 10.0
_SWEEP_EVERY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Scene:
    """
    Everything that runs.

    Attributes:
        folder: Holds the store, the settings and the logs.
        store_file: The SQLite store.
        admin_url: The hub's admin endpoint.
        monitoring_url: The daemon's monitoring endpoints.
        control_url: The operator page and the API.
        user: Who may use them.
    """

    folder: Path
    store_file: Path
    store: Store
    hub: Child
    daemon: Child
    control: Child
    hub_url: str
    admin_url: str
    monitoring_url: str
    control_url: str
    user: FirstUser

    def require_alive(self) -> None:
        """
        Do nothing while everything runs.

        Raises:
            SceneFailedError: A child ended by itself.
        """
        self.hub.require_alive()
        self.daemon.require_alive()
        self.control.require_alive()


@contextmanager
def set_scene(
    folder: Path, accounts: Sequence[Account], *, settle_in: Callable[[Store], None], stop: threading.Event
) -> Iterator[Scene]:
    """
    Start everything, and end it whatever happens.

    Args:
        accounts: The lanes.
        settle_in: Writes the fleet into the migrated store.
        stop: Set when the demo is asked to end; a start under way is then given up.

    Raises:
        SceneFailedError: Something did not start.
        StoppedError: *stop* was set before everything had started.
        StoreError: The fleet could not be written.
    """
    store_file = folder / STORE
    with (
        Child("hub", _hub_arguments(folder, accounts), directory=folder, ends_within=HUB_ENDS_WITHIN) as hub,
        open_store(f"sqlite:///{store_file}") as store,
    ):
        upgrade(store)
        settle_in(store)
        announced = hub.announcement(within=START_WITHIN, stop=stop)
        settings = folder / SETTINGS_FILE
        settings.write_text(settings_text(store_file, accounts, announced), encoding="utf-8")
        arguments = ["--config", str(settings), "run", "--announce", "--monitoring-port", "0"]
        with Child("daemon", arguments, directory=folder, ends_within=DAEMON_ENDS_WITHIN) as daemon:
            monitoring = str(daemon.announcement(within=START_WITHIN, stop=stop)["monitoring"])
            # From now on the file says where the daemon is, for the page and for whoever tries the commands with it.
            port = int(monitoring.rpartition(":")[2])
            settings.write_text(settings_text(store_file, accounts, announced, monitoring_port=port), encoding="utf-8")
            arguments = ["--config", str(settings), "serve", "--announce", "--port", "0"]
            with Child("control server", arguments, directory=folder, ends_within=CONTROL_ENDS_WITHIN) as control:
                user = first_user(settings, store)
                _await_ready(daemon, monitoring, stop)
                yield Scene(
                    folder=folder,
                    store_file=store_file,
                    store=store,
                    hub=hub,
                    daemon=daemon,
                    control=control,
                    hub_url=announced["url"],
                    admin_url=announced["admin_url"],
                    monitoring_url=monitoring,
                    control_url=str(control.announcement(within=START_WITHIN, stop=stop)["control"]),
                    user=user,
                )


def settings_text(store_file: Path, accounts: Sequence[Account], hub: Any, *, monitoring_port: int = 0) -> str:
    """
    Return the settings file of the daemon and the control server.

    Args:
        hub: What the hub announced, with each operator's certificate.
        monitoring_port: Of the daemon that runs; 0: it has none yet.
    """
    sections = [
        ("[store]", {"url": f"sqlite:///{store_file}", "sweep_every": _SWEEP_EVERY}),
        ("[hub]", {"url": hub["url"], "ca_file": hub["ca_file"], "request_timeout": _REQUEST_TIMEOUT}),
        *(
            (
                "[[operators]]",
                {
                    "id": account.operator_id,
                    "name": account.name,
                    "certificate": hub["operators"][account.operator_id]["certificate"],
                    "private_key": hub["operators"][account.operator_id]["private_key"],
                    "sub_operators": list(account.sub_operators),
                },
            )
            for account in accounts
        ),
        ("[push]", {"settle": _SETTLE, "late_apply": _LATE_APPLY}),
        ("[monitoring]", {"port": monitoring_port}),
        ("[log]", {"format": "json"}),
    ]
    # A JSON string, number or list of strings is one of TOML too, as long as no character is escaped as a surrogate.
    return "\n".join(
        "\n".join([heading, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()), ""])
        for heading, values in sections
    )


def _hub_arguments(folder: Path, accounts: Sequence[Account]) -> list[str]:
    arguments = ["hub", "--port", "0", "--admin-port", "0", "--dir", str(folder / "certs")]
    for account in accounts:
        arguments += ["--operator", account.operator_id]
        for sub_operator in account.sub_operators:
            arguments += ["--sub-operator", f"{account.operator_id}={sub_operator}"]
    return arguments


def _await_ready(daemon: Child, monitoring_url: str, stop: threading.Event) -> None:
    deadline = time.monotonic() + START_WITHIN
    while (reason := ask_ready(monitoring_url)) is not None:
        daemon.require_alive()
        if time.monotonic() > deadline:
            raise SceneFailedError(f"the daemon is not ready ({reason}); {daemon.tail()}")
        if stop.wait(_READY_EVERY):
            raise StoppedError
