"""The life of the demo's fleet."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from oicp_adapter.demo.fleet import Life, StatusChanged, Tempo, WindowEnded, WindowSet, next_status
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import Status, TemporaryStatus

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVSES = {f"DE*ABC*E{number}": "Available" for number in range(200)}


def seeded(seed):
    return Random(seed)  # noqa: S311 - a life that can be repeated is wanted, not a secret


def lived(seconds, *, evses=EVSES, seed=1, tempo=None):
    life = Life(evses, start=START, tempo=tempo or Tempo.of(len(evses)), draw=seeded(seed))
    ticks = range(int(seconds * 10) + 1)
    return [each for tick in ticks for each in life.until(START + timedelta(seconds=tick / 10))]


def test_one_seed_is_one_life():
    assert lived(20) == lived(20)
    assert lived(20) != lived(20, seed=2)


def test_a_charger_goes_through_a_session_in_ocpp_words():
    walked = Counter()
    status, draw = Status.AVAILABLE, seeded(1)
    for _ in range(5000):
        after = next_status(status, draw)
        walked[status, after] += 1
        status = after

    assert walked[Status.AVAILABLE, Status.PREPARING] > walked[Status.AVAILABLE, Status.FAULTED] > 0
    assert walked[Status.PREPARING, Status.CHARGING] > 0
    assert walked[Status.CHARGING, Status.SUSPENDED_EV] > walked[Status.CHARGING, Status.SUSPENDED_EVSE] > 0
    assert walked[Status.FINISHING, Status.AVAILABLE] > 0
    assert {Status.FAULTED, Status.UNAVAILABLE, Status.OFFLINE} < {before for before, _ in walked}
    assert walked[Status.AVAILABLE, Status.CHARGING] == 0


def test_a_status_that_no_charger_leaves_by_itself_stays():
    assert next_status(Status.PLANNED, seeded(1)) is None
    assert not any(isinstance(each, StatusChanged) for each in lived(60, evses={"DE*ABC*E1": "out to lunch"}))


@pytest.mark.parametrize("evses", [30, 200, 2000])
def test_about_as_much_changes_as_the_tempo_says(evses):
    fleet = {f"DE*ABC*E{number}": "Available" for number in range(evses)}
    changes = sum(isinstance(each, StatusChanged) for each in lived(120, evses=fleet))

    assert 0.5 < changes / 120 / Tempo.of(evses).changes < 2


def test_all_four_kinds_are_set_within_the_first_seconds():
    kinds = [each.kind for each in lived(5) if isinstance(each, WindowSet)]

    assert set(kinds) == set(TemporaryStatus)


def test_windows_are_set_at_once_ahead_and_until_ended():
    windows = [each for each in lived(60) if isinstance(each, WindowSet)]
    open_ended = [each for each in windows if each.valid_to is None]

    assert all(each.valid_to is None or each.valid_to > each.valid_from for each in windows)
    assert {each.kind for each in open_ended} == set(TemporaryStatus)
    assert any(each.valid_from > START + timedelta(hours=23) for each in windows)
    assert len({each.reference for each in windows}) == len(windows)


def test_every_window_without_end_is_ended_later_once():
    happened = lived(60)
    names = [each.reference for each in happened if isinstance(each, WindowEnded)]
    opened = {each.reference: place for place, each in enumerate(happened) if isinstance(each, WindowSet)}

    assert names
    assert len(set(names)) == len(names)
    assert all(opened[each.reference] < place for place, each in enumerate(happened) if isinstance(each, WindowEnded))


def test_some_windows_name_their_evse_in_another_spelling():
    named = {each.evse_id for each in lived(60) if isinstance(each, WindowSet)}

    assert named - set(EVSES)
    assert {evse_key(each) for each in named} <= {evse_key(each) for each in EVSES}


def test_after_a_pause_life_goes_on_from_now_instead_of_catching_up():
    life = Life(EVSES, start=START, tempo=Tempo.of(200), draw=seeded(1))
    life.until(START + timedelta(hours=8))

    assert len(life.until(START + timedelta(hours=8, seconds=1))) < 30


def test_a_fleet_of_nothing_does_nothing():
    assert lived(10, evses={}, tempo=Tempo.of(1)) == []
