"""Reads what the source says below the members of an enumeration, which is not there at run time."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from enum import Enum
from itertools import pairwise

from docs.generate.markdown import UndescribedError, described, table


def meanings(kind: type[Enum]) -> Mapping[Enum, str]:
    """
    Return what each member means, in the order of the source.

    Raises:
        UndescribedError: A member has no text below it.
    """
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class is one
    found: dict[str, str] = {}
    for statement, after in pairwise([*tree.body, ast.Pass()]):
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if isinstance(statement, ast.Assign) and isinstance(name := statement.targets[0], ast.Name):
            found[name.id] = described(f"{kind.__name__}.{name.id}", text if isinstance(text, str) else None)
    if missing := [each.name for each in kind if each.name not in found]:
        raise UndescribedError(f"{kind.__name__}.{missing[0]}")
    return {each: found[each.name] for each in kind}


def meanings_table(kind: type[Enum], head: str) -> str:
    """Return a table of the values of an enumeration and what they mean."""
    return table([head, "meaning"], ([f"`{member.value}`", text] for member, text in meanings(kind).items()))
