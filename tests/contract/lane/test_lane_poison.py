"""A record that the hub refuses is isolated, delays nobody, and is let go: FAULTS.md F18 to F24 over both stores."""

import math

import pytest

from oicp_adapter.store.operations import quarantined, release_quarantine

from .conftest import Bench, Lane

FLEET = 100
BAD = "DE*ABC*E42"
HALVING = 2 * math.log2(FLEET) + 6
MOST = {"index_right": 3, "index_wrong": 3 * math.log2(FLEET) + 2, "index_absent": HALVING, "018": HALVING, "022": 18}
"""Requests until the record is called bad, the hunt included; the first two of them deliver everybody else's change."""


def poisoned(bench: Bench, kind: str) -> Lane:
    """Change every EVSE of a fleet while the hub refuses one of them, until that one is called bad."""
    bench.fleet(FLEET)
    lane = bench.lane()
    lane.quiet()
    lane.wire.will("poison", count=None, evse_id=BAD, poison=kind)
    bench.sql("UPDATE evse_status SET status = 'Charging'")
    for _ in range(40):
        if quarantined(bench.store, "DEABC"):
            return lane
        lane.pass_time(seconds=30)
    raise AssertionError("it was never called bad")


@pytest.mark.parametrize("kind", MOST)
def test_it_is_isolated_within_its_bound_and_nobody_else_is(bench: Bench, kind: str) -> None:
    lane = poisoned(bench, kind)
    assert [entry.evse_id for entry in quarantined(bench.store, "DEABC")] == [BAD]
    assert lane.metric("lane_state", state="held") == 0
    assert {status for evse, status in lane.at_hub().items() if evse != "DEABCE42"} == {"Occupied"}
    assert len(lane.wire.since(1)) <= MOST[kind]
    before = len(lane.wire.sent)
    bench.write("DE*ABC*E1", "Faulted")
    lane.quiet()
    assert len(lane.wire.since(before)) == 1, "a healthy change does not wait for it"


@pytest.mark.parametrize("release", ["by another value", "by a person", "by time"])
def test_it_is_let_go(bench: Bench, release: str) -> None:
    lane = poisoned(bench, "022")
    lane.wire.faults.clear()
    match release:
        case "by another value":
            bench.write(BAD, "Faulted")
            lane.quiet()
            assert lane.at_hub()["DEABCE42"] == "OutOfService"
        case "by a person":
            assert release_quarantine(bench.store, "DEABC", [BAD], by="ann") == [BAD]
            lane.quiet()
            assert lane.at_hub()["DEABCE42"] == "Occupied"
        case _:
            lane.quiet()
            assert lane.at_hub()["DEABCE42"] == "Available"
            lane.pass_time(minutes=3)
            assert lane.at_hub()["DEABCE42"] == "Occupied"
    assert not quarantined(bench.store, "DEABC")
