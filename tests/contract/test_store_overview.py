"""What people and metrics are shown is what the store holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.domain.statuses import OicpStatus, Status, StatusMapping, TemporaryStatus
from oicp_adapter.store import evses
from oicp_adapter.store.evses import EvseState, RemovedRow, evse_overviews, removed_rows
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.overview import Example, lane_backlog, lane_census, unmapped_words, unserved_operators
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Presence, Rejection

LANES = [LaneScope("DEABC", frozenset({"DEABC"})), LaneScope("DEXYZ", frozenset({"DEXYZ"}))]


def overviews(store, evse_ids=None):
    return list(evse_overviews(store, LANES, StatusMapping(), evse_ids))


@pytest.fixture
def short_pages(monkeypatch):
    monkeypatch.setattr(evses, "PAGE", 2)


def test_a_fresh_store_counts_nothing(store):
    backlog = lane_backlog(store, LANES[0])
    assert (backlog.pending, backlog.oldest_pending) == (0, None)
    assert (backlog.quarantined, backlog.held, backlog.rejected) == (0, 0, {})
    assert backlog.position.epoch == 0
    census = lane_census(store, LANES[0])
    assert census.acknowledged == {}
    assert set(census.windows.values()) == {0}
    assert len(census.windows) == 8
    assert census.open_ended_since is None


def test_a_lane_is_counted(store, lane: LaneStore, add, sql, present):
    for number in range(1, 6):
        add(f"DE*ABC*E{number}")
    add("nonsense")
    add("DE*XYZ*E1", operator_id="DE*XYZ")
    list(lane.sweep())
    sql("DELETE FROM oicp_hint")
    with lane.transaction() as books:
        now = books.now
        books.save(
            [
                present("DE*ABC*E1", now),
                present("DE*ABC*E2", now, acknowledged=OicpStatus.RESERVED, pending_since=now - timedelta(hours=1)),
                present("DE*ABC*E3", now, retry_at=now),
                present("DE*ABC*E4", now, held_since=now),
                present("DE*ABC*E5", now, held_since=now, approved_at=now),
            ]
        )
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E1', 'BLOCKED'), ('DE*XYZ*E1', 'Blocked')")
    later = "'2100-01-01 00:00:00'"
    sql(f"INSERT INTO temporary_status (evse_id, status, valid_from) VALUES ('DEABCE1', 'Blocked', {later})")
    sql(
        "INSERT INTO temporary_status (evse_id, status, valid_from, valid_to)"
        " VALUES ('DEABCE1', 'Reserved', '2020-01-01 00:00:00', '2020-01-02 00:00:00')"
    )
    backlog = lane_backlog(store, LANES[0])
    assert backlog.pending == 2
    assert backlog.oldest_pending == now - timedelta(hours=1)
    assert (backlog.quarantined, backlog.held) == (1, 1)
    assert backlog.rejected == {"malformed_evse_id": 1}
    census = lane_census(store, LANES[0])
    assert census.acknowledged == {"Available": 4, "Reserved": 1}
    assert {key: count for key, count in census.windows.items() if count} == {
        (TemporaryStatus.BLOCKED, "active"): 1,
        (TemporaryStatus.BLOCKED, "upcoming"): 1,
    }


def test_of_the_windows_without_an_end_the_oldest_that_applies_is_known(store, add, sql):
    add("DE*ABC*E1")
    add("DE*XYZ*E1", operator_id="DE*XYZ")
    for evse, start, end, ended in (
        ("DE*ABC*E1", "2020-01-01 00:00:00", "2100-01-01 00:00:00", None),
        ("DE*ABC*E1", "2020-01-02 00:00:00", None, "2100-01-02 00:00:00"),
        ("DE*ABC*E1", "2020-01-04 00:00:00", None, None),
        ("DE*ABC*E1", "2020-01-03 00:00:00", None, None),
        ("DE*ABC*E1", "2100-01-01 00:00:00", None, None),
        ("DE*XYZ*E1", "2020-01-01 00:00:00", None, None),
    ):
        values = ", ".join("NULL" if at is None else f"'{at}'" for at in (start, end, ended))
        columns = "evse_id, status, valid_from, valid_to, ended_at"
        sql(f"INSERT INTO temporary_status ({columns}) VALUES ('{evse}', 'Blocked', {values})")
    assert lane_census(store, LANES[0]).open_ended_since == datetime(2020, 1, 3, tzinfo=UTC)


def test_operators_that_nobody_serves_and_words_that_nobody_knows_are_named(store, add):
    add("DE*ABC*E1")
    add("DE*NOB*E1", operator_id="DE*NOB")
    add("DE*NOB*E2", "Party", operator_id="DE*NOB")
    add("DE*ABC*E3", "party time", operator_id="CH-REP")
    add("DE*ABC*E4", "Removed", operator_id="DE*GONE")
    assert unserved_operators(store, {"DEABC"}) == [
        Example("DE*NOB", 2, "DE*NOB*E1"),
        Example("CH-REP", 1, "DE*ABC*E3"),
    ]
    assert unmapped_words(store) == [Example("Party", 1, "DE*NOB*E2"), Example("party time", 1, "DE*ABC*E3")]


@pytest.mark.usefixtures("short_pages")
def test_every_evse_is_shown_with_its_state(store, lane: LaneStore, add, sql, present):
    for number in range(1, 8):
        add(f"DE*ABC*E{number}")
    add("DEABCE1")
    add("bad")
    add("DE*NOB*E1", operator_id="DE*NOB")
    add("DE*ABC*E0", "Removed")
    with lane.transaction() as books:
        now = books.now
        books.save(
            [
                present("DE*ABC*E1", now),
                present("DE*ABC*E2", now, acknowledged=OicpStatus.RESERVED),
                present("DE*ABC*E3", now, doubted_at=now),
                present("DE*ABC*E4", now, retry_at=now, doubted_at=now),
                present("DE*ABC*E5", now, presence=Presence.ABSENT),
                present("DE*ABC*E70", now, held_since=now),
                present("DE*ABC*E71", now),
                present("DE*ABC*E72", now, presence=Presence.ABSENT, withdrawn_at=now),
            ]
        )
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DEABCE7', 'Maintenance')")
    shown = {each.evse_id: each for each in overviews(store)}
    assert list(shown) == sorted(shown)
    assert {key: each.state for key, each in shown.items()} == {
        "DE*ABC*E1": EvseState.IN_SYNC,
        "DE*ABC*E2": EvseState.PENDING,
        "DE*ABC*E3": EvseState.IN_DOUBT,
        "DE*ABC*E4": EvseState.QUARANTINED,
        "DE*ABC*E5": EvseState.PENDING,
        "DE*ABC*E6": EvseState.PENDING,
        "DE*ABC*E7": EvseState.PENDING,
        "DE*ABC*E70": EvseState.HELD,
        "DE*ABC*E71": EvseState.PENDING,
        "DE*NOB*E1": EvseState.QUARANTINED,
        "DEABCE1": EvseState.QUARANTINED,
        "bad": EvseState.QUARANTINED,
    }
    reasons = {key: each.rejected.reason for key, each in shown.items() if each.rejected}
    assert reasons == {
        "DE*NOB*E1": Rejection.OPERATOR_NOT_SERVED,
        "DEABCE1": Rejection.DUPLICATE,
        "bad": Rejection.MALFORMED_EVSE_ID,
    }
    window = shown["DE*ABC*E7"]
    assert (window.resolution.effective, window.resolution.oicp) == (Status.MAINTENANCE, OicpStatus.OUT_OF_SERVICE)
    assert (window.technical, window.lane, window.acknowledged) == ("Available", "DEABC", None)
    assert (shown["DE*ABC*E70"].technical, shown["DE*ABC*E70"].resolution) == (None, None)


def test_a_lost_full_load_puts_in_doubt_what_was_asserted_before(store, lane: LaneStore, add, present):
    add("DE*ABC*E1")
    add("DE*ABC*E2")
    with lane.transaction() as books:
        books.save(
            [
                present("DE*ABC*E1", books.now),
                present("DE*ABC*E2", books.now, asserted_at=books.now - timedelta(hours=1)),
            ]
        )
        books.save_position(replace(books.position, doubted_before=books.now))
    assert [each.state for each in overviews(store)] == [EvseState.IN_SYNC, EvseState.IN_DOUBT]


def test_single_evses_are_found_in_any_spelling(store, lane: LaneStore, add, present):
    add("DE*ABC*E1")
    add("DE*ABC*E2")
    with lane.transaction() as books:
        books.save([present("DE*ABC*E3", books.now), present("DE*ABC*E4", books.now)])
    found = [each.evse_id for each in overviews(store, ["de*abc*e1", "DEABCE3", "DE*ABC*E9"])]
    assert found == ["DE*ABC*E1", "DE*ABC*E3"]


def test_rows_that_say_removed_are_found_with_when_they_were_withdrawn(store, lane: LaneStore, add, present):
    add("DE*ABC*E1", "Removed")
    add("DE*ABC*E2", "REMOVED")
    add("DE*ABC*E3")
    add("DE*ABC*E4", "Removed")
    with lane.transaction() as books:
        now = books.now
        books.save([present("DE*ABC*E2", now, acknowledged=None, presence=Presence.ABSENT, withdrawn_at=now)])
    found = removed_rows(store, LANES, ["deabce1", "DE*ABC*E2", "DE*ABC*E3", "DE*ABC*E9"])
    assert [(each.evse_id, each.withdrawn_at) for each in found] == [("DE*ABC*E1", None), ("DE*ABC*E2", now)]
    assert all(isinstance(each, RemovedRow) and each.changed_at is not None for each in found)


def test_odd_keys_are_shown_and_end(sqlite_store, monkeypatch):
    monkeypatch.setattr(evses, "PAGE", 1)
    with sqlite_store.writing() as connection:
        for evse_id in ("CAST(X'FF4445' AS TEXT)", "CAST(X'FF4446' AS TEXT)", "X'00FF'", "X'01FF'", "17", "''", "'z'"):
            connection.exec_driver_sql(f"INSERT INTO evse_status VALUES ({evse_id}, 'DE*ABC', 'Available', NULL)")
    shown = list(evse_overviews(sqlite_store, LANES, StatusMapping()))
    assert len(shown) == 7
    assert {each.state for each in shown} == {EvseState.QUARANTINED}


@pytest.mark.parametrize("operator", ["DE*ABC", "deabc"])
def test_the_spelling_of_the_operator_does_not_matter(store, add, operator: str):
    add("DE*ABC*E1", operator_id=operator)
    assert [each.lane for each in overviews(store)] == ["DEABC"]
