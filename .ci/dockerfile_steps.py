"""
Tries the steps of the Dockerfile without a container engine: both stages, then the command as the image's user.

1. What runs is read from the Dockerfile; an instruction that is not known here is an error, so the two cannot drift.
2. The image's absolute paths lie under one scratch folder. What a stage made is put aside when the next one begins, and
   only what that one copies comes back: to its own path, so that what refers to itself by path still holds.
3. `.ci/container_life.py` runs what was made, on a file system that is read-only and has no shell.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import container_life
import dockerfile

OWN_PATHS = re.compile(r"(?<![\w.:/}-])/(src|build|wheels|opt|var)\b|(?<==)/(src|build|wheels|opt|var)\b")
SILENT = {"EXPOSE", "LABEL"}
LIMIT = 300


def main() -> None:
    """Run all instructions in order, then what the image starts."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        image = Image(scratch, find_python())
        try:
            for word, rest in dockerfile.read(Path("Dockerfile")):
                image.perform(word, rest)
            image.check()
        except dockerfile.DockerfileError as error:
            fail(str(error))
        image.start()


class Image:
    """The scratch folder that stands for the image, with what the instructions have set."""

    def __init__(self, scratch: Path, python: str) -> None:
        self.root = scratch / "image"
        self.aside = scratch / "aside"
        self.arguments: dict[str, str] = {}
        tools = scratch / "tools"
        tools.mkdir()
        (tools / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n', encoding="utf-8")
        (tools / "python").chmod(0o755)
        self.path = f"{tools}:/usr/bin:/bin"
        self.begin()

    def begin(self) -> None:
        """Begin a stage with nothing but its base."""
        if self.root.exists():
            shutil.rmtree(self.aside, ignore_errors=True)
            self.root.rename(self.aside)
        self.root.mkdir()
        self.folder = self.root
        self.user: tuple[int, int] | None = None
        self.environment = {"PATH": self.path}
        self.entry_point: Sequence[str] = []
        self.command: Sequence[str] = []
        self.health: Sequence[str] = []

    def perform(self, word: str, rest: str) -> None:  # noqa: C901 - one case an instruction
        """Do what one instruction says."""
        print(f"+ {word} {rest}", flush=True)
        match word:
            case "ARG":
                self.arguments.update(dockerfile.assignments(rest))
            case "FROM":
                dockerfile.base_image(rest, self.arguments)
                self.begin()
            case "RUN":
                self.run(rest)
            case "COPY":
                self.copy(rest.split())
            case "WORKDIR":
                self.folder = Path(self.mapped(rest))
                self.folder.mkdir(parents=True, exist_ok=True)
            case "ENV":
                for name, value in dockerfile.assignments(rest).items():
                    self.environment[name] = self.mapped(value).replace(f"${name}", self.environment.get(name, ""))
            case "USER":
                self.user = dockerfile.numeric_user(rest)
            case "ENTRYPOINT":
                self.entry_point = dockerfile.exec_form(rest)
            case "CMD":
                self.command = dockerfile.exec_form(rest)
            case "HEALTHCHECK":
                self.health = dockerfile.health_command(rest)
            case _ if word not in SILENT:
                fail(f"the instruction {word} is not known here: add it to {__file__}")

    def mapped(self, text: str) -> str:
        """Return a text with the image's own paths moved under the scratch folder."""
        return OWN_PATHS.sub(lambda found: f"{self.root}{found[0]}", text)

    def run(self, text: str) -> None:
        """Run a command, of a shell or not, in the present folder."""
        command = ["/bin/sh", "-ec", self.mapped(text)]
        if text.startswith("["):
            command = [self.mapped(word) for word in dockerfile.exec_form(text)]
        environment = {**os.environ, **self.environment, "PIP_QUIET": "2"}
        subprocess.run(command, cwd=self.folder, env=environment, check=True, timeout=LIMIT)

    def copy(self, words: Sequence[str]) -> None:
        """Copy from the project; what comes from the stage before goes to the path that it had there."""
        if words[0].startswith("--from="):
            self.take_over(*words[1:])
            return
        *named, target = words
        for source in map(Path, named):
            into = self.folder / target
            if source.is_dir():
                shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, into)

    def take_over(self, source: str, target: str) -> None:
        """Take what the stage before has made, to the path that it had there."""
        made = self.aside / source.lstrip("/")
        if source != target or not made.exists():
            fail(f"{source} was not made by the stage before, or goes to another path")
        into = self.root / target.lstrip("/")
        into.parent.mkdir(parents=True, exist_ok=True)
        made.rename(into)

    def check(self) -> None:
        """Expect that a user, what is started and what is asked are all named."""
        if not (self.user and self.entry_point and self.command and self.health):
            fail("USER, ENTRYPOINT, CMD or HEALTHCHECK is missing in the last stage")
        shutil.rmtree(self.aside, ignore_errors=True)

    def start(self) -> None:
        """Run what the image starts, as its user."""
        if os.geteuid() != 0:
            print("NOT TRIED: only root can become the image's user")
            return
        assert self.user is not None  # noqa: S101 - `check` has looked
        container_life.enter(
            container_life.Started(
                root=str(self.root),
                folder=str(self.folder),
                user=self.user,
                environment=self.environment,
                entry_point=list(self.entry_point),
                command=list(self.command),
                health=list(self.health),
            )
        )


def find_python() -> str:
    """Return a Python that another user can run too, since the one in use may lie in root's home."""
    probe = "import sys, ssl, sqlite3, ensurepip; assert sys.version_info >= (3, 11); print(sys.version)"
    become = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"] if os.geteuid() == 0 else []
    found = [sys.executable, shutil.which("python3.11"), "/usr/bin/python3.11", "/usr/bin/python3"]
    for python in (os.path.realpath(path) for path in found if path):
        own, other = (
            subprocess.run([*prefix, python, "-Ic", probe], capture_output=True, check=False, cwd="/")
            for prefix in ([], become)
        )
        if own.returncode == 0 and own.stdout == other.stdout:
            return python
    raise SystemExit("Dockerfile: there is no Python 3.11 that another user can run")


def fail(why: str) -> NoReturn:
    """End the program with an explanation."""
    sys.exit(f"Dockerfile: {why}")


if __name__ == "__main__":
    main()
