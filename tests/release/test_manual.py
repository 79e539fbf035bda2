"""The manual page says what the command line says, and is one that man, groff and mandoc take without a complaint."""

import shutil
import subprocess

import pytest
import typer.main

from oicp_adapter import __version__
from oicp_adapter.cli.main import app
from release.manual import PAGE, escaped, page, text


def needs(program):
    found = shutil.which(program)
    return pytest.mark.skipif(found is None, reason=f"no {program} is installed")


def run(*line):
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


def leaves(command, path=()):
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(None):
        yield from leaves(command.get_command(None, name), (*path, name))


def test_the_committed_page_is_what_the_command_line_says():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m release.manual"


def test_every_command_and_option_is_in_it():
    shown = page()
    found = list(leaves(typer.main.get_command(app)))
    assert len(found) > 20
    for path, command in found:
        (section,) = [each for each in shown.split("\n.S") if each.startswith(f"S {escaped(' '.join(path))}")]
        for parameter in command.params:
            names = parameter.opts if parameter.param_type_name == "option" else []
            assert all(rf"\fB{escaped(name)}\fR" in section for name in names), path


def test_it_is_ascii_and_no_sentence_is_taken_for_a_macro():
    assert page().isascii()
    assert text(".TH of `x-y` … é \\") == r"\&.TH of \fBx\-y\fR ... \[u00E9] \e"


@needs("groff")
def test_groff_takes_it_without_a_warning():
    assert run("groff", "-man", "-ww", "-z", "-Tutf8", str(PAGE)).stderr == ""


@needs("mandoc")
def test_mandoc_takes_it_with_no_complaint_but_that_it_has_no_date():
    said = run("mandoc", "-Tlint", "-Wall", str(PAGE))
    complaints = [line for line in said.stdout.splitlines() if "missing date" not in line]
    assert complaints == []
    assert said.stderr == ""


@needs("man")
def test_man_shows_it():
    said = run("man", "--warnings", "-l", str(PAGE))
    assert said.stderr == ""
    assert f"oicp-adapter {__version__}" in said.stdout
    assert "temporary set EVSES KIND" in said.stdout
