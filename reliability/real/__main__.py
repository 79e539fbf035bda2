"""Kills daemons as often as asked for, or measures what is promised in seconds, on both stores; see `--help`."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from reliability.real.bounds import measure_all
from reliability.real.kills import kill_all
from reliability.real.workshop import Kind, Workshop, opened_workshop

STORES: Sequence[Kind] = ("sqlite", "postgresql")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m reliability.real", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="in sum over the stores (1000)")
    parser.add_argument("--sites", type=int, default=10, help="daemons killed side by side (10)")
    parser.add_argument("--seed", type=int, default=0, help="decides points and changes (0)")
    parser.add_argument("--bounds", action="store_true", help="kill none, measure every bound against its promise")
    parser.add_argument("--runs", type=int, default=4, help="of each bound (4)")
    parser.add_argument("--store", choices=STORES, help="only this one")
    asked = parser.parse_args(arguments)
    stores = [asked.store] if asked.store else STORES
    with TemporaryDirectory(prefix="oicp-adapter-real-") as folder, opened_workshop(Path(folder)) as workshop:
        if asked.bounds:
            _measure(workshop, stores, runs=asked.runs)
        else:
            _kill(workshop, stores, kills=asked.kills, sites=asked.sites, seed=asked.seed)


def _kill(workshop: Workshop, stores: Sequence[Kind], *, kills: int, sites: int, seed: int) -> None:
    for store in stores:
        began = time.monotonic()
        if store == "postgresql":
            workshop.shared()
        share = kills // len(stores)
        tally = kill_all(partial(workshop.site, store), kills=share, sites=sites, seed=seed)
        print(f"{store}: {tally}, in {time.monotonic() - began:.0f} s, nothing lost", flush=True)


def _measure(workshop: Workshop, stores: Sequence[Kind], *, runs: int) -> None:
    """Print a line a bound and store; exit with 1 if one was exceeded."""
    kept = True
    for measured in measure_all(workshop, stores, runs=runs):
        print(measured, flush=True)
        kept = kept and measured.kept
    if not kept:
        sys.exit(1)


if __name__ == "__main__":
    main()
