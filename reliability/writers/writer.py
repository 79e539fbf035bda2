"""
One writer as a process: reads an order as a line of JSON, writes as it says, answers with a line of JSON, and so on.

1. Its connections are as their drivers make them, but for SQLite's patience; a transaction that fails is not repeated.
2. It knows nothing of the adapter.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final

import psycopg

from reliability.writers.work import Order, Step, bulk, single, transactions

PATIENCE: Final = 30.0
"""Seconds that a writer to SQLite waits for another."""


def main() -> None:
    """Obey until there are no more orders."""
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)


def obey(order: dict[str, Any]) -> dict[str, Any]:
    """
    Write so many transactions.

    Args:
        order: `url`, `kind` (storm, single, bulk), `seed`, `fleet`, `order`, `transactions`, and `pause`, the seconds
            between the beginnings of two transactions.

    Returns:
        `took`, milliseconds of each transaction that was committed; `errors`, each with `state` and `said`; `backend`,
        the number of the session's process at the server, 0 for SQLite.
    """
    url = order["url"]
    writer = SqliteSession(url) if url.startswith("sqlite") else PostgresqlSession(url)
    took: list[float] = []
    errors: list[dict[str, str]] = []
    with closing(writer):
        due = time.monotonic()
        for steps in islice(_work(order, writer.dialect), order["transactions"]):
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + order["pause"], time.monotonic())
            began = time.perf_counter()
            error = writer.write(steps)
            if error is None:
                took.append(1000 * (time.perf_counter() - began))
            else:
                errors.append(error)
        return {"took": took, "errors": errors, "backend": writer.backend}


def _work(order: dict[str, Any], dialect: str) -> Iterator[Sequence[Step]]:
    seed, fleet = order["seed"], order["fleet"]
    if order["kind"] == "storm":
        return transactions(dialect, seed=seed, fleet=fleet, order=Order(order["order"]))
    return single(seed, fleet=fleet) if order["kind"] == "single" else bulk(seed)


class SqliteSession:
    """A connection to a file of SQLite."""

    dialect = "sqlite"
    backend = 0

    def __init__(self, url: str) -> None:
        self._driver = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=PATIENCE, isolation_level=None)

    def close(self) -> None:
        self._driver.close()

    def write(self, steps: Sequence[Step]) -> dict[str, str] | None:
        """Write one transaction; return what went wrong."""
        try:
            self._driver.execute("BEGIN IMMEDIATE")
            for step in steps:
                self._driver.execute(step.sql, step.values)
            self._driver.execute("COMMIT")
        except sqlite3.Error as error:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
            return {"state": error.sqlite_errorname, "said": str(error)}
        return None


class PostgresqlSession:
    """A connection to a database of PostgreSQL."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        self._driver = psycopg.connect(url)
        self.backend = self._driver.info.backend_pid

    def close(self) -> None:
        self._driver.close()

    def write(self, steps: Sequence[Step]) -> dict[str, str] | None:
        """Write one transaction; return what went wrong."""
        try:
            with self._driver.cursor() as cursor:
                for step in steps:
                    self._step(cursor, step)
            self._driver.commit()
        except psycopg.Error as error:
            self._driver.rollback()
            told = error.diag
            said = " ".join(filter(None, (told.message_primary, told.message_detail, told.context)))
            return {"state": error.sqlstate or "", "said": said}
        return None

    @staticmethod
    def _step(cursor: psycopg.Cursor[Any], step: Step) -> None:
        if not step.copy:
            cursor.execute(step.sql.replace("?", "%s").encode(), step.values)
            return
        with cursor.copy(step.sql.encode()) as copy:
            for row in step.copy:
                copy.write_row(row)


if __name__ == "__main__":
    main()
