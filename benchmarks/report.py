"""Prints the tables of a run and writes its JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Row

RESULTS: Final = Path(__file__).with_name("results")
"""Where the JSON goes; git ignores it."""

_CAPTION: Final = "in brackets: the ceilings of the same run, or what else a line names"


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield a table for each store: a line for what was measured, a column for each size."""
    for store in dict.fromkeys(row.store for row in rows):
        sizes, lines = _lines([row for row in rows if row.store == store])
        shown = Table(title=store, caption=_CAPTION, show_lines=True)
        shown.add_column("what", overflow="fold", ratio=2)
        for size in sizes:
            shown.add_column(f"{size:,} EVSEs", justify="right", overflow="fold", ratio=1)
        shown.add_column("goal", overflow="fold")
        for what, goal, cells in lines:
            shown.add_row(what, *(_cell(cells.get(size), " [bold red]missed[/]") for size in sizes), goal)
        yield shown


def markdown(rows: Sequence[Row]) -> str:
    """Return the tables as Markdown, for docs/performance.md."""
    text = ""
    for store in dict.fromkeys(row.store for row in rows):
        sizes, lines = _lines([row for row in rows if row.store == store])
        text += f"### {store}\n\n| what | {' | '.join(f'{size:,} EVSEs' for size in sizes)} | goal |\n"
        text += f"|---|{'---:|' * len(sizes)}---|\n"
        for what, goal, cells in lines:
            shown = " | ".join(_cell(cells.get(size), ", **missed**") for size in sizes)
            text += f"| {what} | {shown} | {goal} |\n"
        text += "\n"
    return text


def _lines(rows: Sequence[Row]) -> tuple[Sequence[int], Sequence[tuple[str, str, Mapping[int, Row]]]]:
    """Return the sizes, and for each thing measured its words, its goal and its cells by size."""
    cells: dict[str, dict[int, Row]] = {}
    for row in rows:
        cells.setdefault(row.what, {})[row.size] = row
    sizes = sorted({row.size for row in rows})
    return sizes, [(what, next((row.goal for row in of.values() if row.goal), ""), of) for what, of in cells.items()]


def _cell(row: Row | None, missed: str) -> str:
    if row is None:
        return ""
    verdict = {None: "", True: ", met", False: missed}[row.met]
    return row.measured + (f" ({row.beside})" if row.beside else "") + verdict


def show(rows: Sequence[Row], left_out: Sequence[str]) -> None:
    """Print the table, and what was left out; plain text of a fixed width where nobody watches."""
    console = Console() if Console().is_terminal else Console(width=170)
    for table in tables(rows):
        console.print(table)
    for words in left_out:
        console.print(words)


def write(rows: Sequence[Row], facts: Mapping[str, object], *, now: datetime | None = None) -> Path:
    """Write the figures with the machine's facts, named by the time (UTC), the tables beside them; return the path."""
    at = now or datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{at:%Y%m%dT%H%M%SZ}.json"
    document = {"at": at.isoformat(), **facts, "rows": [row.as_json() for row in rows]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(rows), encoding="utf-8")
    return path
