"""Measures a whole fleet: its first full load and what bounds that, the restart, the memory, and what idling costs."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

from benchmarks.ceilings import Ceilings
from benchmarks.daemon import AdapterDaemon
from benchmarks.figures import MeasurementError, Row
from benchmarks.fleet import OPERATOR
from benchmarks.hub import Request
from benchmarks.scene import Scene

FULL_LOAD_GOAL: Final = 2.0
"""Times the sum of its ceilings that a full load may take, the start of the process left out."""

MEMORY_GOAL: Final = 200.0
"""Megabytes that the daemon may hold at most, whatever the fleet."""

RESTART_GOAL: Final = 2.0
"""Seconds from the start of the process to the hub's first byte of a change that waited."""

IDLE_GOAL: Final = 0.01
"""Share of a core that an idle daemon may use."""

_ACKNOWLEDGED: Final = "push.acknowledged"
_TAKEN: Final = "lane.taken"
_LOG_WITHIN: Final = 60.0


def measure_full_load(scene: Scene, ceilings: Ceilings, *, filled_in: float) -> Iterator[Row]:
    """Yield the rows about a fleet at an empty hub, its ledger empty, its hints as the writer left them."""
    yield scene.row(
        "filling evse_status with the triggers in place: seconds (a hint for each row is left)",
        f"{filled_in:.2f}",
        details={"rows_per_second": scene.size / filled_in},
    )
    with scene.daemon() as daemon:
        scene.hub.wait_for_records(scene.size, patience=scene.patience, daemon=daemon)
        sent = scene.hub.performed(OPERATOR, since=0)
        acknowledged_at = _acknowledged_at(daemon, len(sent))
        scene.settled()
        daemon.wait_until_quiet(within=scene.patience)
        yield from _full_load_rows(scene, ceilings, daemon, (sent[0], sent[-1]), acknowledged_at)
        yield measure_memory(scene, daemon, "full load")


def _full_load_rows(
    scene: Scene, ceilings: Ceilings, daemon: AdapterDaemon, ends: tuple[Request, Request], acknowledged_at: float
) -> Iterator[Row]:
    taken_at, (first, last) = daemon.told_at(_TAKEN)[0], ends
    instants = (taken_at, first.first_byte_at, last.performed_at, acknowledged_at)
    steps = [instant - daemon.started_at for instant in instants]
    took, least = acknowledged_at - taken_at, ceilings.full_load
    yield scene.row(
        "full load, seconds from the process's start: lane taken / first byte at the hub / performed / in the ledger",
        " / ".join(f"{step:.2f}" for step in steps),
        details={
            "steps": steps,
            "ready_after": daemon.ready_after,
            "answered_after": last.answered_at - daemon.started_at,
        },
    )
    yield scene.row(
        "full load, seconds from the lane's start to the ledger (read + bare post + one statement for the ledger)",
        f"{took:.2f}",
        beside=f"{least:.2f} = {ceilings.read:.2f} + {ceilings.post:.2f} + {ceilings.ledger:.2f}",
        goal=f"at most {FULL_LOAD_GOAL:.0f} times",
        met=took <= FULL_LOAD_GOAL * least,
        details={"seconds": took, "ratio": took / least, **ceilings.as_json()},
    )


def _acknowledged_at(daemon: AdapterDaemon, count: int) -> float:
    """Return when the daemon reported its first *count* requests as in the ledger."""
    end = time.monotonic() + _LOG_WITHIN
    while len(told := daemon.told_at(_ACKNOWLEDGED)) < count:
        daemon.require_alive()
        if time.monotonic() > end:
            raise MeasurementError(f"{len(told)} of {count} requests were acknowledged:\n{daemon.log_end()}")
        time.sleep(0.1)
    return told[count - 1]


def measure_restarts(scene: Scene) -> Row:
    """Return the row about a daemon that starts with a full ledger while a change waits for it."""
    took, taken = [], []
    for _ in range(scene.sizes.restarts):
        scene.writer.update(scene.fleet.change(1))
        before = scene.hub.counters()["requests"]
        with scene.daemon() as daemon:
            push = scene.hub.wait_for_push(since=before, patience=scene.patience, daemon=daemon)
            took.append(push.first_byte_at - daemon.started_at)
            taken.append(daemon.told_at(_TAKEN)[0] - daemon.started_at)
            scene.settled()
    typical = median(took)
    return scene.row(
        "restart, full ledger, a change pending: seconds from the process's start to the first push (lane taken)",
        f"{typical:.2f}",
        beside=f"{median(taken):.2f}",
        goal=f"< {RESTART_GOAL:.0f}",
        met=typical < RESTART_GOAL,
        details={"seconds": took, "taken": taken},
    )


def measure_memory(scene: Scene, daemon: AdapterDaemon, after: str = "changes and bursts") -> Row:
    """Return the row about the most memory that a daemon has held so far."""
    peak = daemon.peak_memory()
    return scene.row(
        f"{after}: peak memory of the daemon (VmHWM), MB",
        f"{peak:.0f}",
        goal=f"< {MEMORY_GOAL:.0f}",
        met=peak < MEMORY_GOAL,
        details={"megabytes": peak},
    )


def measure_idle(scene: Scene, daemon: AdapterDaemon) -> Row:
    """Return the row about a daemon, and its database server, to which nothing happens."""
    seconds = scene.sizes.idle
    daemon.wait_until_quiet(within=scene.patience)
    own, server, began = daemon.processor_time(), scene.stores.processor_time(), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    share = (daemon.processor_time() - own) / took
    used = scene.stores.processor_time()
    of_server = (used - server) / took if used is not None and server is not None else None
    return scene.row(
        "idle: % of a core (the database server's processes)",
        f"{100 * share:.2f}",
        beside="" if of_server is None else f"{100 * of_server:.2f}",
        goal=f"< {100 * IDLE_GOAL:.0f}",
        met=share < IDLE_GOAL,
        details={"share": share, "server_share": of_server, "seconds": seconds},
    )
