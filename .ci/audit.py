"""
Asks pip-audit about known vulnerabilities of what is installed, and never calls "passed" what nobody could look up.

Exit code 0: every package was looked up and is clean. 1: a vulnerability, or a package left out while others were
found. 75: the service could not be asked, so that nothing is known. Argument: the Python whose packages are looked at.
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
    packages = audited(Path(sys.argv[1]))
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


def audited(python: Path) -> Sequence[Mapping[str, Any]]:
    """Return what pip-audit says of each package that this Python has, but for our own."""
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        return asked(Path(folder), where)


def asked(folder: Path, where: str) -> Sequence[Mapping[str, Any]]:
    """Install pip-audit in a folder of its own, and ask it; nothing when it could not be had or gave no answer."""
    venv.create(folder, with_pip=True)
    tool = folder / "bin"
    try:
        subprocess.run(
            [tool / "python", "-m", "pip", "install", "--quiet", "pip-audit"],
            check=True,
            capture_output=True,
            timeout=LIMIT,
        )
        said = subprocess.run(
            [tool / "pip-audit", "--format", "json", "--progress-spinner", "off", "--path", where],
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        packages = json.loads(said.stdout)["dependencies"]
    except (subprocess.SubprocessError, ValueError, KeyError) as error:
        print(f"pip-audit gave no answer: {type(error).__name__}")
        return []
    return [each for each in packages if each["name"] != OURS]


if __name__ == "__main__":
    sys.exit(main())
