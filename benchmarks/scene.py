"""Puts a store, a hub and a fleet together, so that each measurement says only what it measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.daemon import AdapterDaemon
from benchmarks.figures import Row
from benchmarks.fleet import OPERATOR, Fleet
from benchmarks.hub import Held, Hub
from benchmarks.sizes import Sizes
from benchmarks.stores import Stores, Writer, wait_for_no_hints

_PATIENCE: Final = 60.0
_PATIENCE_EACH: Final = 1 / 2500
"""Seconds an EVSE: a full load is one request, and until it was performed nothing is seen of it."""

_EQUAL_WITHIN: Final = 60.0


@dataclass(slots=True)
class Scene:
    """
    One fleet on one kind of store.

    Attributes:
        stores: Makes the store, and knows what its server costs.
        hints: Whether somebody takes the hints.
        requests: How many the daemon sent in the last measurement; its pacing gives so many back.
    """

    stores: Stores
    sizes: Sizes
    directory: Path
    url: str
    writer: Writer
    hub: Hub
    fleet: Fleet
    hints: bool = True
    requests: int = 0

    @property
    def size(self) -> int:
        """How many EVSEs there are."""
        return len(self.fleet.evse_ids)

    @property
    def patience(self) -> float:
        """Seconds without progress after which a measurement is given up."""
        return _PATIENCE + self.size * _PATIENCE_EACH

    def row(
        self,
        what: str,
        measured: str,
        *,
        beside: str = "",
        goal: str = "",
        met: bool | None = None,
        details: Mapping[str, object] | None = None,
    ) -> Row:
        """Return a cell of this store's and this size's."""
        return Row(self.stores.name, self.size, what, measured, beside, goal, met, details or {})

    def daemon(self, *, sweep_every: float = 300.0) -> AdapterDaemon:
        """Start a daemon on this store."""
        return AdapterDaemon(self.directory, hub=self.hub, store_url=self.url, sweep_every=sweep_every)

    def settled(self) -> Mapping[str, Held]:
        """Wait until nothing is left to look at and the hub equals the store; return what the hub holds."""
        if self.hints:
            wait_for_no_hints(self.writer, within=self.patience)
        return self.hub.wait_until_equal(OPERATOR, self.fleet.expected(), within=_EQUAL_WITHIN)
