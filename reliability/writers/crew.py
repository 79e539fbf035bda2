"""Keeps a crew of writers, each a process of its own, and lets all of them write at the same time."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PROJECT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Written:
    """
    What a crew did.

    Attributes:
        took: Milliseconds of each committed transaction.
        errors: What failed, each with `state` and `said`.
        backends: The numbers of the writers' processes at the server.
    """

    took: Sequence[float]
    errors: Sequence[dict[str, str]]
    backends: frozenset[int]

    @property
    def states(self) -> Counter[str]:
        """How often each SQLSTATE, or name of a SQLite error, came."""
        return Counter(error["state"] for error in self.errors)


class Crew:
    """So many writers; a context manager."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._writers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        self._writers = [
            subprocess.Popen(
                [sys.executable, "-m", "reliability.writers.writer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for _ in range(self._size)
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            if kind is not None:
                writer.kill()
            writer.communicate(timeout=60)

    def write(
        self,
        url: str,
        *,
        kind: str = "storm",
        seed: str,
        fleet: int,
        transactions: int,
        order: str = "random",
        pause: float = 0.0,
        writers: int | None = None,
    ) -> Written:
        """Let all of them, or so many, write to a store at once; each has its share of the seed."""
        told: dict[str, Any] = {"url": url, "kind": kind, "fleet": fleet, "transactions": transactions}
        at_work = self._writers[: writers or self._size]
        for number, writer in enumerate(at_work):
            assert writer.stdin is not None
            line = json.dumps({**told, "order": order, "pause": pause, "seed": f"{seed}/{number}"})
            writer.stdin.write(f"{line}\n")
            writer.stdin.flush()
        answers = [json.loads(writer.stdout.readline()) for writer in at_work if writer.stdout is not None]
        return Written(
            [took for answer in answers for took in answer["took"]],
            [error for answer in answers for error in answer["errors"]],
            frozenset(answer["backend"] for answer in answers),
        )
