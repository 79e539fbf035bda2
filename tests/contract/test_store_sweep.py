"""The sweep finds whatever differs, also where no trigger left a hint."""

from dataclasses import replace
from datetime import timedelta

import pytest

from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Presence


@pytest.fixture(autouse=True)
def no_triggers(store, sql):
    """Work as with a customer's own tables, which have no triggers."""
    if store.dialect == "sqlite":
        for (name,) in sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            sql(f"DROP TRIGGER {name}")
    else:
        sql("ALTER TABLE evse_status DISABLE TRIGGER ALL")
        sql("ALTER TABLE temporary_status DISABLE TRIGGER ALL")


def sweep(lane: LaneStore, **options):
    pages = list(lane.sweep(**options))
    return (
        sum(page.registered for page in pages),
        sum(page.differing for page in pages),
        sum(page.rejected for page in pages),
    )


def due(lane: LaneStore) -> list[str]:
    with lane.transaction() as books:
        return sorted(seen.canonical for seen in books.find(hinted=0, due=1000, suspects=1000).observe())


def entry_of(lane: LaneStore, key: str):
    with lane.transaction() as books:
        return books.entries([key]).get(key)


def test_new_evses_are_registered_once(lane: LaneStore, add):
    for number in range(7):
        add(f"DE*ABC*E{number}")
    add("DE*XYZ*E1", operator_id="DE*XYZ")
    add("DE*ABC*E9", "Removed")
    assert sweep(lane, page=3) == (7, 0, 0)
    assert due(lane) == [f"DEABCE{number}" for number in range(7)]
    entry = entry_of(lane, "DEABCE3")
    assert (entry.evse_id, entry.acknowledged, entry.presence) == ("DE*ABC*E3", None, Presence.UNKNOWN)
    assert entry.pending_since is not None
    assert sweep(lane, page=3) == (0, 0, 0)


def test_pages_cover_every_row_once(lane: LaneStore, add):
    for number in range(10):
        add(f"DE*ABC*E{number}")
    scanned = [page.scanned for page in lane.sweep(page=3) if page.scanned]
    assert scanned == [3, 3, 3, 1]


def test_what_differs_becomes_due_and_pending(lane: LaneStore, add, present):
    add("DE*ABC*E1", "Charging")
    add("DE*ABC*E2", "Available")
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now), present("DE*ABC*E2", books.now)])
    assert sweep(lane) == (0, 1, 0)
    assert due(lane) == ["DEABCE1"]
    assert entry_of(lane, "DEABCE1").pending_since is not None
    assert entry_of(lane, "DEABCE2").pending_since is None
    assert sweep(lane) == (0, 0, 0)


def test_a_window_makes_an_evse_differ(lane: LaneStore, add, present, sql):
    add("DE*ABC*E1")
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DEABCE1', 'Maintenance')")
    assert sweep(lane) == (0, 1, 0)


def test_a_boundary_that_the_ledger_does_not_know_makes_an_evse_due(lane: LaneStore, add, present, sql):
    add("DE*ABC*E1")
    add("DE*ABC*E2")
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now), present("DE*ABC*E2", books.now, due_at=None)])
        soon = books.now + timedelta(hours=1)
    for number in (1, 2):
        sql(
            "INSERT INTO temporary_status (evse_id, status, valid_from)"
            f" VALUES ('DE*ABC*E{number}', 'Maintenance', '{soon:%Y-%m-%d %H:%M:%S.%f}"
            + ("+00')" if lane.store.dialect == "postgresql" else "')")
        )
    assert sweep(lane) == (0, 2, 0)
    assert entry_of(lane, "DEABCE1").pending_since is None


def test_a_refused_value_is_left_to_its_backoff_and_another_is_not(lane: LaneStore, add, present):
    add("DE*ABC*E1", "Charging")
    add("DE*ABC*E2", "Charging")
    add("DE*ABC*E3", "Charging")
    with lane.transaction() as books:
        later = books.now + timedelta(hours=1)
        waits = {"retry_at": later, "due_at": later, "failures": 2}
        books.save(
            [
                present("DE*ABC*E1", books.now, refused_status=OicpStatus.OCCUPIED, **waits),
                present("DE*ABC*E2", books.now, refused_status=OicpStatus.RESERVED, **waits),
                present("DE*ABC*E3", books.now, refused_status=None, **waits),
            ]
        )
    assert sweep(lane) == (0, 1, 0)
    assert due(lane) == ["DEABCE2"]


@pytest.mark.parametrize(
    "how",
    [
        "DELETE FROM evse_status",
        "UPDATE evse_status SET status = 'removed'",
        "UPDATE evse_status SET operator_id = 'DE*XYZ'",
    ],
)
def test_an_evse_that_is_gone_becomes_due(lane: LaneStore, add, present, sql, how: str):
    add("DE*ABC*E1")
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
    sql(how)
    assert sweep(lane) == (0, 1, 0)
    assert due(lane) == ["DEABCE1"]
    assert sweep(lane) == (0, 0, 0)


def test_tombstones_and_held_withdrawals_rest_until_the_evse_is_back(lane: LaneStore, add, present):
    with lane.transaction() as books:
        books.save(
            [
                present("DE*ABC*E1", books.now, presence=Presence.ABSENT, withdrawn_at=books.now, acknowledged=None),
                present("DE*ABC*E2", books.now, held_since=books.now),
            ]
        )
    assert sweep(lane) == (0, 0, 0)
    add("DE*ABC*E1")
    add("DE*ABC*E2")
    assert sweep(lane) == (0, 2, 0)
    assert due(lane) == ["DEABCE1", "DEABCE2"]


def test_after_a_lost_full_load_everything_asserted_before_is_due(lane: LaneStore, add, present):
    for number in (1, 2, 3):
        add(f"DE*ABC*E{number}")
    with lane.transaction() as books:
        now = books.now
        books.save(
            [
                present("DE*ABC*E1", now, asserted_at=now - timedelta(hours=1)),
                present("DE*ABC*E2", now),
                present("DE*ABC*E3", now, asserted_at=None),
                present("DE*ABC*E4", now, asserted_at=now - timedelta(hours=1), withdrawn_at=now, acknowledged=None),
            ]
        )
    assert sweep(lane, asserted_before=now) == (0, 3, 0)
    assert due(lane) == ["DEABCE1", "DEABCE3", "DEABCE4"]
    assert entry_of(lane, "DEABCE4").pending_since is not None


def test_rows_that_cannot_be_pushed_are_named(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    add("DEABCE1")
    add("DE*XYZ*E1")
    add("nonsense")
    add("x" * 2000)
    assert sweep(lane) == (1, 0, 4)
    stored = sql("SELECT evse_id, reason FROM oicp_rejection ORDER BY evse_id")
    assert [(evse_id[:10], reason) for evse_id, reason in stored] == [
        ("DE*XYZ*E1", "foreign_operator"),
        ("DEABCE1", "duplicate"),
        ("nonsense", "malformed_evse_id"),
        ("x" * 10, "malformed_evse_id"),
    ]
    sql("DELETE FROM evse_status WHERE evse_id = 'nonsense'")
    sql("UPDATE evse_status SET status = 'Removed' WHERE evse_id = 'DE*XYZ*E1'")
    sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E1'")
    sweep(lane)
    assert [evse_id[:10] for (evse_id,) in sql("SELECT evse_id FROM oicp_rejection")] == ["x" * 10]
    assert due(lane) == ["DEABCE1"]


def test_a_smaller_spelling_that_appears_makes_the_evse_due(lane: LaneStore, add, present):
    add("DEABCE1")
    with lane.transaction() as books:
        books.save([present("DEABCE1", books.now)])
    assert sweep(lane) == (0, 0, 0)
    add("DE*ABC*E1")
    assert sweep(lane) == (0, 1, 1)
    assert due(lane) == ["DEABCE1"]


def test_a_sub_operator_belongs_to_the_lane(store, add, request):
    add("DE*ABC*E1")
    add("DE*XYZ*E1", operator_id="dexyz")
    lane = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC", "DEXYZ"})), StatusMapping())
    request.addfinalizer(lane.close)
    assert sweep(lane, page=1) == (2, 0, 0)


def test_old_hints_that_no_lane_takes_are_deleted(lane: LaneStore, other_lane: LaneStore, sql):
    with other_lane.transaction() as books:
        books.save_position(replace(books.position, expires_at=books.now + timedelta(hours=1)))
    for operator in ("'DEABC'", "'DEXYZ'", "'DENOB'", "NULL"):
        for age in ("2020-01-01 00:00:00", "2036-01-01 00:00:00"):
            sql(f"INSERT INTO oicp_hint (evse_key, operator_key, created_at) VALUES ('E', {operator}, '{age}')")
    sweep(lane)
    left = sql("SELECT operator_key, count(*) FROM oicp_hint GROUP BY operator_key ORDER BY operator_key")
    assert {row[0]: row[1] for row in left} == {"DEABC": 2, "DENOB": 1, "DEXYZ": 2, None: 2}
