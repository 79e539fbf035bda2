"""
Prints: tables for people and JSON for machines on stdout, everything else on stderr.

1. Whatever came from elsewhere is shown as plain text: no markup, no control character.
2. A table that no terminal shows is neither cut nor wrapped, so that it can be searched.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from oicp_adapter.domain.errors import foreign_text

_UNCUT: Final = 100_000
"""Columns of a page that nobody looks at; wide enough for any table."""

_CELL_LIMIT: Final = 500

ROWS_AT_ONCE: Final = 1000
"""Rows of a table that are held, for their widths, before they are printed."""


def stdout_console() -> Console:
    """Return the console for what the command was asked for."""
    return _console(error=False)


def stderr_console() -> Console:
    """Return the console for everything else: progress, notes, errors."""
    return _console(error=True)


def _console(*, error: bool) -> Console:
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _UNCUT
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def plain(value: object) -> str:
    """Return a value as people read it: `-` for None, UTC to the second, anything else made harmless."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case timedelta():
            return f"{value.total_seconds():.1f} s"
        case _:
            return foreign_text(value, _CELL_LIMIT)


def note(text: str) -> None:
    """Say something to the person at the terminal, on stderr; each line is made harmless, lines stay lines."""
    sys.stderr.write("".join(f"{line if line.isprintable() else foreign_text(line)}\n" for line in text.split("\n")))
    sys.stderr.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, styles: Sequence[str | None] = ()) -> None:
    """
    Print a table on stdout; a long one in parts, each with its headings, so that a fleet is never held whole.

    Args:
        columns: Headings.
        rows: One value a column; see `plain`.
        styles: A rich style for each of the first rows, None or missing: none.
    """
    left, console = iter(rows), stdout_console()
    page = list(islice(left, ROWS_AT_ONCE))
    while True:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for number, row in enumerate(page):
            style = styles[number] if number < len(styles) else None
            table.add_row(*(Text(plain(value)) for value in row), style=style)
        console.print(table)
        if not (page := list(islice(left, ROWS_AT_ONCE))):
            return


def print_json(value: object) -> None:
    """Print one JSON document and a line end on stdout; instants as ISO 8601, durations as seconds."""
    sys.stdout.write(f"{_encode(value)}\n")
    sys.stdout.flush()


def print_json_array(values: Iterable[object]) -> None:
    """Print a JSON array on stdout, an element a line, without ever holding all of them; nothing if the first fails."""
    before = "[\n"
    for value in values:
        sys.stdout.write(f"{before}{_encode(value)}")
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _encode(value: object) -> str:
    # ASCII only: a lone surrogate in foreign text must not break the output.
    return json.dumps(value, default=_as_json, ensure_ascii=True)


def _as_json(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """
    Show a progress bar on stderr while something long is done; nothing where stderr is no terminal.

    Args:
        what: Names it.
        total: Steps; None: not known.

    Yields:
        A function that takes the steps done since its last call.
    """
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=stderr_console(), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda steps: shown.advance(task, steps)
