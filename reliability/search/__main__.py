"""Searches worlds, or one with a safeguard switched off, and prints a table: `python -m reliability.search --help`."""

import argparse
import sys
from collections.abc import Iterable, Sequence

from . import ablations, scenarios
from .ablations import Ablation
from .explore import Report, Search


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; 1: an invariant broke, or the lack of a safeguard was not noticed."""
    chosen = _parser().parse_args(arguments)
    if chosen.ablate:
        return ablated([one for one in ablations.ALL if chosen.ablate in {"all", one.name}], chosen.states)
    names = chosen.scenario or [scenario.name for scenario in scenarios.ALL]
    return searched(names, chosen.states)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reliability.search", description=__doc__)
    names = [scenario.name for scenario in scenarios.ALL]
    safeguards = [ablation.name for ablation in ablations.ALL]
    parser.add_argument("--states", type=int, metavar="N", help="distinct states of each world; 0: all of them")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--ablate", choices=["all", *safeguards], metavar="NAME", help=f"all, {', '.join(safeguards)}")
    return parser


def searched(names: Iterable[str], states: int | None) -> int:
    """Search worlds and print what came of it."""
    print(f"{'world':<20} {'states':>9} {'moves':>9} {'depth':>5} {'all':>4} {'s':>6} {'heals in':>9} {'promised':>9}")
    reports: list[Report] = []
    for name in names:
        report = Search(scenarios.named(name)).run(states)
        reports.append(report)
        every = "yes" if report.exhausted else "no"
        print(f"{name:<20} {report.states:>9,} {report.transitions:>9,} {report.depth:>5} {every:>4}", end=" ")
        print(f"{report.seconds:>6.1f} {report.slowest:>7g} s {report.promised:>7g} s", flush=True)
        if report.violation is not None:
            print(report.violation)
    total, seconds = sum(report.states for report in reports), sum(report.seconds for report in reports)
    print(f"{'in all':<20} {total:>9,} {sum(report.transitions for report in reports):>9,} {'':>10} {seconds:>6.1f}")
    return 1 if any(report.violation for report in reports) else 0


def ablated(chosen: Sequence[Ablation], states: int | None) -> int:
    """Search with one safeguard switched off after the other and print how that was noticed."""
    print(f"{'without':<38} {'world':<18} {'broken':<6} {'states':>7} {'s':>5} {'steps':>5}")
    missed = 0
    for ablation in chosen:
        with ablation.applied() as hands:
            report = Search(scenarios.named(ablation.scenario), hands).run(states)
        found = report.violation
        missed += found is None
        broken, steps = (found.invariant, len(found.trace)) if found else ("NONE", 0)
        print(f"{ablation.name:<38} {ablation.scenario:<18} {broken:<6}", end=" ")
        print(f"{report.states:>7,} {report.seconds:>5.1f} {steps:>5}", flush=True)
        if found is not None and len(chosen) == 1:
            print(found)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
