"""Real processes get over each fault that has a bound in seconds within it, and the command says so if they do not."""

from contextlib import nullcontext

import pytest

from reliability.real import __main__ as command
from reliability.real.bounds import BOUNDS, Measured, measure_all

LONGEST = BOUNDS[0]
KEPT = Measured(LONGEST, "sqlite", [LONGEST.promised, 1.0])
EXCEEDED = Measured(LONGEST, "postgresql", [1.0, 1.0, LONGEST.promised + 0.1])


@pytest.mark.timeout(300)
def test_daemons_get_over_each_fault_within_its_bound(workshop, store):
    measured = list(measure_all(workshop, [store], runs=1))
    assert [each.bound.fault for each in measured] == [bound.fault for bound in BOUNDS if store in bound.stores]
    assert [str(each) for each in measured if not each.kept] == []


def test_a_bound_that_one_run_exceeds_is_exceeded_and_its_line_says_so():
    assert KEPT.kept
    assert str(KEPT).endswith("promised 60.0 s (whatever the settings), worst 60.0 s, median 30.5 s of 2")
    assert not EXCEEDED.kept
    assert str(EXCEEDED).endswith("worst 60.1 s, median 1.0 s of 3, EXCEEDED")


@pytest.fixture
def told(monkeypatch, capsys):
    """What the command prints when it measures this, and its exit code."""

    def run(*measured):
        monkeypatch.setattr(command, "opened_workshop", nullcontext)
        monkeypatch.setattr(command, "measure_all", lambda *_, runs: measured[:runs])
        code = 0
        try:
            command.main(["--bounds", "--runs", "2"])
        except SystemExit as ended:
            code = ended.code
        return capsys.readouterr().out.splitlines(), code

    return run


def test_the_command_prints_a_line_a_bound_and_fails_if_any_was_exceeded(told):
    assert told(KEPT, KEPT) == ([str(KEPT)] * 2, 0)
    assert told(EXCEEDED, KEPT) == ([str(EXCEEDED), str(KEPT)], 1)
