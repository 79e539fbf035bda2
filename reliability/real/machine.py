"""A machine with a hub, a store and settings, and the daemons that run on it as processes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.server import SimulatorServer
from oicp_adapter.store.engine import Store
from reliability.real.process import PATIENCE, Process, Starter, eventually

OPERATOR: Final = "DE*ABC"
INSERT: Final = "INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)"


@dataclass(slots=True)
class Machine:
    """
    Everything around daemons.

    Attributes:
        starter: The parent of the daemons.
        sections: The settings by section, but for the operators; change both before a daemon is started.
        operators: The settings of each lane.
        processes: Every daemon that was started, oldest first.
    """

    folder: Path
    starter: Starter
    hub: SimulatorServer
    store: Store
    sections: dict[str, dict[str, Any]]
    operators: list[dict[str, Any]]
    processes: list[Process] = field(default_factory=list, kw_only=True)

    def config(self) -> Path:
        """Write the settings, in one step since a daemon may be reading them; return their file."""
        path, beside = self.folder / "oicp-adapter.toml", self.folder / "settings.new"
        beside.write_text(settings_text(self.sections, self.operators))
        beside.replace(path)
        return path

    def start(self) -> Process:
        """Start a daemon without waiting for anything."""
        arguments = ["--config", str(self.config()), "run", "--monitoring-port", "0", "--announce"]
        process = Process(self.starter, arguments, folder=self.folder, number=len(self.processes))
        self.processes.append(process)
        return process

    def daemon(self) -> Process:
        """Start a daemon and wait until it is ready."""
        return self.start().started()

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        """Run a statement as another program would."""
        return run_sql(self.store, statement, values)

    def write(self, evse_id: str, status: str = "Available", operator: str = OPERATOR) -> None:
        self.sql(
            f"{INSERT} ON CONFLICT (evse_id) DO UPDATE SET status = excluded.status",
            evse=evse_id,
            operator=operator,
            status=status,
        )

    def fleet(self, size: int, operator: str = OPERATOR) -> None:
        for number in range(size):
            self.write(f"{operator}*E{number}", operator=operator)

    def window(self, evse_id: str, kind: str, start: datetime, end: datetime | None) -> None:
        self.sql(
            "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to) VALUES (:evse, :kind, :start, :end)",
            evse=evse_id,
            kind=kind,
            start=written(self.store, start),
            end=written(self.store, end),
        )

    def at_hub(self, operator: str = OPERATOR) -> Mapping[str, str]:
        return dict(self.hub.hub.statuses(operator))

    def requests(self) -> int:
        """Return how many requests the hub has seen."""
        return int(self.hub.hub.journal.counters["requests"])

    def arrives(self, evse_id: str, status: str, *, within: float = PATIENCE) -> None:
        """Wait until the hub shows a status."""
        eventually(lambda: (held := self.hub.hub.find(evse_id)) and held.status == status, within=within)

    def will(self, kind: str, *, count: int | None = 1, **fault: Any) -> int:
        """Let a fault strike at the hub."""
        return self.hub.faults.add(Fault.model_validate({"kind": kind, "count": count, **fault}))

    def clean_up(self) -> None:
        for process in self.processes:
            process.clean_up()


def run_sql(store: Store, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
    """Run a statement as another program would, in a transaction of its own; return its rows."""
    with store.writing() as connection:
        result = connection.execute(text(statement), values)
        return result.all() if result.returns_rows else []


def written(store: Store, at: datetime | None) -> datetime | str | None:
    """Return an instant as other programs write it into a store's tables; *at* must be UTC where that is SQLite."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f") if at is not None and store.dialect == "sqlite" else at


def settings_text(sections: Mapping[str, Mapping[str, Any]], operators: Sequence[Mapping[str, Any]]) -> str:
    """Return settings as a file has them."""
    parts = [f"[{name}]\n{_lines(values)}" for name, values in sections.items()]
    return "\n".join([*parts, *(f"[[operators]]\n{_lines(operator)}" for operator in operators)])


def _lines(values: Mapping[str, Any]) -> str:
    shown = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in shown.items())
