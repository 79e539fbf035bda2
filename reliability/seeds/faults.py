"""
Holds the registry of injectors, each a fault of FAULTS.md by its number and what it demands of the bound.

An injector arms its fault at a random moment of a run; that it took effect is counted apart, when it does.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from oicp_adapter.simulator.hub import Hub
from reliability.seeds.judge import Judge
from reliability.seeds.replica import Deployment, Replica, StoreTrouble
from reliability.seeds.wire import Network
from reliability.seeds.world import World
from reliability.seeds.writers import Writers


class Stage(Protocol):
    """What an injector may touch."""

    world: World
    hub: Hub
    network: Network
    deployment: Deployment
    trouble: StoreTrouble
    judge: Judge
    writers: Writers
    replicas: list[Replica]
    dice: random.Random

    def fired(self, name: str) -> None:
        """Count that a fault took effect."""

    def strike(self, name: str, kind: str, *, lasts: float | None = None, **fault: Any) -> None:
        """Inject a fault into the hub's book; it is counted when it strikes."""

    def busy(self, seconds: float) -> None:
        """Let nothing be healed before a fault has run for so long."""


@dataclass(frozen=True, slots=True)
class Injector:
    """
    One named fault.

    Attributes:
        name: Its number in FAULTS.md and what it is.
        arm: Brings it about, at once or soon.
        bound: What it adds to the bound of I1: `sweep`, `reassert`, `hold`, `retry_after`.
        blind: It hides changes from hints.
    """

    name: str
    arm: Callable[[Stage], None]
    bound: frozenset[str] = frozenset()
    blind: bool = False


INJECTORS: Final[dict[str, Injector]] = {}
"""All, by name."""


def injector(
    name: str, *bound: str, blind: bool = False
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Register an injector under a name."""

    def register(arm: Callable[[Stage], None]) -> Callable[[Stage], None]:
        INJECTORS[name] = Injector(name, arm, frozenset(bound), blind)
        return arm

    return register


def hub_fault(name: str, kind: str, *bound: str, **fault: Any) -> None:
    """Register a fault that strikes one of the next requests as it stands."""
    INJECTORS[name] = Injector(name, lambda stage: stage.strike(name, kind, count=1, **fault), frozenset(bound))


def bound_of(names: Sequence[str]) -> Mapping[str, int]:
    """Count what the faults of a run add to its bound."""
    parts = [part for name in names if name in INJECTORS for part in sorted(INJECTORS[name].bound)]
    return {part: parts.count(part) for part in sorted(set(parts))}
