"""
Starts daemons by forking from a process that has imported them already: the imports cost ten times what the rest does.

1. The nursery has one thread and has run nothing, so a fork of it is as good as a new process.
2. One line of JSON in, one out: a line with `arguments` is answered by a pid, one with `reap` by an exit code.
3. It ends when its standard input does, and kills what still runs then; what it started dies with it in any case.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

_DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG of Linux."""


class Nursery:
    """The side of the tests; for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, arguments: Sequence[str], *, folder: Path, output: Path, errors: Path) -> int:
        """Run the command with these arguments; return its pid."""
        return self._ask(
            {"arguments": list(arguments), "folder": str(folder), "output": str(output), "errors": str(errors)}
        )

    def reap(self, pid: int) -> int:
        """Return the exit code of a process that has ended, negative: the signal that ended it."""
        return self._ask({"reap": pid})

    def close(self) -> None:
        """End it, and what it started."""
        self._process.communicate(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, order: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(f"{json.dumps(order)}\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


def _serve() -> None:
    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            _, status = os.waitpid(order["reap"], 0)
            children.discard(order["reap"])
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                _become(order)
            children.add(answer)
        print(answer, flush=True)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _become(order: Any) -> None:
    """Be the command until its end; raises SystemExit as it does."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.chdir(order["folder"])
    files = (("/dev/null", os.O_RDONLY), (order["output"], os.O_WRONLY), (order["errors"], os.O_WRONLY))
    for number, (path, mode) in enumerate(files):
        opened = os.open(path, mode | (os.O_CREAT | os.O_TRUNC if number else 0), 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["oicp-adapter", *order["arguments"]]
    from oicp_adapter.cli.main import main  # noqa: PLC0415 - imported long ago by the process that this one is a copy of

    try:
        main()
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - as the interpreter itself would
        traceback.print_exc()
        sys.exit(70)
    sys.exit(0)


if __name__ == "__main__":
    import oicp_adapter.app
    import oicp_adapter.checks
    import oicp_adapter.cli.check
    import oicp_adapter.cli.main
    import oicp_adapter.cli.run
    import oicp_adapter.logs  # noqa: F401 - imported for the copies

    for _name in [name for name in os.environ if name.startswith("OICP_ADAPTER_")]:
        del os.environ[_name]
    _serve()
