"""Many EVSEs are set at once or not at all, and what it would do is shown before."""

from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.control import bulk
from oicp_adapter.control.bulk import Selection, WindowTemplate, set_windows
from oicp_adapter.control.preview import preview
from oicp_adapter.control.window_model import WindowRequest
from oicp_adapter.control.windows import set_window
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.statuses import DriverStatus, OicpStatus, TemporaryStatus
from oicp_adapter.store.idempotency import Once

from .conftest import ANN, HOUR, PLACES, grant

MAINTENANCE, BLOCKED, RESERVED = TemporaryStatus.MAINTENANCE, TemporaryStatus.BLOCKED, TemporaryStatus.RESERVED


def ids(views):
    return [each.record.evse_id for each in views]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(evse_ids=["deabce3", "DE*ABC*E1", "DEABCE1"]), ["DE*ABC*E1", "DE*ABC*E3"]),
        (Selection(location="Zeil 85"), ["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E3"]),
        (Selection(location="Zeil 85", charge_box="CB1"), ["DE*ABC*E1", "DE*ABC*E2"]),
        (Selection(charge_box="CB3"), ["DE*ABC*E11"]),
        (Selection(pattern="de*abc*e1%"), ["DE*ABC*E1", "DE*ABC*E11", "DE*ABC*E12"]),
        (Selection(pattern="DEABCE1_"), ["DE*ABC*E11", "DE*ABC*E12"]),
        (Selection(pattern="%"), sorted(PLACES)),
    ],
)
def test_evses_are_selected_by_list_location_charge_box_or_pattern(desk, sql, selection, expected):
    assert ids(set_windows(desk, ANN, selection, WindowTemplate(MAINTENANCE)).value) == expected
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == len(expected)
    assert sql("SELECT count(*) FROM oicp_audit")[0][0] == len(expected)


@pytest.mark.parametrize(
    ("selection", "refusal"),
    [
        (Selection(), Refusal.INVALID),
        (Selection(evse_ids=["DE*ABC*E1"], location="Zeil 85"), Refusal.INVALID),
        (Selection(pattern="DE*ABC*E1*"), Refusal.INVALID),
        (Selection(pattern="DE*ABC*E9%"), Refusal.UNKNOWN_EVSE),
        (Selection(location="Zeil 86"), Refusal.UNKNOWN_EVSE),
        (Selection(evse_ids=["DE*ABC*E1", "DE*ABC*E8", "DE*ABC*E9"]), Refusal.UNKNOWN_EVSE),
    ],
)
def test_what_cannot_be_selected_is_refused_and_nothing_is_set(desk, sql, selection, refusal):
    with pytest.raises(RequestRefusedError) as caught:
        set_windows(desk, ANN, selection, WindowTemplate(MAINTENANCE))
    assert caught.value.refusal is refusal
    if selection.evse_ids and refusal is Refusal.UNKNOWN_EVSE:
        assert caught.value.facts["evseIds"] == ["DE*ABC*E8", "DE*ABC*E9"]
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 0


def test_more_than_the_limit_is_refused(desk, monkeypatch):
    monkeypatch.setattr(bulk, "LIMIT", 2)
    for selection in (Selection(pattern="%"), Selection(evse_ids=list(PLACES))):
        with pytest.raises(RequestRefusedError) as caught:
            set_windows(desk, ANN, selection, WindowTemplate(MAINTENANCE))
        assert caught.value.refusal is Refusal.TOO_MANY


def test_one_evse_beyond_the_grant_refuses_all(desk, sql):
    some = Actor("some", "tokensom", grant(MAINTENANCE, patterns=("DE*ABC*E1%",)))
    with pytest.raises(RequestRefusedError, match=r"no right to DE\*ABC\*E2, DE\*ABC\*E3"):
        set_windows(desk, some, Selection(location="Zeil 85"), WindowTemplate(MAINTENANCE))
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 0


def test_a_bulk_request_that_comes_again_is_done_once(desk, sql):
    once = Once("k", "f", lambda made: f"{len(made)} set")
    done = [
        set_windows(desk, ANN, Selection(location="Zeil 85"), WindowTemplate(BLOCKED), once=once).rendered
        for _ in range(2)
    ]
    assert done == ["3 set", "3 set"]
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 3


def test_five_thousand_evses_are_set_in_one_go(desk, sql):
    with desk.store.writing() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " INSERT INTO evse_status (evse_id, operator_id, status)"
            " SELECT 'DE*ABC*EX' || i, 'DE*ABC', 'Available' FROM n"
        )
    shown = preview(desk, ANN, Selection(pattern="DE*ABC*EX%"), WindowTemplate(MAINTENANCE))
    assert len(shown.evses) == 5000
    assert len(set_windows(desk, ANN, Selection(pattern="DE*ABC*EX%"), WindowTemplate(MAINTENANCE)).value) == 5000
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 5000


# the preview


def test_a_preview_tells_what_drivers_see_now_during_and_after_and_sets_nothing(desk, now, sql):
    sql("UPDATE evse_status SET status = 'Charging' WHERE evse_id = 'DE*ABC*E2'")
    template = WindowTemplate(MAINTENANCE, now + HOUR, now + 2 * HOUR)
    shown = preview(desk, ANN, Selection(evse_ids=["DE*ABC*E1", "DE*ABC*E2", "DE*ABC*E9"]), template)
    one, two = shown.evses
    assert (one.now.driver, one.during.driver, one.after.driver) == (
        DriverStatus.AVAILABLE,
        DriverStatus.OUT_OF_SERVICE,
        DriverStatus.AVAILABLE,
    )
    assert (two.now.oicp, two.during.oicp, two.after.oicp) == (
        OicpStatus.OCCUPIED,
        OicpStatus.OUT_OF_SERVICE,
        OicpStatus.OCCUPIED,
    )
    assert (one.place.location, one.place.charge_box, list(shown.unknown)) == ("Zeil 85", "CB1", ["DE*ABC*E9"])
    assert sql("SELECT count(*) FROM temporary_status")[0][0] == 0


def test_a_preview_names_overlaps_and_who_wins(desk, now):
    def there(kind, start, end):
        return set_window(desk, ANN, WindowRequest("DE*ABC*E1", kind, start, end)).value.record.window.id

    stronger = there(MAINTENANCE, now + HOUR, now + 3 * HOUR)
    weaker = there(RESERVED, now - HOUR, None)
    there(MAINTENANCE, now + 9 * HOUR, now + 10 * HOUR)
    same = there(BLOCKED, now + 2 * HOUR, None)
    template = WindowTemplate(BLOCKED, now, now + 5 * HOUR)
    (shown,) = preview(desk, ANN, Selection(evse_ids=["DE*ABC*E1"]), template).evses
    assert {each.window.id: each.wins for each in shown.overlaps} == {stronger: True, weaker: False, same: True}
    assert shown.during.driver is DriverStatus.BLOCKED
    assert any("Blocked is set already" in warning for warning in shown.warnings)


def test_a_preview_warns_of_a_charger_that_is_less_usable_than_what_is_set(desk, sql):
    sql("UPDATE evse_status SET status = 'Faulted' WHERE evse_id = 'DE*ABC*E1'")
    (shown,) = preview(desk, ANN, Selection(evse_ids=["DE*ABC*E1"]), WindowTemplate(BLOCKED)).evses
    assert shown.during.driver is DriverStatus.OUT_OF_SERVICE
    assert shown.warnings == ["the charger says Faulted, which is less usable and is shown instead"]
    assert shown.after is None


def test_a_preview_warns_of_no_end_of_a_start_that_has_passed_and_of_changing_clocks(desk, now):
    def warnings(**facts):
        return preview(desk, ANN, Selection(evse_ids=["DE*ABC*E1"]), WindowTemplate(BLOCKED, **facts)).warnings

    assert any("no end" in each for each in warnings())
    assert any("has passed" in each for each in warnings(valid_from=now - HOUR, valid_to=now + HOUR))
    assert any("60 days" in each for each in warnings(valid_from=now, valid_to=now + timedelta(days=60)))
    spring = {"valid_from": datetime(2030, 3, 30, 22, tzinfo=UTC), "valid_to": datetime(2030, 3, 31, 8, tzinfo=UTC)}
    assert any("clocks of Europe/Berlin" in each for each in warnings(time_zone="Europe/Berlin", **spring))
    assert warnings(valid_from=now + HOUR, valid_to=now + 2 * HOUR) == []


@pytest.mark.parametrize(
    ("kind", "words"), [(RESERVED, "may not set RESERVED"), (BLOCKED, "has no right to DE*ABC*E2")]
)
def test_a_preview_refuses_what_setting_would(desk, kind, words):
    some = Actor("some", "tokensom", grant(BLOCKED, patterns=("DE*ABC*E1%",)))
    with pytest.raises(RequestRefusedError) as caught:
        preview(desk, some, Selection(location="Zeil 85"), WindowTemplate(kind))
    assert words in caught.value.what
