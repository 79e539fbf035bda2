"""Prints the table of a run and writes its JSON."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Row

RESULTS: Final = Path(__file__).with_name("results")
"""Where the JSON goes; git ignores it."""


def table(rows: Sequence[Row]) -> Table:
    """Return the table of a run."""
    shown = Table(title="oicp-adapter", caption="ceiling: the same bodies, prepared, from a bare TLS socket")
    shown.add_column("store")
    shown.add_column("what", overflow="fold")
    for name in ("measured", "ceiling", "goal"):
        shown.add_column(name, justify="right")
    for row in rows:
        mark = {None: "", True: " met", False: " [bold red]missed[/]"}[row.met]
        shown.add_row(row.store, row.what, row.measured, row.ceiling, row.goal + mark)
    return shown


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown, for docs/performance.md."""
    lines = ["| store | what | measured | ceiling | goal |", "|---|---|---:|---:|---|"]
    for row in rows:
        mark = {None: "", True: ", met", False: ", **missed**"}[row.met]
        lines.append(f"| {row.store} | {row.what} | {row.measured} | {row.ceiling} | {row.goal}{mark} |")
    return "\n".join(lines) + "\n"


def show(rows: Sequence[Row], left_out: Sequence[str]) -> None:
    """Print the table, and what was left out; plain text of a fixed width where nobody watches."""
    console = Console() if Console().is_terminal else Console(width=150)
    console.print(table(rows))
    for words in left_out:
        console.print(words)


def write(rows: Sequence[Row], facts: Mapping[str, object], *, now: datetime | None = None) -> Path:
    """Write the figures with the machine's facts, named by the time (UTC), the table beside them; return the path."""
    at = now or datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{at:%Y%m%dT%H%M%SZ}.json"
    document = {"at": at.isoformat(), **facts, "rows": [row.as_json() for row in rows]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(rows), encoding="utf-8")
    return path
