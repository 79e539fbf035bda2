"""
Writes the manual page oicp-adapter(1) from the command line itself.

1. It says nothing that a command's own help does not say, but for what all commands share.
2. It uses the man(7) macros and plain ASCII, so that groff and mandoc show the same.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from docs.generate.commands import metavar, tree
from docs.generate.meanings import meanings
from oicp_adapter import __version__
from oicp_adapter.cli.main import NAME
from oicp_adapter.domain.exit_codes import ExitCode

PAGE: Final = Path(__file__).parents[1] / "share" / "man" / "man1" / "oicp-adapter.1"

_COMPLETION: Final = ("--install-completion", "--show-completion")
"""Options whose words are Typer's, which change with its versions; the page describes completion itself."""

_WIDTH: Final = 76

_HEAD: Final = r"""
.SH NAME
{name} \-
{summary}
.SH SYNOPSIS
.B {name}
[\fIOPTION\fR]...
\fICOMMAND\fR
[\fIARGUMENT\fR]...
.SH DESCRIPTION
A sidecar for charge point operators.
It reads the status of every EVSE from a database that other systems write,
and keeps the statuses at Hubject (OICP 2.3, mutual TLS) equal to it.
Settings come from the command line, else from the environment, else from a
TOML file, else they have their default.
"""

_TAIL: Final = r"""
.SH ENVIRONMENT
.TP
.B OICP_ADAPTER_CONFIG
The file of settings where no \fB\-\-config\fR is given.
.TP
.BI OICP_ADAPTER_ SECTION __ KEY
One setting, as \fBOICP_ADAPTER_STORE__URL\fR for \fIurl\fR of \fI[store]\fR;
it wins over the file.
.TP
.B OICP_ADAPTER_OPERATORS
The operators, as a JSON array.
.SH COMPLETION
\fB{name} \-\-install\-completion\fR installs completion
for the user of the current shell (bash, zsh or fish), and
\fB\-\-show\-completion\fR prints it.
.SH SIGNALS
SIGTERM and SIGINT stop the daemon and the servers in order;
a second one cuts what is under way.
On SIGHUP the daemon reads its settings again,
and the control server says which of them want a restart.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")


def page() -> str:
    """Return the text of the page as it is to be."""
    root = next(tree())
    summary = root.text.rstrip(".")
    # Without a date: it would change with each day on which the page is written.
    lines = [f'.TH {NAME.upper()} 1 "" "{NAME} {__version__}" "User Commands"']
    lines += _HEAD.strip().format(name=escaped(NAME), summary=text(summary[0].lower() + summary[1:])).splitlines()
    lines += [".SH OPTIONS", *described(root.parameters), ".SH COMMANDS", *commands()]
    lines += [".SH EXIT STATUS", *exit_codes(), *_TAIL.strip().format(name=escaped(NAME)).splitlines()]
    return "\n".join(lines) + "\n"


def commands() -> Iterator[str]:
    """Yield the lines of each command that is no group."""
    for command in tree():
        if not command.group:
            yield f".SS {synopsis(command.path, command.parameters)}"
            yield text(command.text)
            yield from described(command.parameters)


def synopsis(path: Sequence[str], parameters: Sequence[Any]) -> str:
    """Return a command's words, then its arguments and the options that it cannot do without."""
    words = [escaped(word) for word in path]
    needed = [each for each in parameters if each.param_type_name == "option" and each.required]
    words += [f"{escaped(each.opts[0])} {escaped(metavar(each))}" for each in needed]
    words += [escaped(metavar(each)) for each in parameters if each.param_type_name == "argument"]
    return " ".join(words)


def described(parameters: Sequence[Any]) -> Iterator[str]:
    """Yield an entry for each argument and option of a command."""
    for each in parameters:
        if set(each.opts) & set(_COMPLETION):
            continue
        yield ".TP"
        if each.param_type_name == "argument":
            yield rf"\fI{escaped(metavar(each))}\fR"
            yield text(each.help)
            continue
        names = ", ".join(rf"\fB{escaped(name)}\fR" for name in (*each.opts, *each.secondary_opts))
        yield names if each.is_flag else rf"{names} \fI{escaped(metavar(each))}\fR"
        given = each.default
        shown = "" if each.is_flag or given is None or given == "" else f" The default is {given}."
        yield text(f"{each.help or ''}{shown}".strip())


def exit_codes() -> Iterator[str]:
    """Yield an entry for each exit code."""
    for code, meaning in meanings(ExitCode).items():
        yield from (".TP", rf"\fB{code.value}\fR", text(meaning))


def text(words: str) -> str:
    """Return a sentence or more as text of the page: code in bold, and no line that a macro could be read from."""
    parts = re.split(r"`([^`]+)`", " ".join(words.split()))
    shown = "".join(rf"\fB{escaped(part)}\fR" if index % 2 else escaped(part) for index, part in enumerate(parts))
    lines = textwrap.wrap(shown, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in lines)


def escaped(words: str) -> str:
    """Return words in ASCII with nothing in them that roff would take for its own."""
    plain = words.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")
    return "".join(each if each.isascii() else rf"\[u{ord(each):04X}]" for each in plain)


if __name__ == "__main__":
    main()
