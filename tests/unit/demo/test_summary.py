"""The verdict of the demo."""

from dataclasses import replace

import pytest

from oicp_adapter.demo.children import Ending
from oicp_adapter.demo.comparison import Comparison, Difference
from oicp_adapter.demo.endpoints import Requests
from oicp_adapter.demo.judgement import Unpushable
from oicp_adapter.demo.summary import Outcome, summary
from oicp_adapter.demo.tables import WindowCount
from oicp_adapter.domain.errors import StoreUnavailableError

CLEAN = Ending(0, 0.4, forced=False)
GOOD = Outcome(
    comparison=Comparison(200, (), 2, (Unpushable("EVSEs glow", "switch them off", 2, ["A"]),), answered=True),
    skipped=(),
    changes=80,
    windows=WindowCount(19, 17, 14),
    lags=[0.1, 0.2, 0.3],
    requests=Requests({"update": 57, "fullLoad": 2}, 0, 0),
    daemon=CLEAN,
    hub=CLEAN,
)


def last(outcome):
    return list(summary(outcome))[-1]


def test_what_went_well_is_said_in_full():
    assert list(summary(GOOD)) == [
        "compared     200 EVSEs equal, 0 different, 2 cannot be pushed",
        "changed      80 statuses; 19 windows set, 17 of them started and 14 ended",
        "propagation  p50 0.200 s, p95 0.300 s, longest 0.300 s, over 3 changes of the OICP status",
        "requests     2 fullLoad, 57 update; 0 not performed or not answered, 0 overlapping",
        "daemon       ended with 0 after 0.4 s",
        "not pushed   2 EVSEs glow, as A: switch them off",
        "passed: the hub holds exactly what the store says",
    ]
    assert GOOD.passed


def test_a_difference_is_named_and_fails():
    worse = replace(GOOD.comparison, differences=[Difference("DE*ABC", f"E{n}", "Occupied", None) for n in range(30)])
    lines = list(summary(replace(GOOD, comparison=worse)))

    assert "different    E0 (DE*ABC): the store says Occupied, the hub nothing" in lines
    assert "different    and 10 more" in lines
    assert lines[-1] == "FAILED: the hub does not hold what the store says"
    assert not replace(GOOD, comparison=worse).passed


@pytest.mark.parametrize("ending", [Ending(-9, 12.0, forced=True), Ending(70, 0.1, forced=False)])
def test_a_daemon_that_does_not_end_cleanly_fails(ending):
    outcome = replace(GOOD, daemon=ending)

    assert not outcome.passed
    assert last(outcome) == "FAILED: a process did not end cleanly"


def test_a_killed_daemon_is_said_to_have_been_killed():
    killed = replace(GOOD, daemon=Ending(-9, 12.0, forced=True))

    assert "daemon       did not end within 12.0 s of SIGTERM and was killed" in summary(killed)


def test_a_hub_that_does_not_answer_fails():
    outcome = replace(GOOD, comparison=replace(GOOD.comparison, answered=False), requests=None)

    assert not outcome.passed
    assert last(outcome) == "FAILED: the hub does not answer"


def test_a_fleet_that_could_not_write_fails_even_when_all_is_equal():
    outcome = replace(GOOD, refused=StoreUnavailableError("database is locked", cure="run it again"))

    assert not outcome.passed
    assert last(outcome) == "FAILED: database is locked: run it again"


def test_without_a_comparison_nothing_passed():
    outcome = replace(GOOD, comparison=None, lags=())

    assert not outcome.passed
    assert last(outcome) == "stopped before the end: nothing was compared"
    assert "propagation  no change was seen to arrive" in summary(outcome)
