"""
Asks pip-audit about known vulnerabilities of what is installed, and never calls "passed" what nobody could look up.

Exit code 0: every package was looked up and is clean, or the service could not be reached and nobody demands it
(AUDIT_REQUIRED); the last line then says NOT AUDITED. Exit code 1: a vulnerability, or a package left out while
others were found. Argument: the Python whose packages are looked at.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OURS = "oicp-adapter"
LIMIT = 240


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
        return 1 if os.environ.get("AUDIT_REQUIRED") else 0
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
        venv.create(folder, with_pip=True)
        tool = Path(folder) / "bin"
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
    try:
        packages = json.loads(said.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(said.stderr.strip()[-500:])
        return []
    return [each for each in packages if each["name"] != OURS]


if __name__ == "__main__":
    sys.exit(main())
