"""
Renews the locks: every package that the image holds or the wheel is built with, by version and hash.

1. They name no index: who installs takes the packages from wherever they trust, and the hashes decide.
2. They hold for every platform and every Python that the project supports, by markers.
3. Of the extras, those for development (`DEVELOPMENT`) are left out; every other one is in the image.

`python -m release.lock` keeps versions that still fit; `--upgrade` takes the newest ones.
"""

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
RUNTIME: Final = ROOT / "locks" / "runtime.txt"
BUILD: Final = ROOT / "locks" / "build.txt"
DEVELOPMENT: Final = frozenset({"test", "lint", "release"})
COMMAND: Final = "python -m release.lock"


def main() -> None:
    """Write both locks."""
    for lock, wanted in requirements().items():
        renew(lock, wanted, upgrade="--upgrade" in sys.argv[1:])
        print(f"wrote {lock.relative_to(ROOT)}")


def requirements() -> Mapping[Path, Sequence[str]]:
    """Return what each lock must satisfy, as pyproject.toml has it."""
    project = read_project()
    extras: Mapping[str, Sequence[str]] = project["project"].get("optional-dependencies", {})
    added = [each for name in sorted(extras.keys() - DEVELOPMENT) for each in extras[name]]
    return {RUNTIME: [*project["project"]["dependencies"], *added], BUILD: project["build-system"]["requires"]}


def read_project() -> Mapping[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def renew(lock: Path, wanted: Sequence[str], *, upgrade: bool) -> None:
    """Let uv resolve *wanted* into *lock*, from the versions that it has already unless *upgrade*."""
    oldest = read_project()["project"]["requires-python"].removeprefix(">=")
    with tempfile.TemporaryDirectory(prefix="lock-") as folder:
        asked = Path(folder) / "requirements.in"
        asked.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        uv = Path(sys.executable).with_name("uv")
        options = ["--universal", "--python-version", oldest, "--generate-hashes", "--no-annotate", "--quiet"]
        options += ["--upgrade"] if upgrade else []
        called = [uv, "pip", "compile", asked, "--output-file", lock, "--custom-compile-command", COMMAND, *options]
        subprocess.run(called, check=True, cwd=ROOT, timeout=300)


if __name__ == "__main__":
    main()
