"""The command line: every way of ending is one line and an exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from oicp_adapter import __version__
from oicp_adapter.cli import invocation
from oicp_adapter.cli.main import Commands, app, options
from oicp_adapter.domain.errors import (
    AdapterError,
    ConfigurationError,
    LaneHeldElsewhereError,
    StoreUnavailableError,
)

CANARY = "c4n4ry-s3cret"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def ends_with(error: BaseException, *before: str) -> Result:
    failing = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    failing.callback()(options)

    @failing.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(failing, [*before, "fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("a is b", cure="do c"), 78),
        (StoreUnavailableError("a is b", cure="do c"), 69),
        (LaneHeldElsewhereError(what="a", holder="b"), 75),
    ],
)
def test_an_error_of_ours_is_one_line_on_stderr_and_its_exit_code(error: AdapterError, code: int) -> None:
    result = ends_with(error)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"oicp-adapter: {error}\n"


def test_an_unexpected_error_is_an_internal_one_without_a_traceback() -> None:
    result = ends_with(ValueError("bad\x1b[2J"))
    assert result.exit_code == 70
    assert result.stderr.startswith("oicp-adapter: internal error: ValueError: bad")
    assert "\x1b" not in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback() -> None:
    result = ends_with(ConfigurationError("a is b", cure="do c"), "--debug")
    assert result.exit_code == 78
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("oicp-adapter: a is b: do c\n")


def test_an_interrupt_is_130() -> None:
    assert ends_with(KeyboardInterrupt()).exit_code == 130


def test_the_exit_code_of_a_command_stays_what_it_is() -> None:
    assert ends_with(typer.Exit(3)).exit_code == 3


@pytest.mark.parametrize("arguments", [("bogus",), ("--bogus",), ("certs", "show"), ("check", "--bogus"), ()])
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_the_version_is_printed() -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout) == (0, f"oicp-adapter {__version__}\n")


def test_a_command_learns_what_stands_before_it(tmp_path: Path) -> None:
    seen = []
    probe = typer.Typer(cls=Commands)
    probe.callback()(options)

    @probe.command()
    def look(context: typer.Context) -> None:
        seen.append(invocation(context))

    CliRunner().invoke(probe, ["--config", str(tmp_path / "a.toml"), "--debug", "look"])
    assert (seen[0].config, seen[0].debug) == (tmp_path / "a.toml", True)


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    # head-like: the reader closes its end before anything is written
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "oicp_adapter", "check", "--offline", "--json"],
            stdout=write,
            stderr=subprocess.PIPE,
            env={**os.environ, "OICP_ADAPTER_STORE__URL": f"sqlite:///{tmp_path}/store.db"},
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)
    assert b"BrokenPipe" not in done.stderr
    assert done.returncode == 0


def test_settings_that_are_wrong_are_findings_of_check() -> None:
    result = CliRunner().invoke(
        app, ["check", "--offline", "--json"], env={"OICP_ADAPTER_STORE_URL": CANARY, "OICP_ADAPTER_PUSH__LEASE": "0"}
    )
    assert result.exit_code == 78
    findings = json.loads(result.stdout)
    assert [finding["level"] for finding in findings] == ["error", "error"]
    assert CANARY not in result.output
