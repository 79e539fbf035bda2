"""
Measures the latency that the adapter adds to a writer's transactions: `python -m reliability.writers [--quick]`.

Prints a table in Markdown. Exit code 1: a writer failed.
"""

import argparse
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import make_url

from benchmarks import machine
from reliability.real.process import eventually
from reliability.real.site import Site
from reliability.real.workshop import Kind, Workshop, opened_workshop
from reliability.writers.crew import Crew
from reliability.writers.measure import SHARES, VARIANTS, Figures, measure
from reliability.writers.variants import fill, strip_postgresql, strip_sqlite

HEAD = ("store", "transaction", "variant", "n", "p50 ms", "p95 ms", "p99 ms", "p50 ratio", "p95 ratio", "p99 ratio")


def main() -> int:
    """Measure both kinds of store."""
    parser = argparse.ArgumentParser(prog="python -m reliability.writers", description="What writers pay.")
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--fleet", type=int, default=1000, help="EVSEs")
    parser.add_argument("--rounds", type=int, default=7, help="of each variant")
    asked = parser.parse_args()
    share, rounds = (0.2, 3) if asked.quick else (1.0, asked.rounds)
    kinds: tuple[Kind, ...] = (asked.store,) if asked.store else ("sqlite", "postgresql")
    errors = 0
    facts, before = machine.facts(), machine.load()
    versions = [f"SQLite {sqlite3.sqlite_version}"] if "sqlite" in kinds else []
    _line(*HEAD)
    _line(*("---" for _ in HEAD))
    with (
        tempfile.TemporaryDirectory(prefix="oicp-adapter-writers-") as folder,
        Crew(8) as crew,
        opened_workshop(Path(folder)) as workshop,
    ):
        for kind in kinds:
            with _stores(workshop, kind, asked.fleet) as (urls, site):
                rested = partial(_rested, site)
                for load, found in measure(urls, crew, fleet=asked.fleet, rounds=rounds, share=share, caught_up=rested):
                    errors += sum(figures.errors for figures in found.values())
                    _show(kind, load.name, found)
        if "postgresql" in kinds:
            versions.append(f"PostgreSQL {workshop.shared().admin('SHOW server_version')[0][0]}")
    print(
        f"\n{', '.join(versions)}; {asked.fleet} EVSEs, {rounds} rounds a variant, {errors} transactions failed;"
        f" {facts['usable_cores']} cores ({facts['processor']}), load {before:.1f} before and {machine.load():.1f}"
        f" after, {facts['fsync_ms']} ms a sync to the disk"
    )
    return 1 if errors else 0


@contextmanager
def _stores(workshop: Workshop, kind: Kind, fleet: int) -> Iterator[tuple[Mapping[str, str], Site]]:
    """Make the three variants; commits reach the disk, as a careful operator's do."""
    with ExitStack() as opened:
        site = opened.enter_context(workshop.site(kind))
        site.sections["push"] |= {"settle": 10.0, "late_apply": 600.0, "lease": 20.0, "requests_per_minute": 1800}
        site.sections["hub"]["request_timeout"] = 60.0
        site.sections["log"]["level"] = "info"
        site.sections["store"]["sweep_every"] = 5.0  # TRUNCATE leaves no hint, and each round waits for rest
        urls: dict[str, str] = {"adapter": site.sections["store"]["url"]}
        if kind == "sqlite":
            for name in ("bare", "triggers"):
                urls[name] = f"sqlite:///{shutil.copy(workshop.folder / 'migrated.db', site.folder / f'{name}.db')}"
            strip_sqlite(site.folder / "bare.db")
        else:
            cluster = workshop.shared()
            for statement in ("ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"):
                cluster.admin(statement)
            urls = {name: cluster.url(cluster.fresh()) for name in ("bare", "triggers")}
            urls["adapter"] = cluster.url(str(make_url(site.sections["store"]["url"]).database))
            strip_postgresql(urls["bare"])
        for url in urls.values():
            fill(url, fleet)
        site.daemon()
        _rested(site)
        yield urls, site


def _rested(site: Site) -> None:
    try:
        eventually(lambda: not site.owed() and site.at_hub() == site.expected())
    except AssertionError:
        print(site.processes[-1].text()[-4000:], file=sys.stderr)
        raise


def _show(kind: str, load: str, found: Mapping[str, Figures]) -> None:
    for name in VARIANTS:
        figures = found[name]
        times = [f"{figures.typical(share):.2f}" for share in SHARES]
        ratios = ["" if name == "bare" else f"{figures.ratio(found['bare'], share):.2f}" for share in SHARES]
        _line(kind, load, name, figures.transactions, *times, *ratios)


def _line(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
