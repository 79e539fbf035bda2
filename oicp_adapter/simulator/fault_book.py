"""Keeps the injected faults: how often each may still strike, and the generator that its probability is drawn from."""

import random
from dataclasses import dataclass

from oicp_adapter.simulator.faults import NO_EFFECT, Effect, Fault, Request, choose, effect_of


@dataclass(slots=True, eq=False)
class _Injected:
    number: int
    fault: Fault
    dice: random.Random
    struck: int = 0

    @property
    def exhausted(self) -> bool:
        return self.fault.count is not None and self.struck >= self.fault.count


class FaultBook:
    """All injected faults, oldest first. The same faults and requests in the same order strike the same way."""

    def __init__(self) -> None:
        self._injected: list[_Injected] = []
        self._numbers = 0

    def add(self, fault: Fault) -> int:
        """Inject a fault and return its number."""
        self._numbers += 1
        self._injected.append(_Injected(self._numbers, fault, random.Random(fault.seed)))  # noqa: S311 - a test's dice
        return self._numbers

    def remove(self, number: int) -> bool:
        """Remove one fault; False: there is none of that number."""
        before = len(self._injected)
        self._injected = [injected for injected in self._injected if injected.number != number]
        return len(self._injected) < before

    def clear(self) -> None:
        """Remove all faults."""
        self._injected = []

    def struck(self, number: int) -> int:
        """Return how often a fault has struck; 0 also for a number that is not there."""
        return sum(injected.struck for injected in self._injected if injected.number == number)

    def strike(self, request: Request) -> Effect:
        """Decide what happens to a request, and count it."""
        alive = [injected for injected in self._injected if not injected.exhausted]
        place = choose([injected.fault for injected in alive], request, lambda place: alive[place].dice.random())
        if place is None:
            return NO_EFFECT
        alive[place].struck += 1
        return effect_of(alive[place].fault, request)

    def as_json(self) -> list[dict[str, object]]:
        """Return all faults as the admin endpoint shows them."""
        return [
            {"id": injected.number, "struck": injected.struck, **injected.fault.model_dump(mode="json")}
            for injected in self._injected
        ]
