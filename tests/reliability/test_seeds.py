"""Whole deployments in virtual time under faults at random converge, lose nothing, and break no invariant."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from oicp_adapter.daemon import worker
from oicp_adapter.sync import entries, settle, steps
from oicp_adapter.sync.answers import Effect, Verdict
from reliability.seeds.bench import bench
from reliability.seeds.kept import KEPT
from reliability.seeds.many import own_names, own_seeds, run_seed, run_seeds, told
from reliability.seeds.run import NAMES

pytestmark = pytest.mark.no_cover  # counting branches would cost these minutes, and they find more than branches

TOTAL = int(os.environ.get("OICP_SEEDS", "1000"))
PARTS = 10
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_fails_the_hub_converges_and_no_invariant_breaks(part):
    outcomes = run_seeds(own_seeds(part, PARTS, TOTAL))
    failed = [told(outcome) for outcome in outcomes if outcome.violation]
    assert not failed, "\n\n".join(failed[:3])
    fired = Counter()
    for outcome in outcomes:
        fired.update(outcome.fired)
    assert not [name for name in own_names(part, PARTS) if not fired[name]], "these faults never took effect"


def test_the_parts_hold_every_seed_and_every_injector_once():
    assert sorted(seed for part in range(PARTS) for seed in own_seeds(part, PARTS, TOTAL)) == list(range(TOTAL))
    assert sorted(name for part in range(PARTS) for name in own_names(part, PARTS)) == NAMES


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_failed_once_does_so_no_more(seed):
    (outcome,) = run_seeds([seed])
    assert not outcome.violation, f"{KEPT[seed]}\n{told(outcome)}"


def test_a_seed_gives_the_same_trace_again_whatever_ran_before():
    seeds = (3, 9, 14)
    first = {each.seed: list(each.lines) for each in run_seeds(seeds, traced=True)}
    again = {each.seed: list(each.lines) for each in run_seeds(reversed(seeds), traced=True)}
    assert first == again
    assert all(len(lines) > 20 for lines in first.values())


def test_a_seed_gives_the_same_trace_in_another_process_with_other_hashes():
    command = [sys.executable, "-m", "reliability.seeds", "--seed", "8", "--trace"]
    said = [
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": hashes}, cwd=ROOT, capture_output=True, check=True, timeout=60
        ).stdout
        for hashes in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0].count(b"\n") > 20


def violations(seeds):
    with bench() as made:
        return [outcome.violation.split(":")[0] for seed in seeds if (outcome := run_seed(made, seed)).violation]


def seeds_of(*names):
    """Return the first seeds in which these injectors take part for certain."""
    return [NAMES.index(name) + turn * len(NAMES) for name in names for turn in range(4)]


def test_without_the_guard_a_mass_withdrawal_is_seen(monkeypatch):
    monkeypatch.setattr(steps, "must_hold", lambda count, policy: False)
    assert "I6" in violations(seeds_of("F33 all rows vanish", "F33 half the rows vanish"))


def test_without_waits_requests_that_follow_an_unanswered_one_too_soon_are_seen(monkeypatch):
    monkeypatch.setattr(worker, "ready_at", lambda position, now, limit: now)
    assert "I3" in violations(seeds_of("F01 answer lost", "F10 cut in the answer"))


def test_without_debts_a_request_that_lands_late_is_seen(monkeypatch):
    for module in (entries, settle):
        monkeypatch.setattr(module, "late_until", lambda intent, policy: intent.started_at)
    assert "I1" in violations(seeds_of("F04 late apply, flapping", "F05 late delete", "F06 late insert"))


def test_an_unknown_outcome_taken_for_an_acknowledgement_is_seen(monkeypatch):
    def trusting(answer, records):
        return Verdict(Effect.APPLIED, code="000")

    monkeypatch.setattr(worker, "classify", trusting)
    assert "I4" in violations(seeds_of("F01 answer lost", "F08 5xx or 408 after applying"))


def test_a_value_from_before_the_intent_is_seen(monkeypatch):
    observe = worker.LaneTransaction.observe
    seen = {}

    def stale(books, **quotas):
        return [seen.setdefault(item.canonical, item) for item in observe(books, **quotas)]

    monkeypatch.setattr(worker.LaneTransaction, "observe", stale)
    assert "I9" in violations(range(5))


def test_hints_consumed_unread_are_seen_as_lost_changes(monkeypatch):
    monkeypatch.setattr(worker, "look_at", lambda seen, at, withdrawals: steps.look_at(seen[:1], at, withdrawals))
    assert "I2" in violations(range(50))  # the sweep heals it soon, so that one in nine shows it
