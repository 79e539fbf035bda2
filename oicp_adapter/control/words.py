"""Turns what the hub said into plain words for people."""

import re
from typing import Final

_STRUCTURE: Final = re.compile(r"\{['\"]\w+['\"]:")
_NAME: Final = re.compile(r"['\"](\w+)['\"]: ?")
_BRACKET: Final = re.compile(r"[\[\]{}]")
_QUOTE: Final = re.compile(r"(?<![^\s:])['\"]+|['\"]+(?![^\s,;:])")
"""At the beginning or end of a word; an apostrophe within stays."""


def plain_words(said: str) -> str:
    """
    Return the hub's words without brackets and quotes where they hold a list of named details, else as they are.

    Args:
        said: May be cut anywhere, so it is no longer a document that could be parsed.
    """
    if _STRUCTURE.search(said) is None:
        return said
    named = _NAME.sub(r"\1: ", said).replace("}, {", "; ").replace("},{", "; ")
    return _QUOTE.sub("", _BRACKET.sub("", named)).strip()
