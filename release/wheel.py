"""
Builds wheel and sdist, so that whoever builds them from the same commit gets the same bytes.

1. Nothing of the machine goes in: no time but SOURCE_DATE_EPOCH, no order of a folder, no owner, no mode but whether a
   file can be run. hatchling sees to it; `prove` looks.
2. Without SOURCE_DATE_EPOCH the time is that of the commit; where there is no repository, hatchling's own constant.

`python -m release.wheel FOLDER` builds. With `--prove` it builds three times, the last time from the sdist, and keeps
what came of it only if all are equal.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_LEFT_OUT: Final = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "dist")
_DAY: Final = 86_400
_APART: Final = 2.1
"""Seconds between two builds: a time in a wheel has steps of two seconds."""


def main() -> None:
    """Build into the folder that the command line names."""
    prove_it = "--prove" in sys.argv[1:]
    named = [each for each in sys.argv[1:] if each != "--prove"]
    if len(named) != 1:
        sys.exit("usage: python -m release.wheel [--prove] FOLDER")
    target = Path(named[0]).absolute()
    built = prove(ROOT, target) if prove_it else build(ROOT, target)
    for path in built:
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")


def build(source: Path, target: Path, *, environment: Mapping[str, str] | None = None) -> Sequence[Path]:
    """Build the sdist and the wheel of *source* into *target*, and return both, by name."""
    target.mkdir(parents=True, exist_ok=True)
    here = {**os.environ, "SOURCE_DATE_EPOCH": epoch(), **(environment or {})}
    called = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--target", "wheel"]
    called += ["--directory", str(target)]
    subprocess.run(called, cwd=source, env=here, check=True, capture_output=True, text=True, timeout=300)
    return sorted((*target.glob("*.whl"), *target.glob("*.tar.gz")))


def prove(source: Path, target: Path) -> Sequence[Path]:
    """
    Build thrice, in other folders, at other times, with another locale and mask, the last time from the sdist.

    Ends the program, and leaves nothing in *target*, if any two differ.
    """
    with tempfile.TemporaryDirectory(prefix="wheel-") as scratch:
        folder = Path(scratch)
        first = build(copied(source, folder / "one", age=0), folder / "first")
        strange = {"TZ": "Pacific/Chatham", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": str(folder)}
        time.sleep(_APART)
        mask = os.umask(0o077)
        try:
            other = copied(source, folder / "another-name" / "deeper", age=400 * _DAY)
            second = build(other, folder / "second", environment=strange)
        finally:
            os.umask(mask)
        (sdist,) = (path for path in first if path.name.endswith(".tar.gz"))
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        (unpacked,) = (folder / "unpacked").iterdir()
        third = build(unpacked, folder / "third")
        compare(first, second, "built elsewhere and at another time")
        compare(first, third, "built from the sdist")
        target.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(path, target)) for path in first]


def copied(source: Path, target: Path, *, age: float) -> Path:
    """Copy a tree as a clone would have it, with times that lie *age* seconds further back."""
    shutil.copytree(source, target, ignore=_LEFT_OUT, symlinks=True)
    for path in target.rglob("*"):
        then = path.lstat().st_mtime - age
        os.utime(path, (then, then), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~_mask())
    return target


def _mask() -> int:
    """Return the mask of this process, which can be read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def compare(first: Sequence[Path], second: Sequence[Path], how: str) -> None:
    """End the program if two builds differ by a byte."""
    if [path.name for path in first] != [path.name for path in second]:
        sys.exit(f"{how}: other files came of it")
    for one, other in zip(first, second, strict=True):
        if one.read_bytes() != other.read_bytes():
            sys.exit(f"{one.name} is another one when {how}")


def epoch() -> str:
    """Return the time that stands in what is built, in seconds."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return given
    told = subprocess.run(
        ["git", "log", "-1", "--pretty=%ct"],  # noqa: S607 - whichever git the user has
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    from_commit = told.stdout.strip()
    return from_commit if told.returncode == 0 and from_commit else "1580601600"


if __name__ == "__main__":
    main()
