"""
Makes the reference documents, and the generated parts of others, from the code.

1. Whatever has no description cannot be documented: `UndescribedError` names it.
2. What is made depends on the code, not on the machine or the day. Only the metrics of the process and the options of
   shell completion stand there in the words of their libraries.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from docs.generate import architecture, commands, endpoints, exit_codes, metrics, migrations, reasons, settings

ROOT: Final = Path(__file__).parents[2]

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/reference/settings.md": settings.page,
    "docs/reference/commands.md": commands.page,
    "docs/reference/exit-codes.md": exit_codes.page,
    "docs/reference/metrics.md": metrics.page,
    "docs/reference/endpoints.md": endpoints.page,
    "docs/reference/reasons.md": reasons.page,
}
"""Files that are generated as a whole."""

PARTS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "README.md": {"commands": commands.summary},
    "docs/api.md": {"routes": endpoints.routes, "problems": reasons.problems},
    "docs/upgrading.md": {"migrations": migrations.versions},
    "docs/architecture.md": {
        "layers": lambda: architecture.picture(ROOT / "pyproject.toml"),
        "packages": lambda: architecture.packages(ROOT / "pyproject.toml"),
    },
}
"""What stands between two comments of a file that is written by hand."""


def renewed() -> Mapping[Path, str]:
    """
    Return every generated file as it should be, by its path.

    Raises:
        UndescribedError: Something has no description.
        ValueError: A file lacks the comments between which a part belongs.
    """
    files = {ROOT / name: make() for name, make in PAGES.items()}
    for name, parts in PARTS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for part, make in parts.items():
            text = replaced(text, part, make())
        files[ROOT / name] = text
    return files


def replaced(text: str, part: str, content: str) -> str:
    """
    Return a text with one generated part renewed.

    Raises:
        ValueError: The text does not have the part's two comments exactly once.
    """
    begin, end = f"<!-- generated: {part} -->\n", f"<!-- end of generated: {part} -->\n"
    between = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
    if len(between.findall(text)) != 1:
        raise ValueError(f"expected one {begin.strip()} with its end")
    return between.sub(lambda _: f"{content.strip()}\n", text)
