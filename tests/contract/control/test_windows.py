"""Windows are set, changed and ended by the rules of their state, by whom it is allowed, and it is all written down."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import exc, text

from oicp_adapter.control.window_model import WindowRequest
from oicp_adapter.control.windows import change_window, end_windows, extend_windows, get_window, history, set_window
from oicp_adapter.domain.access import Actor, Grant, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreError
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.idempotency import Once
from oicp_adapter.store.windows import WindowState

from .conftest import ANN, HOUR, grant

BLOCKED, RESERVED, MAINTENANCE = TemporaryStatus.BLOCKED, TemporaryStatus.RESERVED, TemporaryStatus.MAINTENANCE
SENSOR = Actor("sensor 7", "tokensen", grant(BLOCKED, patterns=("DE*ABC*E1%",), longest=timedelta(hours=4)))


@pytest.fixture
def refused():
    """Run something that is refused, and return the refusal."""

    def run(do, *args, **facts) -> RequestRefusedError:
        with pytest.raises(RequestRefusedError) as caught:
            do(*args, **facts)
        assert str(caught.value) == f"{caught.value.what}: {caught.value.cure}"
        return caught.value

    return run


def test_a_window_that_is_set_is_there_as_it_was_asked_for(desk, now):
    request = WindowRequest(
        "deabce1", MAINTENANCE, now + HOUR, now + 2 * HOUR, "Europe/Berlin", reason="new cable", reference="T-1"
    )
    made = set_window(desk, ANN, request).value
    again = get_window(desk, ANN, made.record.window.id)
    assert again == replace(made, now=again.now)
    record = made.record
    assert (record.evse_id, record.window.kind, record.reason, record.reference) == (
        "deabce1",
        MAINTENANCE,
        "new cable",
        "T-1",
    )
    assert (record.window.valid_from, record.window.end) == (now + HOUR, now + 2 * HOUR)
    assert (record.created_by, record.token_id, record.time_zone) == ("ann", "tokenann", "Europe/Berlin")
    assert made.state is WindowState.UPCOMING


def test_a_window_without_times_begins_now_and_lasts_until_it_is_ended(desk):
    made = set_window(desk, ANN, WindowRequest("DE*ABC*E1", BLOCKED)).value
    assert (made.state, made.record.window.end) == (WindowState.ACTIVE, None)
    (ended,) = end_windows(desk, ANN, [made.record.window.id])
    assert ended.state is WindowState.ENDED
    assert ended.record.ended_by == "ann"
    assert not ended.record.window.applies(desk.store.now())


def test_ending_what_has_not_begun_lets_it_never_begin(desk, now, blocked):
    made = blocked(valid_from=now + HOUR, valid_to=None)
    (ended,) = end_windows(desk, ANN, [made.record.window.id])
    assert ended.state is WindowState.ENDED
    assert ended.record.window.next_boundary(now) is None


def test_an_ended_window_never_changes(desk, blocked, refused):
    key = blocked().record.window.id
    end_windows(desk, ANN, [key])
    before = get_window(desk, ANN, key)
    for changes in ({"valid_to": None}, {"kind": RESERVED}, {"reason": "later"}, {}):
        assert refused(change_window, desk, ANN, key, changes).refusal is Refusal.WINDOW_OVER
    assert refused(extend_windows, desk, ANN, [key], by=HOUR).refusal is Refusal.WINDOW_OVER
    assert end_windows(desk, ANN, [key])[0].record == before.record
    assert get_window(desk, ANN, key).etag == before.etag


def test_a_start_that_has_passed_does_not_move_and_one_ahead_does(desk, now, blocked, refused):
    active = blocked().record
    error = refused(change_window, desk, ANN, active.window.id, {"valid_from": now + HOUR / 2})
    assert (error.refusal, error.field) == (Refusal.START_PASSED, "validFrom")
    assert change_window(desk, ANN, active.window.id, {"valid_from": active.window.valid_from}).record == active
    ahead = blocked(valid_from=now + HOUR, valid_to=now + 3 * HOUR).record
    moved = change_window(desk, ANN, ahead.window.id, {"valid_from": now + 2 * HOUR})
    assert moved.record.window.valid_from == now + 2 * HOUR


def test_all_else_may_change_and_the_history_keeps_what_was_before(desk, now, blocked):
    key = blocked().record.window.id
    bob = Actor("bob", "tokenbob", ANN.grant)
    changes = {"kind": RESERVED, "valid_to": None, "reason": "towed", "reference": "T-2", "evse_id": "DE*ABC*E2"}
    changed = change_window(desk, bob, key, changes)
    assert (changed.record.evse_id, changed.record.window.kind) == ("DE*ABC*E2", RESERVED)
    assert (changed.record.window.valid_to, changed.record.reason) == (None, "towed")
    extend_windows(desk, ANN, [key], to=now + 5 * HOUR)
    end_windows(desk, bob, [key])
    entries = history(desk, ANN, key)
    assert [(each.action, each.actor, each.token_id) for each in entries] == [
        ("window.set", "ann", "tokenann"),
        ("window.change", "bob", "tokenbob"),
        ("window.change", "ann", "tokenann"),
        ("window.end", "bob", "tokenbob"),
    ]
    assert entries[0].before is None
    assert entries[1].before == entries[0].after
    assert entries[1].after["temporaryStatus"] == "RESERVED"
    assert entries[2].before["validTo"] is None
    assert entries[3].after["endedAt"] is not None


def test_a_change_to_what_it_is_already_is_no_change(desk, blocked):
    made = blocked()
    assert change_window(desk, ANN, made.record.window.id, {"kind": BLOCKED}).etag == made.etag
    assert len(history(desk, ANN, made.record.window.id)) == 1


def test_an_end_that_has_just_passed_by_a_slow_clock_ends_it_now(desk, now, blocked, refused):
    key = blocked().record.window.id
    ended = change_window(desk, ANN, key, {"valid_to": now - timedelta(seconds=5)})
    assert ended.state is WindowState.ENDED
    assert ended.record.window.ended_at >= now
    other = blocked().record.window.id
    error = refused(change_window, desk, ANN, other, {"valid_to": now - timedelta(minutes=5)})
    assert (error.refusal, error.field) == (Refusal.INVALID, "validTo")


def test_who_changed_it_meanwhile_is_not_overwritten(desk, blocked, refused):
    made = blocked()
    key = made.record.window.id
    changed = change_window(desk, ANN, key, {"reason": "one"}, if_match=made.etag)
    for do, facts in (
        (change_window, {"changes": {"reason": "two"}}),
        (end_windows, {}),
        (extend_windows, {"by": HOUR}),
    ):
        target = key if do is change_window else [key]
        error = refused(do, desk, ANN, target, **facts, if_match=made.etag)
        assert error.refusal is Refusal.CHANGED_MEANWHILE
    assert get_window(desk, ANN, key).etag == changed.etag


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"evse_id": "DE*ABC*E99"}, (Refusal.UNKNOWN_EVSE, "evseId")),
        (
            {"valid_to": datetime(2020, 1, 2, tzinfo=UTC), "valid_from": datetime(2020, 1, 1, tzinfo=UTC)},
            (Refusal.INVALID, "validTo"),
        ),
        (
            {"valid_to": datetime(2030, 1, 1, tzinfo=UTC), "valid_from": datetime(2030, 1, 1, tzinfo=UTC)},
            (Refusal.INVALID, "validTo"),
        ),
        ({"valid_from": datetime(1, 1, 1, tzinfo=UTC)}, (Refusal.INVALID, "validFrom")),
        ({"valid_to": datetime(9999, 12, 31, tzinfo=UTC)}, (Refusal.INVALID, "validTo")),
        ({"time_zone": "Europe/Atlantis"}, (Refusal.INVALID, "timeZone")),
        ({"reason": "x" * 501}, (Refusal.INVALID, "reason")),
        ({"reason": " "}, (Refusal.INVALID, "reason")),
        ({"reason": "a\x00b"}, (Refusal.INVALID, "reason")),
        ({"reason": "\ud800"}, (Refusal.INVALID, "reason")),
        ({"reference": "x\ny"}, (Refusal.INVALID, "reference")),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_at_fault_and_nothing_is_written(desk, sql, refused, facts, expected):
    request = replace(WindowRequest("DE*ABC*E1", BLOCKED), **facts)
    error = refused(set_window, desk, ANN, request)
    assert (error.refusal, error.field) == expected
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 0
    assert sql("SELECT count(*) FROM oicp_audit")[0][0] == 0


def test_a_row_that_says_removed_is_no_evse(desk, sql, refused):
    sql("UPDATE evse_status SET status = 'Removed' WHERE evse_id = 'DE*ABC*E1'")
    assert refused(set_window, desk, ANN, WindowRequest("DE*ABC*E1", BLOCKED)).refusal is Refusal.UNKNOWN_EVSE


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("DE*ABC*E1", RESERVED, HOUR), "may not set RESERVED"),
        (("DE*ABC*E3", BLOCKED, HOUR), "has no right to DE*ABC*E3"),
        (("DE*ABC*E11", BLOCKED, 5 * HOUR), "takes 5 h, sensor 7 may set 4 h at most"),
        (("DE*ABC*E11", BLOCKED, None), "has no end"),
    ],
)
def test_a_token_sets_only_what_it_is_for(desk, now, refused, asked, words):
    evse_id, kind, length = asked
    request = WindowRequest(evse_id, kind, now, now + length if length is not None else None)
    error = refused(set_window, desk, SENSOR, request)
    assert error.refusal is Refusal.NOT_PERMITTED
    assert words in error.what


def test_a_location_in_a_grant_covers_the_evses_that_stand_there(desk, refused):
    there = Actor("site", "tokensit", grant(BLOCKED, locations=frozenset({"Zeil 85"})))
    made = set_window(desk, there, WindowRequest("DE*ABC*E3", BLOCKED)).value
    assert end_windows(desk, there, [made.record.window.id])[0].state is WindowState.ENDED
    assert refused(set_window, desk, there, WindowRequest("DE*ABC*E11", BLOCKED)).refusal is Refusal.NOT_PERMITTED
    assert refused(set_window, desk, there, WindowRequest("DE*ABC*E12", BLOCKED)).refusal is Refusal.NOT_PERMITTED


def test_who_may_not_operate_changes_only_what_they_set(desk, now, blocked, refused):
    theirs, own = blocked().record.window.id, blocked(actor=SENSOR).record.window.id
    for do, target, facts in (
        (change_window, theirs, {"changes": {"reason": "mine"}}),
        (end_windows, [own, theirs], {}),
        (extend_windows, [theirs], {"by": HOUR}),
    ):
        assert refused(do, desk, SENSOR, target, **facts).refusal is Refusal.NOT_PERMITTED
    assert get_window(desk, ANN, own).state is WindowState.ACTIVE
    assert end_windows(desk, SENSOR, [own])[0].state is WindowState.ENDED


def test_extending_beyond_the_longest_that_a_token_may_set_is_refused(desk, blocked, refused):
    own = blocked(actor=SENSOR).record.window.id
    assert extend_windows(desk, SENSOR, [own], by=HOUR)[0].state is WindowState.ACTIVE
    assert refused(extend_windows, desk, SENSOR, [own], by=3 * HOUR).refusal is Refusal.NOT_PERMITTED


def test_who_has_no_scope_reads_or_sets_nothing(desk, blocked, refused):
    key = blocked().record.window.id
    nobody = Actor("nobody", "tokennob", Grant(frozenset(), frozenset(TemporaryStatus)))
    reader = Actor("reader", "tokenrea", Grant(frozenset({Scope.READ}), frozenset(TemporaryStatus)))
    assert refused(get_window, desk, nobody, key).refusal is Refusal.NOT_PERMITTED
    assert get_window(desk, reader, key).record.window.id == key
    assert refused(end_windows, desk, reader, [key]).refusal is Refusal.NOT_PERMITTED
    assert refused(set_window, desk, reader, WindowRequest("DE*ABC*E1", BLOCKED)).refusal is Refusal.NOT_PERMITTED


@pytest.mark.parametrize("key", [0, -1, 999, 2**31, 2**63 - 1, 2**63, 10**20, -(10**20)])
def test_a_number_that_no_row_has_is_not_found(desk, refused, key):
    for do in (get_window, history):
        assert refused(do, desk, ANN, key).refusal is Refusal.NOT_FOUND
    assert refused(change_window, desk, ANN, key, {"reason": "x"}).refusal is Refusal.NOT_FOUND
    assert refused(end_windows, desk, ANN, [key]).refusal is Refusal.NOT_FOUND


def test_several_are_ended_or_none(desk, blocked, refused):
    one = blocked().record.window.id
    assert refused(end_windows, desk, ANN, [one, 999]).refusal is Refusal.NOT_FOUND
    assert get_window(desk, ANN, one).state is WindowState.ACTIVE


def test_a_window_that_another_program_wrote_is_changed_like_any_other(desk, sql):
    sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*ABC*E1', 'blocked')")
    assert history(desk, ANN, 1) == []
    changed = change_window(desk, ANN, 1, {"time_zone": "Europe/Berlin", "reason": "seen"})
    assert (changed.record.time_zone, changed.record.token_id, changed.record.created_by) == (
        "Europe/Berlin",
        None,
        None,
    )


# a request that comes twice


def once(key: str, fingerprint: str = "f") -> Once:
    return Once(key, fingerprint, lambda made: f"window {made.record.window.id}")


def test_a_request_that_comes_again_under_its_key_is_answered_in_the_same_words(desk, sql, refused):
    request = WindowRequest("DE*ABC*E1", BLOCKED)
    first = set_window(desk, ANN, request, once=once("k"))
    again = set_window(desk, ANN, request, once=once("k"))
    assert (first.rendered, first.replayed) == ("window 1", False)
    assert (again.rendered, again.replayed, again.value) == ("window 1", True, None)
    assert refused(set_window, desk, ANN, request, once=once("k", "g")).refusal is Refusal.KEY_REUSED
    other = Actor("bob", "tokenbob", ANN.grant)
    assert set_window(desk, other, request, once=once("k")).rendered == "window 2"
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 2


def test_a_request_that_comes_again_is_answered_though_its_evse_has_gone_meanwhile(desk, sql):
    request = WindowRequest("DE*ABC*E1", BLOCKED)
    set_window(desk, ANN, request, once=once("k"))
    sql("DELETE FROM evse_status")
    assert set_window(desk, ANN, request, once=once("k")).rendered == "window 1"


def test_a_request_that_was_refused_may_come_again_under_its_key(desk, refused):
    refused(set_window, desk, ANN, WindowRequest("DE*ABC*E1", BLOCKED, reason=" "), once=once("k"))
    assert set_window(desk, ANN, WindowRequest("DE*ABC*E1", BLOCKED), once=once("k", "g")).rendered == "window 1"


def test_a_key_is_forgotten_after_a_day(desk, sql):
    request = WindowRequest("DE*ABC*E1", BLOCKED)
    set_window(desk, ANN, request, once=once("k"))
    past = datetime.now(UTC) - timedelta(hours=25)
    at = past.strftime("%Y-%m-%d %H:%M:%S.%f") if desk.store.dialect == "sqlite" else past
    sql("UPDATE oicp_idempotency SET created_at = :at", {"at": at})
    assert set_window(desk, ANN, request, once=once("k", "g")).replayed is False


def test_the_same_request_from_many_threads_is_done_once(desk, sql):
    request = WindowRequest("DE*ABC*E1", BLOCKED)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: set_window(desk, ANN, request, once=once("k")), range(12)))
    assert {each.rendered for each in done} == {"window 1"}
    assert sum(not each.replayed for each in done) == 1
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 1


# the audit


COPY = "INTO oicp_audit (id, at, actor, action) SELECT id, at, 'eve', 'x' FROM oicp_audit"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE oicp_audit SET actor = 'eve'",
        "DELETE FROM oicp_audit",
        f"INSERT OR REPLACE {COPY}",
        f"INSERT {COPY} WHERE true ON CONFLICT (id) DO UPDATE SET actor = 'eve'",
    ],
)
def test_nobody_rewrites_the_audit(desk, blocked, statement):
    blocked()
    with pytest.raises((exc.DBAPIError, StoreError)), desk.store.writing() as connection:
        connection.execute(text(statement))
    with desk.store.reading() as connection:
        assert connection.execute(text("SELECT actor FROM oicp_audit")).all() == [("ann",)]
