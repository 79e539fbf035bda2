"""Every interleaving of small worlds keeps the promise, and each safeguard that is switched off is missed."""

from datetime import timedelta

import pytest

from reliability.search import ablations, canonical, scenarios
from reliability.search.__main__ import main
from reliability.search.ablations import Ablation, NoDebt
from reliability.search.explore import HEALED, Search
from reliability.search.scenario import Scenario

pytestmark = pytest.mark.no_cover  # counting branches would cost these minutes, and they find more than branches

MILLION = 1_000_000
SECOND = timedelta(seconds=1)


def test_the_worlds_have_a_million_states_and_more() -> None:
    assert sum(scenario.least for scenario in scenarios.ALL) >= MILLION


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda scenario: scenario.name)
def test_no_interleaving_breaks_an_invariant(scenario: Scenario) -> None:
    report = Search(scenario).run()
    assert report.violation is None, str(report.violation)
    assert report.states >= scenario.least
    assert report.exhausted or scenario.quota is not None
    assert report.slowest <= report.promised


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ablation", ablations.ALL, ids=lambda ablation: ablation.name)
def test_a_safeguard_that_is_switched_off_is_missed(ablation: Ablation) -> None:
    scenario = scenarios.named(ablation.scenario)
    with ablation.applied() as hands:
        report = Search(scenario, hands).run()
        assert report.violation is not None
        assert report.violation.moves
        _, again = Search(scenario, hands).follow(report.violation.moves)
    assert again == report.violation.words, "the trace does not lead there"
    assert report.states < scenario.least, "with all safeguards, the search of this world would not come so far"
    if ablation.covered_by is not None:
        alone = Search(scenario, ablation.covered_by()).run(2 * report.states)
        assert alone.violation is None, str(alone.violation)


def test_the_safeguards_of_the_issue_are_all_switched_off_once() -> None:
    assert {ablation.name for ablation in ablations.ALL} >= {
        "the debt",
        "the intent before sending",
        "the generation",
        "the epoch in the intent",
        "the deadline at the first byte",
        "the silence",
        "the tombstone",
        "the existence belief",
        "the guard",
        "the one statement",
    }


def test_a_violation_is_told_with_the_fewest_moves_and_the_continuation_that_never_converges() -> None:
    violation = Search(scenarios.named("deep"), NoDebt()).run().violation
    assert violation is not None
    assert violation.moves == (
        "E0 := Charging",
        "p0 commits update E0=Occupied",
        "p0 sends the first byte",
        "p0 gives the request up (cut), it may still land",
        "E0 := Available",
    )
    assert violation.trace[len(violation.moves)] == HEALED
    assert "a lost update E0=Occupied lands" in violation.trace
    assert "the hub holds Occupied of E0 for ever, the store says Available" in str(violation)


def test_time_that_passes_in_two_steps_is_the_same_as_in_one() -> None:
    search = Search(scenarios.named("windows"))
    search.run(3_000)
    world = search.world
    for books in world.books.values:
        twice = canonical.later_books(canonical.later_books(books, SECOND, world.scenario), SECOND, world.scenario)
        assert twice == canonical.later_books(books, 2 * SECOND, world.scenario)
    for shop in world.shops.values:
        assert canonical.later_shop(canonical.later_shop(shop, SECOND), SECOND) == canonical.later_shop(
            shop, 2 * SECOND
        )
    for process in world.processes.values:
        twice = canonical.later_process(canonical.later_process(process, SECOND), SECOND)
        assert twice == canonical.later_process(process, 2 * SECOND)


@pytest.mark.parametrize("name", ["wide", "poison", "full load", "guard"])
def test_what_is_in_its_one_form_stays_as_it_is(name: str) -> None:
    search = Search(scenarios.named(name))
    search.run(3_000)
    for books in search.world.books.values:
        assert canonical.position(books.position, search.world.scenario) == books.position
        for row in books.entries:
            assert row is None or canonical.entry(row, books.position) == row


def test_a_writer_is_never_kept_waiting() -> None:
    search = Search(scenarios.named("read in two steps"))
    state = search.beginning()
    for name in ("E0 := Charging", "p0 begins to read", "E1 := Charging", "p0 commits update E0=Occupied"):
        moves = {move.name: move.state for move in search.moves.of(state)}
        assert any(":=" in move for move in moves)
        state = moves[name]


def test_the_command_prints_a_table_and_fails_when_a_safeguard_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "rate", "--states", "500"]) == 0
    assert main(["--ablate", "the debt"]) == 0
    assert main(["--ablate", "the debt", "--states", "10"]) == 1
    printed = capsys.readouterr().out
    assert "the debt" in printed
    assert "it may still land" in printed
    assert "NONE" in printed
