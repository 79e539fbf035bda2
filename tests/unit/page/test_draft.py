from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.page.draft import box_of, box_value, read_draft
from oicp_adapter.page.site import Call

NOW = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
RIGHT = {"pasted": "DE*ABC*E1", "kind": "Blocked", "ends": "after", "amount": "4", "unit": "hours"}


def draft(**fields):
    form = {name: [value] if isinstance(value, str) else value for name, value in (RIGHT | fields).items()}
    return read_draft(Call(None, None, None, form), NOW, "Europe/Berlin")


def test_a_form_that_is_right_has_no_errors():
    read = draft()
    assert read.errors == {}
    assert (read.kind, read.start, read.end) == (TemporaryStatus.BLOCKED, NOW, NOW + timedelta(hours=4))
    assert read.valid_from is None


def test_ids_are_pasted_with_any_separators_and_each_counts_once():
    read = draft(pasted="DE*ABC*E1, DE*ABC*E2;\r\n DE*ABC*E1\tDE*ABC*E3", evse=["DE*ABC*E3", ""])
    assert read.evses == ["DE*ABC*E3", "DE*ABC*E1", "DE*ABC*E2"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"pasted": " ,; "}, "evses"),
        ({"kind": "Broken"}, "kind"),
        ({"zone": "Europe/Nowhere"}, "zone"),
        ({"amount": "nan"}, "amount"),
        ({"amount": "inf"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "4", "unit": "years"}, "amount"),
        ({"amount": "3000000", "unit": "days"}, "amount"),
        ({"begins": "at", "start": "tomorrow"}, "start"),
        ({"begins": "at", "start": "2026-12-01T08:00+01:00"}, "start"),
        ({"ends": "at", "end": "0001-01-01T00:00"}, "end"),
    ],
)
def test_what_cannot_be_read_stands_beside_its_field(fields, field):
    assert list(draft(**fields).errors) == [field]


def test_a_time_that_comes_twice_needs_a_choice_and_keeps_it_only_while_it_is_the_same():
    first, second = "2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00"
    asked = draft(begins="at", start="2027-10-31T02:30")
    assert [each.value for each in asked.choices["start"]] == [first, second]
    assert list(asked.errors) == ["start"]
    chosen = draft(begins="at", start="2027-10-31T02:30", start_instant=second)
    assert chosen.errors == {}
    assert chosen.start == datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    assert chosen.end - chosen.start == timedelta(hours=4)
    moved = draft(begins="at", start="2027-10-31T02:45", start_instant=second)
    assert list(moved.errors) == ["start"]


def test_a_duration_over_the_clock_change_is_counted_by_the_clock_on_no_wall():
    read = draft(begins="at", start="2027-03-27T22:00", amount="1", unit="days")
    assert read.end - read.start == timedelta(hours=24)


@pytest.mark.parametrize("box", [("Mainz", "CB-1"), (None, "CB-1"), ("Mainz", None), (None, None)])
def test_a_charge_box_is_named_and_read_back(box):
    assert box_of(box_value(*box)) == box


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", '["a"]', "{}", '["a", "b", "c"]', "nonsense", "3", r'["a", "\ud800"]', r'["\u0000", null]']
)
def test_what_names_no_charge_box_is_left_out(text):
    assert box_of(text) is None
