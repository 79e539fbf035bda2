"""Completion works in bash, zsh and fish: from the files that the wheel ships, and from what the program prints."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main

from oicp_adapter.cli.main import app

SHARE = Path(__file__).parents[2] / "share"
FILES = {
    "bash": SHARE / "bash-completion" / "completions" / "oicp-adapter",
    "zsh": SHARE / "zsh" / "site-functions" / "_oicp-adapter",
    "fish": SHARE / "fish" / "vendor_completions.d" / "oicp-adapter.fish",
}
PATIENCE = 60.0
SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} is installed"))
    for name in FILES
]


@pytest.fixture
def environment(tmp_path):
    """Of a user who has the program on the path and nothing else of their own."""
    where = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    return {"PATH": where, "HOME": str(tmp_path), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def completed(shell, source, line, environment):
    """Return what a shell that has read *source* offers for *line*."""
    match shell:
        case "bash":
            script = f"source {source}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
            script += "eval \"$(complete -p oicp-adapter | sed -E 's/.*-F ([^ ]+) .*/\\1/') oicp-adapter\"\n"
            script += 'printf "%s\\n" "${COMPREPLY[@]}"'
        case _:
            script = f"source {source}; complete --do-complete='{line}'"
    said = subprocess.run(
        [shell, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert said.stderr == ""
    return [each.partition("\t")[0] for each in said.stdout.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_program_prints_a_script_that_the_shell_takes(shell, environment, tmp_path):
    instructed = {**environment, "_OICP_ADAPTER_COMPLETE": f"source_{shell}"}
    said = subprocess.run(
        ["oicp-adapter"], env=instructed, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert "oicp-adapter" in said.stdout
    script = tmp_path / "completion"
    script.write_text(said.stdout)
    subprocess.run([shell, "-n", str(script)], env=environment, check=True, timeout=PATIENCE)
    if shell != "zsh":
        assert completed(shell, script, "oicp-adapter tempo", environment) == ["temporary"]


@pytest.mark.parametrize("shell", [each for each in SHELLS if each.values != ("zsh",)])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("oicp-adapter with", {"withdrawals"}),
        ("oicp-adapter quarantine ''", {"list", "release"}),
        ("oicp-adapter temporary set --loc", {"--location"}),
    ],
)
def test_the_shipped_file_offers_commands_and_options(shell, line, expected, environment):
    line = line if shell == "bash" else line.replace("''", "")
    assert set(completed(shell, FILES[shell], line, environment)) == expected


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh is installed")
def test_zsh_finds_the_shipped_file_by_itself_and_completes_at_the_first_time(environment):
    child, terminal = pty.fork()
    if child == 0:
        os.execve(shutil.which("zsh"), ["zsh", "-f", "-i"], environment)  # noqa: S606 - a shell at a terminal
    try:
        setup = f"PS1='%% '; unsetopt beep; fpath=({FILES['zsh'].parent} $fpath); autoload -Uz compinit; compinit -D -u"
        os.write(terminal, f"{setup}; echo set''up\n".encode())
        said_by(terminal, "setup\r\n")
        os.write(terminal, b"echo oicp-adapter-is-$+commands[oicp-adapter]\n")
        said_by(terminal, "is-1")
        os.write(terminal, b"oicp-adapter tempo\t")
        said_by(terminal, "temporary ")
        os.write(terminal, b"ext\t")
        said_by(terminal, "extend ")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def said_by(terminal, expected):
    """Wait until a terminal has shown *expected*, of which control characters are no part."""
    shown, end = "", time.monotonic() + PATIENCE
    while expected not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x08", "", shown):
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")


def test_only_the_program_itself_offers_to_install_it():
    root = typer.main.get_command(app)
    assert "--show-completion" in {name for each in root.params for name in each.opts}
    for name in root.list_commands(None):
        options = {opt for each in root.get_command(None, name).params for opt in each.opts}
        assert not options & {"--install-completion", "--show-completion"}, name
