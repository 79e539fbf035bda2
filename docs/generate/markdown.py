"""Writes Markdown: tables, pages, and the refusal to document what nobody has described."""

from collections.abc import Iterable, Sequence
from typing import Final

_MADE: Final = "<!-- Made from the code by `python -m docs.generate`: do not edit. -->"


class UndescribedError(Exception):
    """
    Something of the code has no description.

    Attributes:
        what: What it is, as `setting push.settle`.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} has no description: write one where it is defined")


def described(what: str, text: str | None) -> str:
    """
    Return a description on one line.

    Raises:
        UndescribedError: There is none.
    """
    shown = " ".join((text or "").split())
    if not shown:
        raise UndescribedError(what)
    return shown


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar inside a cell is escaped."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def code(text: str) -> str:
    """Return a text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def page(title: str, *blocks: str) -> str:
    """Return a whole file."""
    return "\n\n".join([_MADE, f"# {title}", *(block.strip() for block in blocks)]) + "\n"


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")
