"""
Writes the software bill of materials (CycloneDX, JSON) of a built wheel, from an environment with nothing else in it.

1. The environment is made as the image's is: the lock by hashes, then the wheel. So the SBOM says what runs, not what
   pyproject.toml would let run.
2. Each component has the SHA-256 of the very file that was installed: pip says which, having compared it with the lock.
3. It is refused unless it is valid, complete and free of paths of this machine; the same wheel gives the same bytes.

`python -m release.sbom WHEEL FILE`.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
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
        hashes = install(where, wheel)
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
        return with_hashes(told.stdout, wheel, hashes)


def with_hashes(written: str, wheel: Path, hashes: Mapping[str, str]) -> str:
    """
    Return an SBOM with what the tool cannot know: which file each component came from.

    Args:
        hashes: The SHA-256 of what was installed, in hexadecimal, by normalised name.
    """
    document = json.loads(written)
    root = document["metadata"]["component"]
    name, version, _, _ = parse_wheel_filename(wheel.name)
    root["purl"] = f"pkg:pypi/{name}@{version}"
    for each in (root, *document["components"]):
        known = hashes.get(canonicalize_name(each["name"]))
        if known is not None:
            each["hashes"] = [{"alg": "SHA-256", "content": known}]
    return json.dumps(document, indent=2)


def described(folder: Path, wheel: Path) -> Path:
    """Write pyproject.toml with the wheel's version, for which the tool does not look elsewhere; return its path."""
    _, version, _, _ = parse_wheel_filename(wheel.name)
    stated = (
        (ROOT / "pyproject.toml").read_text(encoding="utf-8").replace('dynamic = ["version"]', f'version = "{version}"')
    )
    target = folder / "pyproject.toml"
    target.write_text(stated, encoding="utf-8")
    return target


def install(where: Path, wheel: Path) -> Mapping[str, str]:
    """
    Make an environment without pip in it, with what the lock names and *wheel*.

    Returns:
        The SHA-256 of each file that was installed, in hexadecimal, by normalised name.
    """
    venv.create(where, with_pip=False, symlinks=True)
    inside = str(where / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", inside, "install", "-qq", "--no-deps", "--no-compile"]
    name, version, _, _ = parse_wheel_filename(wheel.name)
    hashes: dict[str, str] = {}
    report = where / "report.json"
    # By name out of its folder: a file that is named itself would leave its path in the environment and in the SBOM.
    for what in (
        ["--require-hashes", "--only-binary", ":all:", "--requirement", str(RUNTIME)],
        ["--no-index", "--find-links", str(wheel.parent), f"{name}=={version}"],
    ):
        subprocess.run([*pip, "--report", str(report), *what], check=True, timeout=300)
        for each in json.loads(report.read_text(encoding="utf-8"))["install"]:
            found = each["download_info"]["archive_info"]["hashes"]["sha256"]
            hashes[canonicalize_name(each["metadata"]["name"])] = found
        report.unlink()
    return hashes


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
    root = document["metadata"]["component"]
    programs = (root, *document["components"])
    complaints += [f"{each['name']} has no package URL" for each in programs if "purl" not in each]
    allowed = {**locked_hashes(lock), name: {hashlib.sha256(wheel.read_bytes()).hexdigest()}}
    complaints += [
        f"{each['name']} has not the one SHA-256 of a file that the lock names, or of the wheel"
        for each in programs
        if not is_one_of(each.get("hashes", []), allowed.get(canonicalize_name(each["name"]), set()))
    ]
    if (canonicalize_name(root["name"]), root.get("version")) != (name, str(version)):
        complaints.append(f"it is that of {root['name']} {root.get('version')}, not of {name} {version}")
    known = {each["ref"] for each in document["dependencies"] if each.get("dependsOn")}
    if root["bom-ref"] not in known:
        complaints.append("it does not say what the program itself depends on")
    if "file://" in json.dumps(document):
        complaints.append("it names a path of this machine")
    return complaints


def is_one_of(stated: Sequence[Mapping[str, str]], allowed: AbstractSet[str]) -> bool:
    """Return whether a component states one SHA-256, and that is among those *allowed*."""
    return [each["alg"] for each in stated] == ["SHA-256"] and stated[0]["content"] in allowed


def locked(lock: Path) -> Mapping[str, str]:
    """Return name and version of what a lock installs on this machine."""
    return {canonicalize_name(each.name): next(iter(each.specifier)).version for each, _ in entries(lock)}


def locked_hashes(lock: Path) -> Mapping[str, AbstractSet[str]]:
    """Return the SHA-256 of every file that a lock lets in on this machine, in hexadecimal, by normalised name."""
    return {canonicalize_name(each.name): hashes for each, hashes in entries(lock)}


def entries(lock: Path) -> Iterator[tuple[Requirement, AbstractSet[str]]]:
    """Give each entry of a lock that applies on this machine, with the SHA-256 of its files in hexadecimal."""
    here = {key: str(value) for key, value in default_environment().items()}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        if line and not line.startswith("#"):
            named, *hashes = line.split("--hash=sha256:")
            entry = Requirement(named.strip())
            if entry.marker is None or entry.marker.evaluate(here):
                yield entry, {each.strip() for each in hashes}


if __name__ == "__main__":
    main()
