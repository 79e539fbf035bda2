"""Documents every command with its arguments and options, as the command line itself knows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

import typer.main

from docs.generate import markdown
from docs.generate.markdown import code, described, table
from oicp_adapter.cli.main import NAME, app

_HELP: Final = "help"
_INTRO: Final = f"""\
`{NAME}` is the only command that the package installs; `python -m oicp_adapter` is the same. What stands before the
name of a command holds for all of them. Machine-readable output and tables go to stdout, everything else to stderr.
`--help` after any command says what stands here. What a command ends with: [exit codes](exit-codes.md)."""


@dataclass(frozen=True, slots=True)
class Command:
    """
    One command, or a group of commands.

    Attributes:
        path: Its name after those of its groups, as `("temporary", "set")`; empty: what stands before all commands.
        group: It only holds other commands.
    """

    path: tuple[str, ...]
    text: str
    parameters: Sequence[Any]
    group: bool

    @property
    def name(self) -> str:
        """The words that call it."""
        return " ".join((NAME, *self.path))

    @property
    def usage(self) -> str:
        """How it is called, with its arguments."""
        words = [metavar(each) for each in self.parameters if each.param_type_name == "argument"]
        options = any(each.param_type_name == "option" for each in self.parameters)
        return " ".join([self.name, *(["[OPTIONS]"] if options else []), *(["COMMAND"] if self.group else words)])


def tree() -> Iterator[Command]:
    """Yield all commands, each group before its own."""
    yield from _walk(typer.main.get_command(app), (), None)


def _walk(command: Any, path: tuple[str, ...], parent: Any) -> Iterator[Command]:
    context = command.context_class(command, info_name=path[-1] if path else NAME, parent=parent)
    names = list(command.list_commands(context)) if hasattr(command, "list_commands") else []
    shown = [each for each in command.get_params(context) if not each.hidden and each.name != _HELP]
    yield Command(path, described(f"command {' '.join(path) or NAME}", command.help), shown, bool(names))
    for name in names:
        yield from _walk(command.get_command(context, name), (*path, name), context)


def page() -> str:
    """Return the whole page."""
    return page_of(tree())


def page_of(commands: Iterator[Command]) -> str:
    """Return the page for these commands."""
    blocks = [_INTRO]
    for command in commands:
        level = "#" * min(4, 2 + max(0, len(command.path) - 1))
        blocks += [f"{level} `{command.name}`", command.text, f"```\n{command.usage}\n```"]
        if command.parameters:
            rows = [_row(command, each) for each in command.parameters]
            blocks.append(table(["argument or option", "meaning", "default"], rows))
    return markdown.page("Commands", *blocks)


def summary() -> str:
    """Return a table of the commands of the first level, with the names of those below them."""
    commands = list(tree())
    rows = []
    for command in commands:
        if len(command.path) == 1:
            below = [each.path[1] for each in commands if each.path[:1] == command.path and len(each.path) > 1]
            words = " ".join([*command.path, "|".join(below)]).strip()
            rows.append([f"[`{words}`](docs/reference/commands.md#{markdown.anchor(command.name)})", command.text])
    return table(["command", "what it does"], rows)


def _row(command: Command, parameter: Any) -> list[str]:
    what = f"{parameter.opts[0]} of command {command.name}"
    meaning = described(what, getattr(parameter, "help", None))
    if parameter.param_type_name == "argument":
        return [code(metavar(parameter)), meaning, "required" if parameter.required else ""]
    words = ", ".join(parameter.opts)
    flag = parameter.is_flag
    shown = words if flag else f"{words} {metavar(parameter)}"
    return [code(shown), f"{meaning}{_range(parameter)}", "required" if parameter.required else _default(parameter)]


def metavar(parameter: Any) -> str:
    """Return what stands for the value of an argument or option."""
    return str(parameter.metavar or parameter.opts[-1].lstrip("-").replace("-", "_").upper())


def _default(parameter: Any) -> str:
    match parameter.default:
        case None | False | () | []:
            return ""
        case PurePath() as path:
            return code(str(path))
        case float() as number:
            return code(f"{number:g}")
        case other:
            return code(str(other))


def _range(parameter: Any) -> str:
    """Return the bounds of a number; older versions of Typer keep them in the parameter's type."""
    holder = parameter if hasattr(parameter, "min") else getattr(parameter, "type", None)
    low, high = getattr(holder, "min", None), getattr(holder, "max", None)
    if low is None and high is None:
        return ""
    return f" {low} or more." if high is None else f" {low} to {high}."
