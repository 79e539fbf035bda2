"""What the tests of Kubernetes and Compose share: the real command line, a PostgreSQL, and processes that end."""

import json
import os
import socket
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import typer.main
from sqlalchemy import make_url

from oicp_adapter.cli.main import NAME, app
from oicp_adapter.settings import examine_settings
from oicp_adapter.settings_sources import PREFIX
from reliability.real.process import eventually

ROOT = Path(__file__).parents[2]
USER = 10001
"""Of the image, and of every process in Kubernetes and Compose."""

PATIENCE = 60.0
SITE_PACKAGES = sysconfig.get_path("platlib")
_NUMBERS = count()


def accept(arguments: Sequence[str]) -> None:
    """Parse a command line as the real program does; an unknown command, option or value raises."""
    command: Any = typer.main.get_command(app)
    context = command.make_context(NAME, list(arguments))
    while hasattr(command, "resolve_command"):  # a group; Typer brings a Click of its own
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def unknown_variables(environment: Mapping[str, str]) -> Sequence[str]:
    """Name the variables of an environment that look like settings and are none."""
    named = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    named.pop(f"{PREFIX}CONFIG", None)
    _, problems = examine_settings(None, None, named)
    return [str(problem) for problem in problems if "no setting" in str(problem)]


def status_of(url: str, context: Any = None) -> int | None:
    """Return the status that a GET is answered with, None: nobody answers."""
    direct, https = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    opener = urllib.request.build_opener(direct, https)
    try:
        with opener.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
    except OSError:
        return None


@dataclass
class Programs:
    """
    Runs `oicp-adapter` as a container would: in an environment of its own, as the image's user where that may be.

    Attributes:
        user: None: the tests do not run as root, so all stays with who runs them.
    """

    opened: ExitStack
    folder: Path
    python: str
    user: int | None

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self._line(arguments), capture_output=True, text=True, check=False, timeout=PATIENCE,
            **self._options(environment),
        )  # fmt: skip

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], *, other: bool = False) -> Any:
        """Start a command that runs on, of another program where that is said; it is ended with the test."""
        line = arguments if other else self._line(arguments)
        log = self.opened.enter_context((self.folder / f"log-{next(_NUMBERS)}").open("w+b"))
        child = subprocess.Popen(line, stdout=log, stderr=log, **self._options(environment))
        self.opened.callback(self._end, child)
        child.log = log
        return child

    def answers(self, child: Any, url: str, context: Any = None) -> None:
        """Wait until 200 comes from an address; fail at once when the process has ended."""

        def look() -> bool:
            assert child.poll() is None, self.said(child)
            return status_of(url, context) == 200

        eventually(look, every=0.1)

    @staticmethod
    def said(child: Any) -> str:
        """Return what a process has printed."""
        return Path(child.log.name).read_text()

    def _line(self, arguments: Sequence[str]) -> Sequence[str]:
        return [self.python, "-m", "oicp_adapter", *arguments]

    def _options(self, environment: Mapping[str, str]) -> dict[str, Any]:
        path = os.pathsep.join([str(ROOT), SITE_PACKAGES])
        own = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        plain = {**own, "PYTHONPATH": path, **environment}
        become = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": [self.user]}
        return {"env": plain, "cwd": self.folder, "stdin": subprocess.DEVNULL, **become}

    @staticmethod
    def _end(child: "subprocess.Popen[bytes]") -> None:
        if child.poll() is None:
            child.kill()
        child.wait(PATIENCE)


@pytest.fixture(scope="session")
def image_python() -> str:
    """A Python that the image's user can run and that finds the program; the one in use may lie in root's home."""
    become = {"user": USER, "group": USER, "extra_groups": [USER]} if os.geteuid() == 0 else {}
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), SITE_PACKAGES])}
    for python in (sys.executable, "/usr/bin/python3.11", "/usr/bin/python3"):
        with suppress(OSError):
            found = subprocess.run(
                [python, "-c", "import oicp_adapter, psycopg, pydantic"],
                env=environment, cwd="/", capture_output=True, check=False, timeout=PATIENCE, **become,
            )  # fmt: skip
            if found.returncode == 0:
                return python
    pytest.skip("another user can run no Python that finds the program here")


@pytest.fixture
def programs(image_python: str) -> Iterator[Programs]:
    """Programs of the image's user, in a folder that he may read."""
    with TemporaryDirectory(prefix="oicp-adapter-deploy-") as name, ExitStack() as opened:
        folder = Path(name)
        folder.chmod(0o755)
        yield Programs(opened, folder, image_python, USER if os.geteuid() == 0 else None)


@pytest.fixture
def empty_database(server_url: str) -> str:
    """The URL of a database without tables, which the image's user may reach."""
    Path(str(make_url(server_url).query["host"])).chmod(0o755)  # its socket is there
    name = f"deploy_{next(_NUMBERS)}"
    with closing(psycopg.connect(server_url, autocommit=True)) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Return a Kubernetes container's variables."""
    return {each["name"]: each["value"] for each in container.get("env", ())}


def read_json(name: str) -> Any:
    """Return a schema that is kept beside the tests."""
    return json.loads((Path(__file__).parent / "schemas" / name).read_text(encoding="utf-8"))


@pytest.fixture
def free_ports() -> Callable[[int], Sequence[int]]:
    """Find ports that nobody listens on."""

    def find(number: int) -> Sequence[int]:
        with ExitStack() as opened:
            listeners = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
            return [listener.getsockname()[1] for listener in listeners]

    return find
