"""Every command line of the documents is one that the real command line takes."""

import re
import shlex
from functools import cache

import pytest
import typer.main

from oicp_adapter.cli.main import NAME, app
from tests.documents.conftest import PAGES, ROOT, blocks, name, quoted

CONTROL = re.compile(r"[;&|()]+")
OTHERS = {"systemctl", "journalctl", "docker", "podman", "kubectl"}
"""Commands that know a unit, an image or a namespace by the same name."""

INSTALLS = ("--install-completion", "--show-completion")
"""Options that do something as they are parsed."""

FOREIGN = {
    *("--build-arg", "--label", "--no-healthcheck", "--stop-timeout"),  # of docker and podman
    *("--require-hashes", "--no-deps", "--only-binary"),  # of pip
}
"""Options of other programs, of which the documents speak."""

OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")
REDIRECTION = re.compile(r"[<>]+&?")


def command_lines(text):
    """The arguments of each call of the command in a script, or in a session at a console."""
    text = re.sub(r"<<'?(\w+)'?.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        tokens = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";&|()<>")
        tokens.whitespace_split = True
        try:
            words = list(tokens)
        except ValueError:  # a quotation that goes on in the next line
            assert NAME not in line, line
            continue
        yield from calls(words)


def calls(words):
    """The arguments of each call of the command among the words of a line."""
    call, skipping, of_another = None, False, False
    for word in [*words, ";"]:
        if CONTROL.fullmatch(word):
            if call is not None:
                yield call
            call, of_another = None, False
        elif REDIRECTION.fullmatch(word):
            skipping = True
            if call and call[-1].isdigit():
                call.pop()
        elif skipping:
            skipping = False
        elif call is not None:
            call.append(word)
        elif word in OTHERS:
            of_another = True
        elif word.rpartition("/")[2] == NAME and not of_another:
            call = []


@cache
def command():
    return typer.main.get_command(app)


def parse(arguments, of=None, parent=None, called=NAME):
    """
    Parse as the command does, and run nothing.

    Raises:
        Exception: Wrong usage, with `exit_code` 2, or what `--version` and `--help` end with, with `exit_code` 0.
    """
    of = of or command()
    context = of.make_context(called, list(arguments), parent=parent)
    if hasattr(of, "resolve_command"):
        below, found, rest = of.resolve_command(context, [*context._protected_args, *context.args])
        parse(rest, found, context, below)


def complaint(arguments):
    try:
        parse(arguments)
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        return None if error.exit_code == 0 else f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return None


def options(of=None, parent=None, called=NAME):
    """Every option of every command."""
    of = of or command()
    context = of.context_class(of, info_name=called, parent=parent)
    for parameter in of.get_params(context):
        yield from (each for each in (*parameter.opts, *parameter.secondary_opts) if each.startswith("--"))
    for below in of.list_commands(context) if hasattr(of, "list_commands") else ():
        yield from options(of.get_command(context, below), context, below)


@cache
def known_options():
    """Those of the command, of the modules beside it, and of other programs."""
    beside = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("benchmarks", "release", "reliability")
        for path in (ROOT / folder).rglob("*.py")
    )
    return {*options(), *re.findall(r'"(--[a-z][a-z-]*)"', beside), *FOREIGN}


def unknown_options(text):
    """What a quotation that begins with an option names and nothing has; a whole command line is parsed instead."""
    return set(OPTION.findall(text)) - known_options() if text.startswith("--") else set()


WRITTEN = [
    pytest.param(call, id=f"{name(page)}: {' '.join(call)}")
    for page in PAGES
    for block in blocks(page, "sh", "console", "bash", "shell")
    for call in command_lines(block)
]


def test_there_are_command_lines_to_look_at():
    assert len(WRITTEN) > 25


@pytest.mark.parametrize("arguments", WRITTEN)
def test_a_command_line_of_a_block_is_accepted(arguments):
    assert complaint(arguments) is None


def test_a_command_line_in_a_sentence_names_a_command_and_options_that_there_are():
    seen = 0
    for page in PAGES:
        for text in quoted(page):
            if text.startswith(f"{NAME} ") and "COMMAND" not in text and not text.endswith(INSTALLS):
                wrong = complaint([word for word in shlex.split(text)[1:] if "…" not in word and "[" not in word])
                assert wrong is None or wrong.startswith(("MissingParameter", "NoArgsIsHelp")), (
                    name(page),
                    text,
                    wrong,
                )
                seen += 1
    assert seen > 30


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_an_option_in_a_sentence_is_one_that_there_is(page):
    assert [(text, unknown) for text in quoted(page) if (unknown := unknown_options(text))] == []


def test_a_wrong_option_would_be_found():
    assert unknown_options("--ofline") == {"--ofline"}
    assert unknown_options("--evses 5 --secs 5") == {"--secs"}
    assert {"--offline", "--help", "--config", "--hub-name", "--round-trip"} <= known_options()


@pytest.mark.parametrize(
    "line",
    [
        "oicp-adapter db upgrde",
        "oicp-adapter status --jsn",
        "oicp-adapter explain",
        "x && .venv/bin/oicp-adapter hub --port x",
    ],
)
def test_a_wrong_command_line_would_be_found(line):
    (arguments,) = command_lines(line)
    assert complaint(arguments) is not None


def test_lines_are_read_as_a_shell_reads_them():
    script = (
        "$ A=1 oicp-adapter hub --port 1 \\\n  --operator 'DE*ABC' >out 2>err &\noicp-adapter check --json | grep x"
    )
    assert list(command_lines(script)) == [["hub", "--port", "1", "--operator", "DE*ABC"], ["check", "--json"]]
