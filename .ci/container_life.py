"""
Runs what an image starts, as its user, on a file system that is read-only and has no shell, and looks at it.

1. In a mount namespace of its own everything is mounted read-only but the folder of the user's data, and every shell is
   hidden. A probe shows that this is so; where no namespace may be had, it says what was not tried.
2. A real fleet in SQLite, the built-in simulator over mutual TLS and the daemon: the health check's answer is looked at
   before, while, without the hub, and after.
"""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

PATIENCE = 60.0
DATA = "var/lib/oicp-adapter"
SETTINGS = "settings"
KERNELS_OWN = ("/proc", "/sys")
PROBE = """
import os, subprocess, sys, tempfile
for place in sys.argv[2:]:
    try:
        open(os.path.join(place, "probe"), "w")
    except OSError:
        continue
    sys.exit(f"{place} can be written to")
open(os.path.join(sys.argv[1], "probe"), "w").close()
os.unlink(os.path.join(sys.argv[1], "probe"))
if os.geteuid() == 0:
    sys.exit("this is root")
for shell in ("/bin/sh", "/bin/bash"):
    try:
        subprocess.run([shell, "-c", "exit"])
    except OSError:
        continue
    sys.exit(f"{shell} can be run")
"""


@dataclass(frozen=True, slots=True)
class Started:
    """What an image starts, and as whom; paths are those of the scratch folder."""

    root: str
    folder: str
    user: tuple[int, int]
    environment: dict[str, str]
    entry_point: list[str]
    command: list[str]
    health: list[str]


def enter(started: Started) -> None:
    """Go through the container's life in a namespace of its own, or without one where none may be had."""
    namespace = ["unshare", "--mount", "--propagation", "private", "--"]
    may = subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    if not may:
        print(
            "NOT TRIED: no mount namespace may be had here, so neither a read-only file system nor one without shells"
        )
    line = [*(namespace if may else []), sys.executable, __file__, json.dumps(asdict(started)), "own" if may else ""]
    ended = subprocess.run(line, check=False, timeout=600).returncode
    if ended != 0:
        sys.exit(f"the container's life ended with {ended}")


class Life:
    """The life of one container; `alone` tells whether its mounts are its own."""

    def __init__(self, started: Started, *, alone: bool) -> None:
        self.started = started
        self.alone = alone
        self.data = Path(started.root) / DATA
        self.settings = Path(started.root) / SETTINGS
        self.hub_port, self.monitoring_port = free_ports(2)
        user, group = started.user
        self.become = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        self.environment = {"OICP_ADAPTER_CONFIG": f"{self.settings}/oicp-adapter.toml"}

    def line(self, words: Sequence[str], *, configured: bool = True) -> list[str]:
        """Return the command line that runs *words* as the image's user, with the image's environment and no other."""
        settings = self.started.environment | (self.environment if configured else {})
        return [*self.become, "env", "-i", *(f"{name}={value}" for name, value in settings.items()), *words]

    def run(self, *words: str, expected: int | None = 0, configured: bool = True) -> str:
        """Run words to their end, and return what they printed; None expects anything but 0."""
        shown = " ".join("..." if "\n" in word else word for word in words)
        print(f"+ as {self.started.user[0]}: {shown}", flush=True)
        line = self.line(words, configured=configured)
        done = subprocess.run(line, cwd=self.data, stdout=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
        if done.returncode == 0 if expected is None else done.returncode != expected:
            sys.exit(
                f"{words}: it exited with {done.returncode}, expected {'a failure' if expected is None else expected}"
            )
        return done.stdout

    def program(self, *words: str, expected: int | None = 0, configured: bool = True) -> str:
        """Run the entry point with arguments."""
        return self.run(*self.started.entry_point, *words, expected=expected, configured=configured)

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """Run the entry point beside the rest; it is gone afterwards."""
        print(f"+ as {self.started.user[0]}, beside the rest: {' '.join(words)}", flush=True)
        with self.log(words[0]) as log:
            line = self.line([*self.started.entry_point, *words])
            child = subprocess.Popen(line, cwd=self.data, stdout=log, stderr=log, text=True)
            try:
                yield child
            except BaseException:
                print((self.data / f"{words[0]}.log").read_text(encoding="utf-8"))
                raise
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()

    def log(self, name: str) -> IO[str]:
        """Open a log where alone something can be written."""
        return (self.data / f"{name}.log").open("w", encoding="utf-8")

    def prepare(self) -> None:
        """Write settings and a fleet, as whoever runs the image mounts them."""
        self.settings.mkdir()
        certificates = self.data / "certs"
        (self.settings / "oicp-adapter.toml").write_text(
            f"""
            [store]
            url = "sqlite:///{self.data}/store.db"
            [hub]
            url = "https://localhost:{self.hub_port}/api/oicp"
            ca_file = "{certificates}/hub-ca.pem"
            [[operators]]
            id = "DE*ABC"
            name = "ABC technologies"
            certificate = "{certificates}/client-DE-ABC.pem"
            private_key = "{certificates}/client-DE-ABC.key"
            [monitoring]
            host = "0.0.0.0"
            port = {self.monitoring_port}
            """,
            encoding="utf-8",
        )
        fleet = "evse_id,operator_id,status\nDE*ABC*E1,DE*ABC,Available\nDE*ABC*E2,DE*ABC,Faulted\n"
        (self.settings / "fleet.csv").write_text(fleet, encoding="utf-8")

    def close(self) -> None:
        """Make everything read-only but the data, hide each shell, and show that it is so."""
        if not self.alone:
            return
        mount("--bind", str(self.data), str(self.data))
        for place in mounted():
            if place != str(self.data) and not place.startswith(KERNELS_OWN):
                mount("--options", "remount,bind,ro", place)
        shells = {os.path.realpath(each) for each in ("/bin/sh", *shells_of_this_machine()) if Path(each).exists()}
        for shell in sorted(shells):
            mount("--bind", "/dev/null", shell)
        places = ["/", "/tmp", "/dev/shm", self.started.root, str(self.settings)]  # noqa: S108 - looked at
        for place in places:
            if not read_only(Path(place)):
                sys.exit(f"{place} is not read-only, even for root")
        python = shutil.which("python", path=self.started.environment["PATH"]) or "python"
        self.run(python, "-c", PROBE, str(self.data), *places)
        print(f"read-only but for /{DATA}, without {', '.join(sorted(shells))}")

    def look(self) -> None:
        """Go through the life of a container, and ask for its health at each turn."""
        health, command = self.started.health, self.started.command
        self.program("--version", configured=False)
        self.program(*command, expected=78, configured=False)
        hub = ("hub", "--dir", "certs", "--port", str(self.hub_port), "--operator", "DE*ABC")
        with self.running(*hub) as simulator:
            eventually(lambda: (self.data / "certs" / "client-DE-ABC.key").exists() and listens(self.hub_port))
            self.program("db", "upgrade")
            self.program("db", "import", f"{self.settings}/fleet.csv")
            self.run(*health, expected=None)
            with self.running(*command) as daemon:
                eventually(lambda: daemon.poll() is None and listens(self.monitoring_port))
                self.run(*health)
                eventually(self.in_sync)
                simulator.terminate()
                simulator.wait(PATIENCE)
                self.run(*health)
                daemon.send_signal(signal.SIGTERM)
                if daemon.wait(PATIENCE) != 0:
                    sys.exit(f"the daemon ended with {daemon.returncode} when it was told to stop")
            self.run(*health, expected=None)
        print("healthy with and without the hub, unhealthy before and after; both EVSEs reached the hub")

    def in_sync(self) -> bool:
        """Tell whether the hub has acknowledged every EVSE."""
        states = [each["state"] for each in json.loads(self.program("status", "--json"))]
        return states == ["in_sync", "in_sync"]


def mount(*arguments: str) -> None:
    """Mount something in this namespace."""
    subprocess.run(["mount", *arguments], check=True, timeout=30)  # noqa: S607 - the system's


def read_only(place: Path) -> bool:
    """Tell whether the file system refuses what no permission would refuse to this process."""
    try:
        (place / "probe").touch()
    except OSError as error:
        return error.errno == errno.EROFS
    (place / "probe").unlink()
    return False


def mounted() -> Sequence[str]:
    """Return where something is mounted, the whole before its parts, each once."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return sorted({line.split()[4] for line in lines})


def shells_of_this_machine() -> Sequence[str]:
    """Return the shells that this machine names."""
    listed = Path("/etc/shells")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    return [line for line in lines if line.startswith("/")]


def free_ports(count: int) -> Sequence[int]:
    """Return as many ports on which nobody listens at present."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def eventually(look: Callable[[], bool]) -> None:
    """Wait until it is so; end the program when it does not come to that."""
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            sys.exit(f"it did not come to that within {PATIENCE} s: {look.__qualname__}")
        time.sleep(0.2)


def main() -> None:
    """Go through the life that the command line describes."""
    described = json.loads(sys.argv[1])
    described["user"] = tuple(described["user"])
    life = Life(Started(**described), alone=sys.argv[2] == "own")
    life.prepare()
    life.close()
    life.look()


if __name__ == "__main__":
    main()
