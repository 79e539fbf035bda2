"""Whether the hub holds what the store says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from oicp_adapter.demo.comparison import GRACE, Comparison, Difference, await_equality, compare
from oicp_adapter.demo.judgement import Judgement, Wanted
from oicp_adapter.domain.identifiers import EvseId, OperatorId
from oicp_adapter.domain.resolution import resolve
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.sync.model import StatusRow

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def judgement(**words):
    wanted = []
    for name, word in words.items():
        row = StatusRow(EvseId(f"DE*ABC*{name}"), OperatorId("DE*ABC"), word, None)
        wanted.append(Wanted("DE*ABC", f"DEABC{name}", row, resolve(word, (), START, StatusMapping()), START))
    return Judgement(wanted, 0, ())


class Timeline:
    """A clock that its own pauses move, and comparisons that get equal at some second."""

    def __init__(self, *, equal_at, different_since=START):
        self.now = START
        self.looks = 0
        self._equal_at = equal_at
        self._different = Difference("DE*ABC", "DE*ABC*E1", "Occupied", "Available", different_since)

    def look(self):
        self.looks += 1
        equal = (self.now - START).total_seconds() >= self._equal_at
        return Comparison(1, () if equal else (self._different,), 0, (), answered=True)

    def pause(self, seconds):
        self.now += timedelta(seconds=seconds)
        return False

    def outcome(self):
        return await_equality(self.look, now=lambda: self.now, pause=self.pause, patience=20)


def test_equal_is_what_has_the_same_status_under_the_same_canonical_id():
    found = compare(
        judgement(E1="Charging", E2="Faulted"), {"DE*ABC": {"DEABCE1": "Occupied", "DEABCE2": "OutOfService"}}
    )

    assert found.equal == 2
    assert found.is_equal


def test_what_the_hub_holds_otherwise_or_not_at_all_or_beyond_is_different():
    found = compare(judgement(E1="Charging", E2="Faulted"), {"DE*ABC": {"DEABCE1": "Available", "DEABCE3": "Occupied"}})

    assert not found.is_equal
    assert [str(each) for each in found.differences] == [
        "DE*ABC*E1 (DE*ABC): the store says Occupied, the hub Available",
        "DE*ABC*E2 (DE*ABC): the store says OutOfService, the hub nothing",
        "DEABCE3 (DE*ABC): the store says gone, the hub Occupied",
    ]


def test_an_evse_that_the_hub_holds_in_another_lane_is_different_in_both():
    found = compare(judgement(E1="Charging"), {"AT*VLT": {"DEABCE1": "Occupied"}})

    assert [each.lane for each in found.differences] == ["DE*ABC", "AT*VLT"]


def test_a_hub_that_does_not_answer_is_never_equal():
    assert not compare(judgement(E1="Charging"), None).is_equal
    assert not compare(judgement(), None).is_equal


def test_nothing_is_not_equal_to_nothing():
    assert not compare(judgement(), {}).is_equal


def test_equality_is_waited_for():
    timeline = Timeline(equal_at=7)

    assert timeline.outcome().is_equal
    assert timeline.now < START + timedelta(seconds=8)


def test_what_stays_different_is_told_after_the_patience():
    timeline = Timeline(equal_at=1000)

    assert not timeline.outcome().is_equal
    assert timeline.now - START == timedelta(seconds=20)


def test_a_boundary_just_before_the_end_of_the_patience_is_waited_for_once_more():
    late = START + timedelta(seconds=19)

    assert Timeline(equal_at=21, different_since=late).outcome().is_equal


def test_a_store_that_never_falls_silent_does_not_keep_anybody_waiting_for_ever():
    timeline = Timeline(equal_at=1000, different_since=START + timedelta(seconds=1000))

    assert not timeline.outcome().is_equal
    assert timeline.now - START == timedelta(seconds=20) + GRACE


def test_a_hub_that_does_not_answer_gets_no_grace():
    timeline = Timeline(equal_at=1000)
    silent = replace(timeline.look(), differences=(), answered=False)

    found = await_equality(lambda: silent, now=lambda: timeline.now, pause=timeline.pause, patience=3)

    assert found is silent
    assert timeline.now - START == timedelta(seconds=3)


def test_waiting_can_be_given_up():
    assert await_equality(Timeline(equal_at=9).look, now=lambda: START, pause=lambda _: True) is None
