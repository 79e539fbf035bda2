"""
Lets other writers of a SQLite file have their turn.

SQLite has one write lock a file, and whoever waits for it looks again only every 1 to 100 ms. Transactions that follow
each other without a pause would keep it from the operator's own programs for as long as a burst lasts.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

NOTICED: Final = 0.02
"""Seconds; a transaction that is shorter delays nobody who has a busy timeout."""

LONGEST: Final = 0.1
"""Seconds between two looks of SQLite for a lock that it waits for: a longer pause would help nobody."""


class Courtesy:
    """Remembers how long the write lock was held last, and stays away from it for as long."""

    def __init__(self) -> None:
        self._free_until = 0.0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Wait for one's turn, then note how long the block took."""
        pause = self._free_until - time.monotonic()
        if pause > 0:
            time.sleep(min(pause, LONGEST))
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            held = ended - began
            self._free_until = ended + min(held, LONGEST) if held > NOTICED else 0.0
