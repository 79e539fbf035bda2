"""Draws the layers of the package from the contracts that import-linter holds."""

import importlib
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from docs.generate.markdown import code, described, table

_PACKAGE: Final = "oicp_adapter."


def contracts(pyproject: Path) -> Sequence[dict[str, Any]]:
    """Return import-linter's contracts as they stand in the settings of the project."""
    found = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return list(found)


def layers(pyproject: Path) -> Sequence[Sequence[str]]:
    """Return the layers from the top, each with its modules, which know nothing of each other."""
    (contract,) = [each for each in contracts(pyproject) if each["type"] == "layers"]
    return [[name.strip().removeprefix(_PACKAGE) for name in layer.split("|")] for layer in contract["layers"]]


def pure(pyproject: Path) -> Sequence[str]:
    """Return the modules that may neither do I/O nor read a clock."""
    (contract,) = [each for each in contracts(pyproject) if "pure" in each["name"]]
    return [name.removeprefix(_PACKAGE) for name in contract["source_modules"]]


def picture(pyproject: Path) -> str:
    """Return the layers as a Mermaid picture: each row may import from those below it only."""
    rows = layers(pyproject)
    columns = math.lcm(*(len(row) for row in rows))
    drawn = [" ".join(f'{name}["{name}"]:{columns // len(row)}' for name in row) for row in rows]
    style = ["classDef pure fill:#e6f4ea,stroke:#137333,color:#0b3d1c", f"class {','.join(pure(pyproject))} pure"]
    lines = [f"  {line}" for line in (f"columns {columns}", *drawn, *style)]
    return "\n".join(["```mermaid", "block-beta", *lines, "```"])


def packages(pyproject: Path) -> str:
    """Return a table of what each module of the layers holds, from the top."""
    rows = []
    for name in (name for row in layers(pyproject) for name in row):
        module = importlib.import_module(f"{_PACKAGE}{name}")
        text = (module.__doc__ or "").strip().split("\n\n")[0]
        shown = f"{name}/" if hasattr(module, "__path__") else f"{name}.py"
        rows.append([code(shown), described(f"module {name}", text)])
    return table(["module", "holds"], rows)
