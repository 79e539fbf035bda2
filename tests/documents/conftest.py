"""What the documents are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("certs.example/*.md"), *ROOT.glob("*.md")]
)
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def name(page):
    """A page as people call it."""
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    """The fenced blocks of these languages, without their indentation."""
    for indent, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield "\n".join(line.removeprefix(indent) for line in text.splitlines())


def prose(page):
    """What stands outside of fenced blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def quoted(page):
    """What stands in backquotes outside of fenced blocks."""
    return re.findall(r"`([^`]+)`", prose(page))
