"""
Plays the demo from its first process to its verdict.

1. One loop writes what happens in the fleet, looks at everything, and shows it; nothing here acts for the daemon.
2. With an end, the fleet falls silent, what the hub holds is compared, and only then the daemon is ended.
3. Whatever happens, every process that was started is ended.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from oicp_adapter.demo.children import SceneFailedError, StoppedError
from oicp_adapter.demo.comparison import Comparison, await_equality, compare
from oicp_adapter.demo.endpoints import ask_held, ask_metrics, ask_requests
from oicp_adapter.demo.fleet import Life, StatusChanged, Tempo
from oicp_adapter.demo.folder import demo_folder
from oicp_adapter.demo.judgement import Judgement, Unpushable, judge
from oicp_adapter.demo.ledger import read_ledger
from oicp_adapter.demo.progress import Progress, Standing
from oicp_adapter.demo.scene import Scene, set_scene
from oicp_adapter.demo.source import Source, from_file, made_up
from oicp_adapter.demo.summary import Outcome, summary
from oicp_adapter.demo.tables import SharedTables
from oicp_adapter.demo.view import Frame, screen_for
from oicp_adapter.domain.errors import StoreError
from oicp_adapter.domain.exit_codes import ExitCode
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.engine import Store
from oicp_adapter.sync.model import LaneState

SEED: Final = 2023
"""The same fleet and the same life each time, as far as two machines are equally fast."""

FAILED: Final = ExitCode.DEMO_FAILED

_WRITE_EVERY: Final = 0.1
_LOOK_EVERY: Final = 0.25
_LOOK_SHARE: Final = 5
"""A look at a large fleet is much work; for at least so many times as long nothing is looked at."""

_METRICS_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    What the command line asks for.

    Attributes:
        seconds: How long the fleet lives; None: until the demo is stopped.
        evses: Size of a made-up fleet.
        file: A fleet to take instead; None: none.
        directory: Where everything is kept; None: nowhere.
    """

    seconds: float | None
    evses: int
    file: Path | None = None
    directory: Path | None = None


def play(wishes: Wishes, *, console: Console, say: Callable[[str], None], stop: threading.Event) -> int:
    """
    Play the whole demo and return its exit code.

    Args:
        console: Where the fleet and the summary are shown.
        say: Tells a person anything else.
        stop: Set when the demo is asked to end before its time.

    Returns:
        0 when the hub held what the store said, or when a demo without end was stopped; else 1.

    Raises:
        AdapterError: The folder, the file or the store cannot be used.
    """
    generator = random.Random(SEED)  # noqa: S311 - statuses of a demo are no secret
    source = from_file(wishes.file) if wishes.file is not None else made_up(wishes.evses, generator)
    skipped: list[Unpushable] = []

    def settle_in(store: Store) -> None:
        skipped.extend(source.settle_in(store))

    with demo_folder(wishes.directory) as folder:
        try:
            with (
                set_scene(folder, source.accounts, settle_in=settle_in, stop=stop) as scene,
                SharedTables(scene.store_file) as tables,
            ):
                say(f"hub: process {scene.hub.pid}, {scene.hub_url}; faults and journal at {scene.admin_url}")
                say(f"daemon: process {scene.daemon.pid}, metrics at {scene.monitoring_url}/metrics")
                say(f"operator page: {scene.control_url}/sign-in/{scene.user.code} (signs in once, within ten minutes)")
                say(f"API: {scene.control_url}/v2/ with the token {scene.user.token}")
                performance = _Play(wishes, source, scene, tables=tables, skipped=skipped, generator=generator)
                return performance.run(console, say, stop)
        except StoppedError:
            say("stopped before everything had started")
            return FAILED if wishes.seconds is not None else 0
        except SceneFailedError as exc:
            say(f"the demo failed: {exc}")
            return FAILED


class _Play:
    def __init__(
        self,
        wishes: Wishes,
        source: Source,
        scene: Scene,
        *,
        tables: SharedTables,
        skipped: Sequence[Unpushable],
        generator: random.Random,
    ) -> None:
        self._wishes = wishes
        self._accounts = source.accounts
        self._scene = scene
        self._tables = tables
        self._skipped = skipped
        self._mapping = StatusMapping()
        self._start = _now()
        self._progress = Progress(self._start)
        self._changes = 0
        self._refused: StoreError | None = None
        self._lanes: dict[str, LaneState] | None = None
        self._metrics_at = 0.0
        self._seen: dict[tuple[str, str], datetime | None] = {}
        judgement = self._judge()
        self._unpushable = judgement.left_out + sum(each.count for each in skipped)
        self._named = (*skipped, *judgement.unpushable)
        fleet = {str(each.row.evse_id): each.row.status for each in judgement.wanted}
        self._life = Life(fleet, start=self._start, tempo=Tempo.of(len(fleet)), draw=generator)

    def run(self, console: Console, say: Callable[[str], None], stop: threading.Event) -> int:
        for each in self._named:
            say(f"not pushed: {each}")
        with screen_for(console) as screen:
            self._live(screen.show, stop)
        comparison = None
        if (self._wishes.seconds is not None or self._refused is not None) and not stop.is_set():
            say("the fleet is silent now; waiting for what is under way")
            comparison = await_equality(self._compare, now=_now, pause=stop.wait)
        outcome = self._finish(comparison)
        for line in summary(outcome):
            console.print(line, soft_wrap=True)
        if comparison is None:
            return 0 if self._wishes.seconds is None and outcome.daemon.clean else FAILED
        if outcome.passed:
            return 0
        say(f"the daemon: {self._scene.daemon.tail()}")
        return FAILED

    def _live(self, show: Callable[[Frame], None], stop: threading.Event) -> None:
        """Let the fleet live, and show it, until the time is over or the demo is asked to stop."""
        began, look_at = time.monotonic(), 0.0
        seconds = self._wishes.seconds
        while not stop.is_set() and (seconds is None or time.monotonic() - began < seconds):
            now = _now()
            happened = self._life.until(now)
            try:
                self._tables.write(happened, now)
            except StoreError as exc:
                self._refused = exc
                return
            self._changes += sum(isinstance(each, StatusChanged) for each in happened)
            if time.monotonic() >= look_at:
                self._scene.require_alive()
                spent = time.thread_time()
                show(self._frame(time.monotonic() - began))
                look_at = time.monotonic() + max(_LOOK_EVERY, _LOOK_SHARE * (time.thread_time() - spent))
            stop.wait(_WRITE_EVERY)

    def _frame(self, elapsed: float) -> Frame:
        judgement = self._judge()
        # The ledger is read after the tables: what it has acknowledged by then can only be newer.
        ledger = read_ledger(self._scene.store, self._accounts)
        standings = self._progress.look(judgement.wanted, ledger, _now())
        seconds = self._wishes.seconds
        return Frame(
            elapsed=timedelta(seconds=elapsed),
            remaining=timedelta(seconds=seconds - elapsed) if seconds is not None else None,
            standings=standings,
            changed=self._changed(judgement, standings),
            lanes=self._lane_states(),
            changes=self._changes,
            unpushable=self._unpushable,
            metrics=f"{self._scene.monitoring_url}/metrics",
        )

    def _changed(self, judgement: Judgement, standings: Sequence[Standing]) -> Sequence[Standing]:
        before, self._seen = self._seen, {(each.lane, each.key): each.since for each in judgement.wanted}
        return [
            standing
            for each, standing in zip(judgement.wanted, standings, strict=True)
            if (each.lane, each.key) in before and before[each.lane, each.key] != each.since
        ]

    def _lane_states(self) -> dict[str, LaneState] | None:
        if time.monotonic() - self._metrics_at >= _METRICS_EVERY:
            self._metrics_at = time.monotonic()
            metrics = ask_metrics(self._scene.monitoring_url)
            self._lanes = dict(metrics.lanes) if metrics is not None else None
        return self._lanes

    def _judge(self) -> Judgement:
        now = _now()
        return judge(self._tables.read(now), self._accounts, now, self._mapping)

    def _compare(self) -> Comparison:
        self._scene.require_alive()
        held = ask_held(self._scene.admin_url)
        judgement = self._judge()
        self._progress.look(judgement.wanted, read_ledger(self._scene.store, self._accounts), _now())
        return compare(judgement, held)

    def _finish(self, comparison: Comparison | None) -> Outcome:
        requests = ask_requests(self._scene.admin_url)
        daemon = self._scene.daemon.end()
        return Outcome(
            comparison=comparison,
            skipped=self._skipped,
            changes=self._changes,
            windows=self._tables.count_windows(_now()),
            lags=self._progress.lags,
            requests=requests,
            refused=self._refused,
            daemon=daemon,
            hub=self._scene.hub.end(),
        )


def _now() -> datetime:
    return datetime.now(UTC)
