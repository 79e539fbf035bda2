"""Keeps for a while what costs as much as the fleet is large, and may be a little old."""

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

FOR: Final = 10.0
"""Seconds; a location that is new shows up in the filters that much later at most."""


class Kept(Generic[T]):
    """One value; two threads may both read it anew, and either of them is right."""

    def __init__(self) -> None:
        self._value: tuple[float, T] | None = None

    def get(self, read: Callable[[], T]) -> T:
        """Return the value, read anew when it is older than `FOR`."""
        kept = self._value
        if kept is None or time.monotonic() - kept[0] > FOR:
            kept = self._value = time.monotonic(), read()
        return kept[1]
