"""Prints the command of README.md that follows the comment `<!-- ci: NAME -->`, so that CI runs what users read."""

import re
import sys
from pathlib import Path


def command(readme: str, name: str) -> str:
    """Return the one `sh` block after the marker; ends the program if there is none."""
    found = re.findall(rf"<!-- ci: {re.escape(name)} -->\s*^```sh\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    if len(found) != 1:
        sys.exit(f"README.md has {len(found)} blocks marked <!-- ci: {name} -->, expected one")
    return found[0].strip()


if __name__ == "__main__":
    print(command(Path("README.md").read_text(encoding="utf-8"), sys.argv[1]))
