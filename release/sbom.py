"""
Writes the software bill of materials (CycloneDX, JSON) of a built wheel, from an environment with nothing else in it.

1. The environment is made as the image's is: the lock by hashes, then the wheel. So the SBOM says what runs, not what
   pyproject.toml would let run.
2. It is refused unless it is valid, complete and free of paths of this machine; the same wheel gives the same bytes.

`python -m release.sbom WHEEL FILE`.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from release.lock import ROOT, RUNTIME
from release.wheel import epoch

_VERSION: Final = SchemaVersion.V1_6


def main() -> None:
    """Write the SBOM of the wheel that the command line names."""
    if len(sys.argv) != 3:  # noqa: PLR2004 - the program and two arguments
        sys.exit("usage: python -m release.sbom WHEEL FILE")
    wheel, target = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    written = sbom(wheel)
    complaints = [*malformed(written), *incomplete(json.loads(written), wheel, RUNTIME)]
    if complaints:
        sys.exit("\n".join(["this SBOM is refused:", *complaints]))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(written, encoding="utf-8")
    print(
        f"{target.name}: {len(json.loads(written)['components'])} components, valid CycloneDX {_VERSION.to_version()}"
    )


def sbom(wheel: Path) -> str:
    """Return the SBOM of an environment that is made from the lock and *wheel*."""
    with tempfile.TemporaryDirectory(prefix="sbom-") as folder:
        where = Path(folder) / "environment"
        install(where, wheel)
        tool = Path(sys.executable).with_name("cyclonedx-py")
        options = ["--mc-type", "application", "--output-reproducible", "--no-validate"]
        options += ["--pyproject", str(described(Path(folder), wheel)), "--spec-version", _VERSION.to_version()]
        told = subprocess.run(
            [str(tool), "environment", *options, "--output-format", "JSON", str(where)],
            env={**os.environ, "SOURCE_DATE_EPOCH": epoch()},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        return str(told.stdout)


def described(folder: Path, wheel: Path) -> Path:
    """Write pyproject.toml with the wheel's version, for which the tool does not look elsewhere; return its path."""
    _, version, _, _ = parse_wheel_filename(wheel.name)
    stated = (
        (ROOT / "pyproject.toml").read_text(encoding="utf-8").replace('dynamic = ["version"]', f'version = "{version}"')
    )
    target = folder / "pyproject.toml"
    target.write_text(stated, encoding="utf-8")
    return target


def install(where: Path, wheel: Path) -> None:
    """Make an environment without pip in it, with what the lock names and *wheel*."""
    venv.create(where, with_pip=False, symlinks=True)
    inside = str(where / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", inside, "install", "-qq", "--no-deps", "--no-compile"]
    name, version, _, _ = parse_wheel_filename(wheel.name)
    # By name out of its folder: a file that is named itself would leave its path in the environment and in the SBOM.
    for what in (
        ["--require-hashes", "--only-binary", ":all:", "--requirement", str(RUNTIME)],
        ["--no-index", "--find-links", str(wheel.parent), f"{name}=={version}"],
    ):
        subprocess.run([*pip, *what], check=True, timeout=300)


def malformed(written: str) -> Sequence[str]:
    """Return how a text offends against the schema of CycloneDX, strictly; nothing: not at all."""
    error = JsonStrictValidator(_VERSION).validate_str(written)
    return [] if error is None else [f"not valid: {error.data}"]


def incomplete(document: Mapping[str, Any], wheel: Path, lock: Path) -> Sequence[str]:
    """Return how an SBOM differs from the lock and the wheel; nothing: in nothing."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    stated: dict[str, str] = {canonicalize_name(each["name"]): each["version"] for each in document["components"]}
    expected = locked(lock)
    complaints = [
        f"{each}: the lock says {expected.get(each)}, the SBOM {stated.get(each)}"
        for each in sorted({*expected, *stated} - {name})
        if expected.get(each) != stated.get(each)
    ]
    complaints += [f"{each['name']} has no package URL" for each in document["components"] if "purl" not in each]
    root = document["metadata"]["component"]
    if (canonicalize_name(root["name"]), root.get("version")) != (name, str(version)):
        complaints.append(f"it is that of {root['name']} {root.get('version')}, not of {name} {version}")
    known = {each["ref"] for each in document["dependencies"] if each.get("dependsOn")}
    if root["bom-ref"] not in known:
        complaints.append("it does not say what the program itself depends on")
    if "file://" in json.dumps(document):
        complaints.append("it names a path of this machine")
    return complaints


def locked(lock: Path) -> Mapping[str, str]:
    """Return name and version of what a lock installs on this machine."""
    entries = (line.partition("--hash=")[0].strip(" \\") for line in lock.read_text(encoding="utf-8").splitlines())
    found = [Requirement(each) for each in entries if each and not each.startswith("#")]
    here = {key: str(value) for key, value in default_environment().items()}
    return {
        canonicalize_name(each.name): next(iter(each.specifier)).version
        for each in found
        if each.marker is None or each.marker.evaluate(here)
    }


if __name__ == "__main__":
    main()
