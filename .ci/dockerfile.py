"""
Reads a Dockerfile: its instructions, and of what it starts the exact words.

What is started must be in the exec form, a JSON array, since the image has to need no shell.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

NUMBERS = re.compile(r"[1-9]\d*:[1-9]\d*")
DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


class DockerfileError(Exception):
    """A Dockerfile says what it must not, or what nothing here knows."""


def read(path: Path) -> Sequence[tuple[str, str]]:
    """Return each instruction with its arguments, comments dropped, continued lines joined."""
    return list(instructions(path.read_text(encoding="utf-8")))


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction with its arguments, comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def exec_form(rest: str) -> Sequence[str]:
    """Return the words of a command in the exec form; any other form would want a shell."""
    try:
        words = json.loads(rest)
    except ValueError:
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(each, str) for each in words):
        raise DockerfileError(f"not in the exec form, so it wants a shell: {rest}")
    return words


def health_command(rest: str) -> Sequence[str]:
    """Return the words of a HEALTHCHECK's command."""
    options, found, command = rest.partition("CMD ")
    if not found or not all(each.startswith("--") for each in options.split()):
        raise DockerfileError(f"HEALTHCHECK {rest} has no command")
    return exec_form(command)


def assignments(rest: str) -> Mapping[str, str]:
    """Return the names and values of an ENV, an ARG or a LABEL."""
    found = re.findall(r'([\w.]+)=("[^"]*"|\S*)', rest)
    return {name: value.strip('"') for name, value in found}


def numeric_user(rest: str) -> tuple[int, int]:
    """Return user and group of a USER, who must be numbers other than root's."""
    if not NUMBERS.fullmatch(rest):
        raise DockerfileError(f"USER {rest} is not a pair of numbers other than root's")
    user, _, group = rest.partition(":")
    return int(user), int(group)


def base_image(rest: str, arguments: Mapping[str, str]) -> str:
    """Return the image of a FROM, which an argument must name with tag and digest."""
    name = rest.partition(" ")[0]
    if not re.fullmatch(r"\$\{\w+\}", name):
        raise DockerfileError(f"FROM {rest}: the base must come from an argument")
    image = arguments.get(name[2:-1], "")
    if not DIGEST.fullmatch(image):
        raise DockerfileError(f"FROM {rest}: {image or 'nothing'} has no tag with a digest")
    return image
