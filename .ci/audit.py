"""
Asks pip-audit about known vulnerabilities, and never calls "passed" what nobody could look up.

It looks at what the locks name, which is what the image holds and the wheel is built with, and at what is installed for
the tests. Exit code 0: every package was looked up and is clean. 1: a vulnerability, or a package left out while others
were found. 75: the service could not be asked, so that nothing is known. Arguments: the Python whose packages are
looked at, and the locks.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OURS = "oicp-adapter"
LIMIT = 120
NOT_AUDITED = 75


def main() -> int:
    """Look, and say what came of it."""
    packages = audited(Path(sys.argv[1]), sys.argv[2:])
    vulnerable = [each for each in packages if each.get("vulns")]
    unknown = [each for each in packages if "skip_reason" in each]
    for each in vulnerable:
        print(f"{each['name']} {each['version']}: {', '.join(found['id'] for found in each['vulns'])}")
    if vulnerable:
        return 1
    if not packages or len(unknown) == len(packages):
        reason = unknown[0]["skip_reason"] if unknown else "pip-audit gave no answer"
        print(f"NOT AUDITED: the service of vulnerabilities could not be asked ({reason})")
        return NOT_AUDITED
    for each in unknown:
        print(f"{each['name']} could not be looked up: {each['skip_reason']}")
    print(f"audited: {len(packages) - len(unknown)} packages without a known vulnerability")
    return 1 if unknown else 0


def audited(python: Path, locks: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return what pip-audit says of each package of the locks and of this Python, but for our own; each once."""
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        tool = installed(Path(folder))
        if tool is None:
            return []
        named = [word for lock in locks for word in ("--requirement", lock)]
        # The locks are whole and have hashes, so that nothing is resolved and no package is fetched.
        answers = [asked(tool, [*named, "--require-hashes", "--disable-pip"]), asked(tool, ["--path", where])]
    if not all(answers):  # half an answer would pass for a whole one
        return []
    found = [each for answer in answers for each in answer if each["name"] != OURS]
    return list({(each["name"], each.get("version")): each for each in found}.values())


def installed(folder: Path) -> Path | None:
    """Install pip-audit in a folder of its own; None when it could not be had."""
    venv.create(folder, with_pip=True)
    try:
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "pip-audit"],
            check=True,
            capture_output=True,
            timeout=LIMIT,
        )
    except subprocess.SubprocessError as error:
        print(f"pip-audit could not be installed: {type(error).__name__}")
        return None
    return folder / "bin" / "pip-audit"


def asked(tool: Path, what: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return what pip-audit says of each package that it is asked about; nothing when it gave no answer."""
    try:
        said = subprocess.run(
            [tool, "--format", "json", "--progress-spinner", "off", *what],
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        packages: Sequence[Mapping[str, Any]] = json.loads(said.stdout)["dependencies"]
    except (subprocess.SubprocessError, ValueError, KeyError) as error:
        print(f"pip-audit gave no answer: {type(error).__name__}")
        return []
    return packages


if __name__ == "__main__":
    sys.exit(main())
