"""What people ask for is done under the lane's lock, and exactly that."""

from datetime import timedelta

from oicp_adapter.domain.statuses import OicpStatus
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.operations import (
    HeldWithdrawal,
    approve_withdrawals,
    held_withdrawals,
    quarantined,
    rejections,
    release_quarantine,
    request_full_load,
)
from oicp_adapter.sync.model import Rejection


def test_a_full_load_is_asked_for_once(store, lane: LaneStore):
    asked = request_full_load(store, "DEABC", by="ann")
    assert request_full_load(store, "DEABC", by="bob") == asked
    position, _ = lane.position()
    assert (position.full_load_requested_at, position.full_load_requested_by) == (asked, "bob")


def test_exactly_the_named_withdrawals_are_approved(store, lane: LaneStore, present):
    with lane.transaction() as books:
        now = books.now
        books.save([present(f"DE*ABC*E{number}", now, held_since=now) for number in (1, 2, 3)])
        books.save([present("DE*ABC*E4", now)])
    assert held_withdrawals(store, "DEABC")[0] == HeldWithdrawal("DE*ABC*E1", OicpStatus.AVAILABLE, now)
    assert approve_withdrawals(store, "DEABC", ["de*abc*e1", "DEABCE3", "DE*ABC*E4", "DE*ABC*E9"], by="ann") == [
        "DE*ABC*E1",
        "DE*ABC*E3",
    ]
    assert [held.evse_id for held in held_withdrawals(store, "DEABC")] == ["DE*ABC*E2"]
    assert approve_withdrawals(store, "DEABC", ["DE*ABC*E1"], by="bob") == []
    with lane.transaction() as books:
        entries = books.entries(["DEABCE1", "DEABCE2", "DEABCE4"])
        seen = books.find(hinted=9, due=9, suspects=9).observe()
    assert entries["DEABCE1"].approved_by == "ann"
    assert (entries["DEABCE2"].approved_at, entries["DEABCE4"].approved_at) == (None, None)
    assert [each.canonical for each in seen] == ["DEABCE1", "DEABCE3"]


def test_released_records_are_tried_now(store, lane: LaneStore, present):
    with lane.transaction() as books:
        later = books.now + timedelta(hours=1)
        books.save(
            [
                present(f"DE*ABC*E{number}", books.now, retry_at=later, due_at=later, failures=9, batch_cap=1)
                for number in (1, 2)
            ]
        )
        books.save([present("DE*ABC*E3", books.now)])
    assert [entry.evse_id for entry in quarantined(store, "DEABC")] == ["DE*ABC*E1", "DE*ABC*E2"]
    assert release_quarantine(store, "DEABC", ["DEABCE2", "DEABCE3"], by="ann") == ["DE*ABC*E2"]
    assert release_quarantine(store, "DEABC", by="ann") == ["DE*ABC*E1"]
    assert quarantined(store, "DEABC") == []
    with lane.transaction() as books:
        seen = books.find(hinted=9, due=9, suspects=9).observe()
    assert {(each.canonical, each.entry.failures, each.entry.batch_cap) for each in seen} == {
        ("DEABCE1", 1, 1),
        ("DEABCE2", 1, 1),
    }


def test_what_people_decide_is_in_the_audit_with_who_did_it(store, lane: LaneStore, present, sql):
    with lane.transaction() as books:
        now = books.now
        books.save([present("DE*ABC*E1", now, held_since=now)])
        books.save([present("DE*ABC*E2", now, retry_at=now + timedelta(hours=1), failures=9)])
    request_full_load(store, "DEABC", by="ann")
    approve_withdrawals(store, "DEABC", ["DE*ABC*E1"], by="bob", token_id="tokenbob")
    release_quarantine(store, "DEABC", by="eve")
    assert sql("SELECT action, actor, token_id, subject FROM oicp_audit ORDER BY id") == [
        ("full_load.request", "ann", None, "DEABC"),
        ("withdrawal.approve", "bob", "tokenbob", "DE*ABC*E1"),
        ("quarantine.release", "eve", None, "DE*ABC*E2"),
    ]


def test_rejected_rows_are_listed(store, lane: LaneStore, add):
    add("nonsense")
    add("more nonsense")
    list(lane.sweep())
    found = rejections(store, "DEABC")
    assert [each.evse_id for each in found] == ["more nonsense", "nonsense"]
    assert {each.reason for each in found} == {Rejection.MALFORMED_EVSE_ID}
    assert rejections(store, "DEABC", limit=1) == found[:1]
    assert rejections(store, "DEXYZ") == []
