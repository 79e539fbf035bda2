"""What people ask for is done under the lane's lock, and exactly that."""

from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.domain.statuses import OicpStatus, TemporaryStatus
from oicp_adapter.store import temporary
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
from oicp_adapter.store.temporary import end_temporary, extend_temporary, get_temporary, list_temporary, set_temporary
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
        seen = books.observe(hinted=9, due=9, suspects=9)
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
    assert release_quarantine(store, "DEABC", ["DEABCE2", "DEABCE3"]) == ["DE*ABC*E2"]
    assert release_quarantine(store, "DEABC") == ["DE*ABC*E1"]
    assert quarantined(store, "DEABC") == []
    with lane.transaction() as books:
        seen = books.observe(hinted=9, due=9, suspects=9)
    assert {(each.canonical, each.entry.failures, each.entry.batch_cap) for each in seen} == {
        ("DEABCE1", 1, 1),
        ("DEABCE2", 1, 1),
    }


def test_rejected_rows_are_listed(store, lane: LaneStore, add):
    add("nonsense")
    list(lane.sweep())
    (found,) = rejections(store, "DEABC")
    assert (found.evse_id, found.reason) == ("nonsense", Rejection.MALFORMED_EVSE_ID)
    assert rejections(store, "DEXYZ") == []


def test_a_temporary_status_is_set_extended_and_ended(store, lane: LaneStore):
    start = datetime(2030, 1, 1, 12, tzinfo=UTC)
    record = set_temporary(
        store,
        evse_id="DE*ABC*E1",
        kind=TemporaryStatus.BLOCKED,
        valid_from=start,
        valid_to=start + timedelta(hours=1),
        reason="wet paint",
        reference="T-1",
        created_by="ann",
    )
    assert (record.evse_id, record.window.kind, record.reason, record.reference, record.created_by) == (
        "DE*ABC*E1",
        TemporaryStatus.BLOCKED,
        "wet paint",
        "T-1",
        "ann",
    )
    assert (record.window.valid_from, record.window.end) == (start, start + timedelta(hours=1))
    assert record.created_at is not None
    key = record.window.id
    assert get_temporary(store, key) == record
    longer = extend_temporary(store, key, valid_to=None)
    assert longer.window.valid_to is None
    ended = end_temporary(store, key, by="bob", at=start + timedelta(minutes=5))
    assert (ended.window.end, ended.ended_by) == (start + timedelta(minutes=5), "bob")
    assert end_temporary(store, key, by="eve") == ended
    with pytest.raises(ConfigurationError, match="ended already"):
        extend_temporary(store, key, valid_to=start + timedelta(hours=9))


def test_a_temporary_status_begins_now_and_lasts_until_ended(store):
    record = set_temporary(store, evse_id="DE*ABC*E1", kind=TemporaryStatus.MAINTENANCE)
    assert record.window.end is None
    assert record.window.applies(store.now())
    ended = end_temporary(store, record.window.id, by="ann")
    assert not ended.window.applies(store.now())


def test_what_ends_before_it_starts_is_refused_in_words(store):
    at = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="cannot end at"):
        set_temporary(store, evse_id="E", kind=TemporaryStatus.BLOCKED, valid_from=at, valid_to=at)
    record = set_temporary(store, evse_id="E", kind=TemporaryStatus.BLOCKED, valid_from=at)
    with pytest.raises(ConfigurationError, match="cannot end at"):
        extend_temporary(store, record.window.id, valid_to=at)
    assert extend_temporary(store, 999, valid_to=None) is None
    assert end_temporary(store, 999, by="ann") is None
    assert get_temporary(store, 999) is None


def test_temporary_statuses_are_listed(store, monkeypatch):
    monkeypatch.setattr(temporary, "PAGE", 2)
    for number in range(5):
        set_temporary(store, evse_id=f"DE*ABC*E{number}", kind=TemporaryStatus.BLOCKED)
    (first, *_) = list_temporary(store)
    end_temporary(store, first.window.id, by="ann")
    assert [each.evse_id for each in list_temporary(store)] == [f"DE*ABC*E{number}" for number in (1, 2, 3, 4)]
    assert len(list(list_temporary(store, over_too=True))) == 5
    assert [each.evse_id for each in list_temporary(store, evse_ids=["deabce3"])] == ["DE*ABC*E3"]
