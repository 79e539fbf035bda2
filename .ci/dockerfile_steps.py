"""
Tries the steps of the Dockerfile without a container engine: wheel, fresh virtual environment, another user.

1. What runs is read from the Dockerfile; an instruction that is not known here is an error, so the two cannot drift.
2. The image's absolute paths lie under one scratch folder; both stages share it, so that paths stay what they were.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

OWN_PATHS = re.compile(r"(?<![\w.:/-])/(src|wheels|opt|var)\b|(?<==)/(src|wheels|opt|var)\b")
SILENT = {"FROM", "EXPOSE"}
LIMIT = 300


def main() -> None:
    """Run all instructions in order, then the entry point as the user of the image."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        image = Image(root, find_python())
        for word, rest in instructions(Path("Dockerfile").read_text(encoding="utf-8")):
            image.perform(word, rest)
        image.try_entry_point()


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction with its arguments, comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


class Image:
    """The scratch folder that stands for the image, with what the instructions have set."""

    def __init__(self, root: Path, python: str) -> None:
        self.root = root
        self.folder = root
        self.user = ""
        self.entry_point: list[str] = []
        self.command: list[str] = []
        tools = root / "tools"
        tools.mkdir()
        (tools / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n', encoding="utf-8")
        (tools / "python").chmod(0o755)
        self.environment = {"PATH": f"{tools}:/usr/bin:/bin"}

    def perform(self, word: str, rest: str) -> None:
        """Do what one instruction says."""
        print(f"+ {word} {rest}", flush=True)
        match word:
            case "RUN":
                self.run(rest)
            case "COPY":
                self.copy(rest.split())
            case "WORKDIR":
                self.folder = Path(self.mapped(rest))
                self.folder.mkdir(parents=True, exist_ok=True)
            case "ENV":
                name, _, value = rest.partition("=")
                self.environment[name] = self.mapped(value).replace(f"${name}", self.environment.get(name, ""))
            case "USER":
                self.user = rest
            case "ENTRYPOINT":
                self.entry_point = json.loads(rest)
            case "CMD":
                self.command = json.loads(rest)
            case _ if word not in SILENT:
                fail(f"the instruction {word} is not known here: add it to {__file__}")

    def mapped(self, text: str) -> str:
        """Return a text with the image's own paths moved under the scratch folder."""
        return OWN_PATHS.sub(lambda found: f"{self.root}{found[0]}", text)

    def run(self, text: str) -> None:
        """Run a shell command as the present user, in the present folder."""
        command = self.mapped(text)
        environment = {**os.environ, **self.environment, "PIP_QUIET": "2"}
        subprocess.run(["/bin/sh", "-ec", command], cwd=self.folder, env=environment, check=True, timeout=LIMIT)

    def copy(self, words: list[str]) -> None:
        """Copy from the project; from another stage the thing is in its place already and must only be there."""
        if words[0].startswith("--from="):
            for path in words[1:]:
                if not Path(self.mapped(path)).exists():
                    fail(f"{path} was not made by the stage before")
            return
        *sources, target = words
        for source in map(Path, sources):
            into = self.folder / target
            if source.is_dir():
                shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, into)

    def try_entry_point(self) -> None:
        """Run the entry point as the image's user, who must be another one, and expect what it must answer."""
        if os.geteuid() != 0:
            print("skipped: only root can become the image's user")
            return
        user, _, group = self.user.partition(":")
        if not user.isdigit() or not group.isdigit() or user == "0":
            fail(f"USER {self.user} is not a pair of numbers other than root's")
        become = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        store = f"OICP_ADAPTER_STORE__URL=sqlite:///{self.mapped('/var/lib/oicp-adapter')}/store.db"
        tries = ((["--version"], 0), (["db", "upgrade"], 0), (self.command, 78))
        for arguments, expected in tries:
            settings = [f"{name}={value}" for name, value in self.environment.items()]
            called = [*become, "env", "-i", *settings, store, *self.entry_point, *arguments]
            print(f"+ as {self.user}: {' '.join([*self.entry_point, *arguments])}", flush=True)
            code = subprocess.run(called, cwd=self.folder, check=False, timeout=LIMIT).returncode
            if code != expected:
                fail(f"it exited with {code}, expected {expected}")


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
