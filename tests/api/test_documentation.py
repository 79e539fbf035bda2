"""docs/api.md says what the API does: its roles and numbers, and its commands run; its other tables are generated."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from oicp_adapter.api.guard import MOST_BYTES
from oicp_adapter.control.access import ROLES
from oicp_adapter.control.bulk import LIMIT
from oicp_adapter.control.rates import FAILURES_PER_MINUTE, REQUESTS_PER_MINUTE
from oicp_adapter.control.references import LONGEST_LIFE, SHORTEST_LIFE
from oicp_adapter.store.idempotency import REMEMBERED

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def rows(columns):
    """The rows of the table whose heading has these columns, as lists of cells without backquotes."""
    lines = PAGE.split(f"| {' | '.join(columns)} |\n", 1)[1].splitlines()[1:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip().strip("`") for cell in line.strip("|").split(" | ")])
    return found


def test_the_roles_are_those_of_the_application():
    documented = {row[0]: (row[1], row[2]) for row in rows(["role", "scopes", "kinds"])}
    assert set(documented) == set(ROLES)
    for role, (scopes, kinds) in documented.items():
        assert set(scopes.split(", ")) == {scope.value for scope in ROLES[role].scopes}
        if kinds != "all":
            assert (set() if kinds == "none" else set(kinds.split(", "))) == {
                each.upper() for each in ROLES[role].kinds
            }


@pytest.mark.parametrize(
    "words",
    [
        f"ask {REQUESTS_PER_MINUTE} times within any sixty seconds",
        f"{FAILURES_PER_MINUTE} requests a minute from one address",
        f"up to {LIMIT:,} EVSEs",
        f"({SHORTEST_LIFE.total_seconds():.0f} to {LONGEST_LIFE.total_seconds():,.0f} seconds)",
        f"within {REMEMBERED.total_seconds() / 3600:.0f} hours",
        f"A body may have {MOST_BYTES / 2**20:.0f} MiB",
    ],
)
def test_the_numbers_are_those_of_the_application(words):
    assert words in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl to run the commands with")
def test_every_curl_command_of_the_page_is_accepted(address, token):
    commands = re.findall(r"^\$ (curl .*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        env = {"API": address, "TOKEN": token(), "PATH": "/usr/bin:/bin:/usr/local/bin", "no_proxy": "*"}
        line = f"{command} --globoff --write-out '\\n%{{http_code}}'"
        done = subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.splitlines()[-1] in {"200", "201", "204"}, (command, done.stdout)
