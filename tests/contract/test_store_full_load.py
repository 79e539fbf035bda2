"""A full load carries the whole lane, and the ledger says afterwards what it carried."""

from datetime import timedelta

import pytest
from psycopg import ServerCursor

from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store import withdrawals
from oicp_adapter.store.full_load import FullLoadCount, full_load_records
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.transactions import WHOLE_TABLE_TIMEOUT, whole_table
from oicp_adapter.sync.guard import WithdrawalCount
from oicp_adapter.sync.model import Action, Intent, Policy, Presence


def window(sql, evse_id: str, start: str) -> None:
    sql(f"INSERT INTO temporary_status (evse_id, status, valid_from) VALUES ('{evse_id}', 'Blocked', '{start}')")


def intent_at(now) -> Intent:
    return Intent(1, 7, Action.FULL_LOAD, (), now, now + timedelta(minutes=2))


def test_a_full_load_carries_the_effective_status_of_every_evse_in_the_spelling_of_the_ledger(
    store, lane: LaneStore, add, sql
):
    add("DE*ABC*E1")
    add("DEABCE1", "Faulted")
    add("DE*ABC*E2", "Charging")
    add("DE*ABC*E3")
    add("nonsense")
    add("DE*XYZ*E1", operator_id="DE*XYZ")
    add("DE*ABC*E4", "Removed")
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DEABCE3', 'Maintenance')")
    list(lane.sweep())
    with lane.transaction() as books:
        assert books.prepare_full_load() == FullLoadCount(records=3, missing=0)
    assert [(record.evse_id, record.status) for record in full_load_records(store, "DEABC")] == [
        ("DE*ABC*E1", OicpStatus.AVAILABLE),
        ("DE*ABC*E2", OicpStatus.OCCUPIED),
        ("DE*ABC*E3", OicpStatus.OUT_OF_SERVICE),
    ]
    with lane.transaction() as books:
        books.drop_full_load()
    assert list(full_load_records(store, "DEABC")) == []


def test_an_evse_whose_other_spelling_is_left_stays_in_the_full_load(store, lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    add("DEABCE1", "Charging")
    list(lane.sweep())
    sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E1'")
    sql("DELETE FROM oicp_rejection")
    with lane.transaction() as books:
        assert books.prepare_full_load() == FullLoadCount(1, 0)
    (record,) = full_load_records(store, "DEABC")
    assert (record.evse_id, record.status) == ("DE*ABC*E1", OicpStatus.OCCUPIED)


def test_what_would_be_missing_is_counted_and_becomes_due(lane: LaneStore, present):
    with lane.transaction() as books:
        books.save(
            [
                present("DE*ABC*E1", books.now),
                present("DE*ABC*E2", books.now, presence=Presence.UNKNOWN),
                present("DE*ABC*E3", books.now, presence=Presence.ABSENT, withdrawn_at=books.now),
            ]
        )
        assert books.prepare_full_load() == FullLoadCount(0, 2)
        seen = books.find(hinted=0, due=9, suspects=9).observe()
        assert [each.canonical for each in seen] == ["DEABCE1", "DEABCE2"]


def test_an_acknowledged_full_load_settles_what_it_carried_and_nothing_else(lane: LaneStore, add, present, sql):
    add("DE*ABC*E1", "Charging")
    add("DE*ABC*E2")
    window(sql, "DE*ABC*E2", "2100-01-01 00:00:00")
    policy = Policy()
    with lane.transaction() as books:
        now = books.now
        books.save(
            [
                present(
                    "DE*ABC*E1",
                    now,
                    doubted_at=now,
                    debt_at=now - timedelta(seconds=1),
                    pending_since=now,
                    failures=3,
                    refusal="refused",
                    refused_status=OicpStatus.RESERVED,
                    batch_cap=1,
                    flipped=True,
                    failed_singly=2,
                    held_since=now,
                ),
                present("DE*ABC*E2", now, debt_at=now + timedelta(seconds=60)),
                present("DE*ABC*E3", now, presence=Presence.ABSENT, withdrawn_at=now, acknowledged=None),
            ]
        )
        before = books.entries(["DEABCE3"])
        books.prepare_full_load()
    add("DE*ABC*E4")
    list(lane.sweep())
    with lane.transaction() as books:
        assert books.acknowledge_full_load(intent=intent_at(now), policy=policy) == 2
        entries = books.entries(["DEABCE1", "DEABCE2", "DEABCE3", "DEABCE4"])
    first, second = entries["DEABCE1"], entries["DEABCE2"]
    assert first == present(
        "DE*ABC*E1",
        now,
        acknowledged=OicpStatus.OCCUPIED,
        acknowledged_at=first.acknowledged_at,
        acknowledged_since=first.acknowledged_at,
        attempt=7,
        due_at=now + policy.reassert_every,
    )
    assert second.debt_at == second.due_at == now + timedelta(seconds=60)
    assert entries["DEABCE3"] == before["DEABCE3"]
    assert (entries["DEABCE4"].acknowledged, entries["DEABCE4"].withdrawn_at) == (None, None)


def test_a_boundary_ahead_is_when_an_acknowledged_evse_is_looked_at_next(lane: LaneStore, add, sql):
    add("DE*ABC*E1")
    list(lane.sweep())
    with lane.transaction() as books:
        soon = (books.now + timedelta(minutes=5)).replace(microsecond=0)
    zone = "+00" if lane.store.dialect == "postgresql" else ""
    window(sql, "DE*ABC*E1", f"{soon:%Y-%m-%d %H:%M:%S}{zone}")
    with lane.transaction() as books:
        books.prepare_full_load()
        books.acknowledge_full_load(intent=intent_at(books.now), policy=Policy())
        assert books.entries(["DEABCE1"])["DEABCE1"].due_at == soon


def test_what_the_full_load_left_out_is_gone_from_the_hub(lane: LaneStore, present):
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
        books.prepare_full_load()
        books.acknowledge_full_load(intent=intent_at(books.now), policy=Policy())
        entry = books.entries(["DEABCE1"])["DEABCE1"]
    assert (entry.presence, entry.acknowledged) == (Presence.ABSENT, None)
    assert entry.withdrawn_at is not None


def test_withdrawals_are_counted_as_the_guard_needs_them(lane: LaneStore, add, present, sql, monkeypatch):
    monkeypatch.setattr(withdrawals, "SMALL_NUMBER", 2)
    for number in range(4):
        add(f"DE*ABC*E{number}")
    list(lane.sweep())
    with lane.transaction() as books:
        books.find(hinted=9, due=9, suspects=9).observe()
        books.consume_hints()
        now = books.now
        books.save([present(f"DE*ABC*E{number}", now) for number in range(4)])
        gone = {"presence": Presence.ABSENT, "acknowledged": None}
        books.save(
            [
                present("DE*ABC*E10", now, withdrawn_at=now - timedelta(hours=23), **gone),
                present("DE*ABC*E11", now, withdrawn_at=now - timedelta(hours=25), **gone),
                present("DE*ABC*E12", now, withdrawn_at=now, approved_at=now, **gone),
                present("DE*ABC*E13", now, held_since=now),
                present("DE*ABC*E14", now, held_since=now, approved_at=now),
                present("DE*ABC*E15", now, attempt=0, acknowledged=None, presence=Presence.UNKNOWN, pending_since=now),
            ]
        )
        assert books.withdrawal_count() == WithdrawalCount(size=6, recent=1, pending=1, earlier=1)
    sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E0'")
    sql("UPDATE evse_status SET operator_id = 'DE*XYZ' WHERE evse_id = 'DE*ABC*E1'")
    sql("UPDATE evse_status SET status = 'Charging' WHERE evse_id = 'DE*ABC*E2'")
    with lane.transaction() as books:
        assert books.withdrawal_count() == WithdrawalCount(size=6, recent=1, pending=3, earlier=1)
        assert not books.clean()
        monkeypatch.setattr(withdrawals, "SMALL_NUMBER", 5)
        assert books.withdrawal_count().size == 0, "of so few the guard asks for no size"


def test_a_backlog_as_long_as_the_fleet_is_counted_page_by_page_and_never_held_as_a_whole(
    lane: LaneStore, add, present, sql, monkeypatch
):
    came, fetch = [], ServerCursor.fetchmany
    monkeypatch.setattr(ServerCursor, "fetchmany", lambda cursor, size=0: came.append(fetch(cursor, size)) or came[-1])
    monkeypatch.setattr(withdrawals, "_PAGE", 2)
    for number in range(5):
        add(f"DE*ABC*E{number}")
    list(lane.sweep())
    with lane.transaction() as books:
        books.save([present(f"DE*ABC*E{number}", books.now) for number in range(5)])
    sql("DELETE FROM evse_status WHERE evse_id <> 'DE*ABC*E0'")
    with lane.transaction() as books:
        assert books.withdrawal_count().pending == 4
    if lane.store.dialect == "postgresql":
        sizes = [len(rows) for rows in came]
        assert (max(sizes), sum(sizes)) == (2, 5)


@pytest.mark.parametrize("trouble", ["doubted_at", "debt_at", "held_since", "retry_at"])
def test_a_lane_with_any_trouble_is_not_clean(lane: LaneStore, add, present, trouble: str):
    add("DE*ABC*E1")
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
        assert books.clean()
        books.save([present("DE*ABC*E1", books.now, **{trouble: books.now})])
        assert not books.clean()
        books.save([present("DE*ABC*E1", books.now, refusal="refused")])
        assert not books.clean()


def test_statements_over_a_whole_fleet_have_more_time_than_others(pg_store):
    def allowed():
        asked = "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"
        return connection.exec_driver_sql(asked).scalar()

    with pg_store.writing() as connection:
        usual = allowed()
        with whole_table(connection):
            assert allowed() == WHOLE_TABLE_TIMEOUT > usual
        assert allowed() == usual
