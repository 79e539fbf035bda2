"""The demo as its user runs it: real processes, real mutual TLS, and a verdict that can be lost."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

REAL_FLEET = Path(__file__).parents[3] / "shared" / "data" / "swiss-charging-points-2019.csv"

pytestmark = pytest.mark.timeout(180)


class Demo:
    """A running demo whose lines are read as they come."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "oicp_adapter", "demo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        self.lines.extend(self._process.stdout)

    def wait(self):
        try:
            code = self._process.wait(150)
        finally:
            self.close()
        return code, "".join(self.lines)

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def stop(self, number):
        self._process.send_signal(number)

    def find(self, pattern):
        """Wait for the first line that matches, and return its first group."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match[1]
            assert self._process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        raise AssertionError(f"no line matches {pattern}: {''.join(self.lines)}")

    def children(self):
        return [int(self.find(rf"^{name}: process (\d+)")) for name in ("hub", "daemon")]


@contextmanager
def started(*arguments):
    demo = Demo(*arguments)
    try:
        yield demo
    finally:
        demo.close()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def freeze(pid, store):
    """Stop a process, but not while it holds SQLite's only write lock: the fleet must be able to go on."""
    connection = sqlite3.connect(store, timeout=0.1, isolation_level=None)
    for _ in range(100):
        os.kill(pid, signal.SIGSTOP)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
        else:
            connection.execute("ROLLBACK")
            break
    connection.close()


def test_it_ends_equal_names_the_metrics_and_leaves_nothing_running():
    with started("--seconds", "6", "--evses", "30") as demo:
        metrics = demo.find(r"metrics at (http://\S+)")
        with urllib.request.urlopen(metrics, timeout=10) as answer:  # noqa: S310 - the demo's own address
            assert b"oicp_adapter_lane_state" in answer.read()
        children = demo.children()
        code, text = demo.wait()

    assert code == 0, text
    assert "30 EVSEs equal, 0 different, 0 cannot be pushed" in text
    assert re.search(r"changed +\d\d* statuses; [5-9] windows set, [3-9] of them started and [1-9] ended", text), text
    assert re.search(r"propagation +p50 \d\.\d+ s, p95 \d\.\d+ s, longest \d\.\d+ s, over [1-9]", text), text
    assert "0 not performed or not answered, 0 overlapping" in text
    assert text.rstrip().endswith("passed: the hub holds exactly what the store says")
    assert not any(is_running(pid) for pid in children)


def test_a_frozen_daemon_loses_the_comparison(tmp_path):
    with started("--seconds", "6", "--evses", "30", "--dir", str(tmp_path / "demo")) as demo:
        hub, daemon = demo.children()
        demo.find(r"( 0 waiting )")
        freeze(daemon, tmp_path / "demo" / "store.db")
        code, text = demo.wait()

    assert code == 1, text
    assert re.search(r"different    \S+ \(\S+\): the store says \w+, the hub \w+", text), text
    assert "FAILED: the hub does not hold what the store says" in text
    assert re.search(r"daemon +did not end within [\d.]+ s of SIGTERM and was killed", text), text
    assert not is_running(hub)
    assert not is_running(daemon)
    assert (tmp_path / "demo" / "daemon.log").exists()


@pytest.mark.parametrize(
    ("number", "arguments", "expected"), [(signal.SIGINT, (), 0), (signal.SIGTERM, ("--seconds", "100"), 1)]
)
def test_a_demo_that_is_stopped_ends_everything_and_fails_only_if_it_owes_a_comparison(number, arguments, expected):
    with started("--evses", "30", *arguments) as demo:
        children = demo.children()
        demo.find(r"( 0 waiting )")
        demo.stop(number)
        code, text = demo.wait()

    assert code == expected, text
    assert "stopped before the end: nothing was compared" in text
    assert not any(is_running(pid) for pid in children)


def test_a_daemon_that_dies_ends_the_demo_with_its_log():
    with started("--evses", "30") as demo:
        hub, daemon = demo.children()
        demo.find(r"( 0 waiting )")
        os.kill(daemon, signal.SIGKILL)
        code, text = demo.wait()

    assert code == 1, text
    assert "the demo failed: the daemon ended by itself with -9; its log ends with" in text
    assert not is_running(hub)


@pytest.mark.skipif(not REAL_FLEET.exists(), reason=f"the real fleet {REAL_FLEET} is not on this machine")
def test_a_real_fleet_ends_equal_and_names_what_cannot_be_pushed():
    with started("--seconds", "6", "--from", str(REAL_FLEET)) as demo:
        code, text = demo.wait()

    assert code == 0, text
    assert re.search(r"410 EVSEs equal, 0 different, 572 cannot be pushed", text), text
    for reason in (
        "535 EVSEs have a malformed EvseID",
        "535 EVSEs are pushed by no lane since CH*SWISSCHARGE in operator_id is no OperatorID",
        "34 EVSEs are pushed by no lane since CH-REP in operator_id is no OperatorID",
        "16 EVSEs name another operator inside their EvseID",
        "2 EVSEs have no status",
        "1 rows repeat an EvseID of an earlier row",
    ):
        assert f"not pushed   {reason}" in text


def test_the_size_of_a_made_up_fleet_and_a_file_exclude_each_other(tmp_path):
    with started("--evses", "30", "--from", str(tmp_path / "fleet.csv")) as demo:
        code, text = demo.wait()

    assert code == 2
    assert "--evses" in text
