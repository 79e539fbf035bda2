"""Kills daemons as often as asked for, on both stores, and says what came of it; see `--help`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from reliability.real.kills import kill_all
from reliability.real.workshop import Kind, opened_workshop

STORES: Sequence[Kind] = ("sqlite", "postgresql")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m reliability.real", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="in sum over the stores (1000)")
    parser.add_argument("--sites", type=int, default=10, help="daemons killed side by side (10)")
    parser.add_argument("--seed", type=int, default=0, help="decides points and changes (0)")
    parser.add_argument("--store", choices=STORES, help="only this one")
    asked = parser.parse_args(arguments)
    stores = [asked.store] if asked.store else STORES
    with TemporaryDirectory(prefix="oicp-adapter-real-") as folder, opened_workshop(Path(folder)) as workshop:
        for store in stores:
            began = time.monotonic()
            if store == "postgresql":
                workshop.shared()
            tally = kill_all(
                lambda _, store=store: workshop.site(store),
                kills=asked.kills // len(stores),
                sites=asked.sites,
                seed=asked.seed,
            )
            print(f"{store}: {tally}, in {time.monotonic() - began:.0f} s, nothing lost", flush=True)


if __name__ == "__main__":
    main()
