"""The names of the checks are those of the table that people look them up in."""

import re
from pathlib import Path

from oicp_adapter.checks import Check

DOCUMENT = (Path(__file__).parents[3] / "docs" / "check.md").read_text(encoding="utf-8")


def test_each_check_has_its_row_in_the_document_and_no_other_is_there() -> None:
    rows = [line.split("|")[1] for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == {each.value for each in Check}
