"""Measures what a user would write instead, and the adapter beside it: the same fleet, hub and writer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.changes import ROUND_TRIP, drain, offer
from benchmarks.children import Child
from benchmarks.figures import Latencies, Row
from benchmarks.fleet import OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.scene import Scene
from benchmarks.sizes import Sizes
from benchmarks.stores import Stores

_PROGRAM: Final = Path(__file__).with_name("peer.py")


def measure_peers(stores: Stores, sizes: Sizes, directory: Path) -> Iterator[Row]:
    """Yield the rows that compare the two."""
    steady, at_once = sizes.peer_steady, sizes.peer_at_once
    (directory / "peer").mkdir()
    (directory / "adapter").mkdir()
    with _scene(stores, sizes, directory / "peer", hints=False) as scene, start_peer(scene) as peer:
        theirs, their_seconds = _measured(scene, peer)
    with _scene(stores, sizes, directory / "adapter") as scene, scene.daemon() as daemon:
        scene.hub.wait_for_records(scene.size, patience=scene.patience, daemon=daemon)
        scene.settled()
        daemon.wait_until_quiet(within=scene.patience)
        ours, our_seconds = _measured(scene, daemon)
        yield scene.row(
            f"peer: {steady.rate:,} changes/s for {steady.seconds:.0f} s, hub {1000 * ROUND_TRIP:.0f} ms:"
            " p50 / p95 / p99 / max, ms (a scan each second, pushed one by one)",
            str(ours),
            beside=str(theirs),
            details={"adapter": asdict(ours), "peer": asdict(theirs), "peer_to_adapter_p50": theirs.p50 / ours.p50},
        )
        yield scene.row(
            f"peer: {at_once:,} changes at once, hub {1000 * ROUND_TRIP:.0f} ms: seconds to the last"
            " (a scan each second, pushed one by one)",
            f"{our_seconds:.2f}",
            beside=f"{their_seconds:.2f}",
            details={"adapter": our_seconds, "peer": their_seconds, "peer_to_adapter": their_seconds / our_seconds},
        )


def _measured(scene: Scene, child: Child) -> tuple[Latencies, float]:
    """Return how changes travelled at a steady rate, and the seconds that those in one transaction took."""
    scene.hub.answer_after(ROUND_TRIP)
    steady = scene.sizes.peer_steady
    travelled, _ = offer(scene, child, steady.rate, steady.seconds)
    return travelled, drain(scene, child, scene.sizes.peer_at_once)


@contextmanager
def _scene(stores: Stores, sizes: Sizes, directory: Path, *, hints: bool = True) -> Iterator[Scene]:
    fleet = Fleet(OPERATOR, sizes.peer_fleet)
    with stores.fresh(directory) as (url, writer), Hub(directory) as hub:
        writer.insert(fleet)
        yield Scene(stores, sizes, directory, url, writer, hub, fleet, hints=hints)


def start_peer(scene: Scene) -> Child:
    """Start the peer on a store and at a hub; it is there when its full load was performed."""
    client = scene.hub.client(OPERATOR)
    arguments = [scene.url, scene.hub.url, OPERATOR, scene.hub.ca_file, client["certificate"], client["private_key"]]
    return Child(
        arguments, log=scene.directory / "peer.log", directory=scene.directory, program=[str(_PROGRAM.resolve())]
    )
