"""Renews the generated documents; with `--check` only tells which are not as they should be, and exits 1."""

import argparse
import sys

from docs.generate import ROOT, renewed


def main() -> int:
    """Write what differs, or only name it."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something differs")
    check = parser.parse_args().check
    stale = {path: text for path, text in renewed().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        print(f"{'differs' if check else 'renewed'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
