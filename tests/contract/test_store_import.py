"""A fleet is loaded as it is; what cannot be loaded or pushed is named with its line."""

import csv
from pathlib import Path

import pytest

from oicp_adapter.store import fleet_import
from oicp_adapter.store.fleet_import import ImportFault, import_fleet

REAL_FLEET = Path(__file__).parents[3] / "shared" / "data" / "swiss-charging-points-2019.csv"


def row(evse_id: str, status: str = "Available", operator_id: str = "DE*ABC", **other: str):
    return {"evse_id": evse_id, "operator_id": operator_id, "status": status, **other}


def test_rows_are_inserted_updated_and_left_alone(store, sql, monkeypatch):
    monkeypatch.setattr(fleet_import, "PAGE", 2)
    first = import_fleet(store, [row(f"DE*ABC*E{number}") for number in range(5)])
    assert (first.read, first.inserted, first.updated, first.unchanged) == (5, 5, 0, 0)
    sql("DELETE FROM oicp_hint")
    second = import_fleet(
        store, [row("DE*ABC*E0"), row("DE*ABC*E1", "Charging"), row("DE*ABC*E2", operator_id="DE*XYZ")]
    )
    assert (second.inserted, second.updated, second.unchanged) == (0, 2, 1)
    assert {key for (key,) in sql("SELECT evse_key FROM oicp_hint")} == {"DEABCE1", "DEABCE2"}
    assert len(sql("SELECT * FROM evse_status")) == 5


def test_what_is_missing_or_repeated_is_skipped_and_named_with_its_line(store, sql):
    report = import_fleet(
        store,
        [
            row("DE*ABC*E1"),
            row(""),
            row("DE*ABC*E2", "  "),
            row("DE*ABC*E3", operator_id=""),
            row("DE*ABC*E1", "Charging"),
            row("DE*ABC*E4\0"),
            row("DE*ABC*E5", "\ud800"),
            {"evse_id": "DE*ABC*E6", "operator_id": None, None: ["surplus"]},
        ],
    )
    assert [(problem.line, problem.fault) for problem in report.skipped] == [
        (3, ImportFault.NO_EVSE_ID),
        (4, ImportFault.NO_STATUS),
        (5, ImportFault.NO_OPERATOR_ID),
        (6, ImportFault.REPEATED),
        (7, ImportFault.UNREADABLE),
        (8, ImportFault.UNREADABLE),
        (9, ImportFault.NO_OPERATOR_ID),
    ]
    assert "line 2" in report.skipped[3].detail
    assert sql("SELECT evse_id, status FROM evse_status") == [("DE*ABC*E1", "Available")]


def test_what_cannot_be_pushed_is_loaded_and_named(store, sql):
    report = import_fleet(
        store,
        [
            row("DE*ABC*E1"),
            row("DEABCE1"),
            row("CHESWIE16970"),
            row("DE*XYZ*E1"),
            row("DE*ABC*E2", operator_id="CH-REP"),
        ],
    )
    assert [(problem.evse_id, problem.fault) for problem in report.unpushable] == [
        ("DEABCE1", ImportFault.DUPLICATE),
        ("CHESWIE16970", ImportFault.MALFORMED_EVSE_ID),
        ("DE*XYZ*E1", ImportFault.FOREIGN_OPERATOR),
        ("DE*ABC*E2", ImportFault.MALFORMED_OPERATOR_ID),
    ]
    assert "correct the row" in report.unpushable[-1].detail
    assert report.faults()[ImportFault.DUPLICATE] == 1
    assert len(sql("SELECT * FROM evse_status")) == 5


def test_places_are_kept_where_the_rows_have_them(store, sql):
    places = "SELECT evse_id, location, charge_box, time_zone FROM evse_location ORDER BY evse_id"
    import_fleet(
        store, [row("DE*ABC*E1", location="Main St 1", charge_box="", time_zone="Europe/Berlin"), row("DE*ABC*E2")]
    )
    assert sql(places) == [("DE*ABC*E1", "Main St 1", None, "Europe/Berlin")]
    report = import_fleet(store, [row("DE*ABC*E1", location="Main St 2"), row("DE*ABC*E2", charge_box="B")])
    assert (report.inserted, report.updated, report.unchanged) == (0, 2, 0)
    assert sql(places) == [("DE*ABC*E1", "Main St 2", None, "Europe/Berlin"), ("DE*ABC*E2", None, "B", None)]


def test_a_time_zone_that_is_none_is_left_out_and_named(store, sql):
    import_fleet(store, [row("DE*ABC*E1", time_zone="Europe/Berlin")])
    report = import_fleet(
        store,
        [
            row("DE*ABC*E1", location="Main St 1", time_zone="Mars/Olympus"),
            row("DE*ABC*E2", time_zone="../etc/passwd"),
            row("DE*ABC*E3", time_zone="Europe"),
            row("DE*ABC*E4", time_zone=" Europe/Zurich "),
            row("DE*ABC*E5", time_zone="right/UTC"),
        ],
    )
    assert [(each.line, each.fault) for each in report.partial] == [
        (line, ImportFault.UNKNOWN_TIME_ZONE) for line in (2, 3, 4, 6)
    ]
    assert "Mars/Olympus is no IANA time zone" in report.partial[0].detail
    assert not report.skipped
    assert sql("SELECT evse_id, location, time_zone FROM evse_location ORDER BY evse_id") == [
        ("DE*ABC*E1", "Main St 1", "Europe/Berlin"),
        ("DE*ABC*E4", None, "Europe/Zurich"),
    ]


def test_a_row_with_more_fields_than_the_first_line_is_named(store):
    lines = ["evse_id,operator_id,status,location", "DE*ABC*E1,DE*ABC,x,Main St 1, Bern", "DE*ABC*E2,DE*ABC,x,Bern, ,"]
    report = import_fleet(store, csv.DictReader(lines))
    assert [(each.line, each.fault) for each in report.partial] == [(2, ImportFault.SURPLUS_FIELDS)]
    assert "quote" in report.partial[0].detail
    assert report.inserted == 2
    assert report.faults()[ImportFault.SURPLUS_FIELDS] == 1


@pytest.mark.skipif(not REAL_FLEET.exists(), reason="the real fleet's file is not here")
def test_the_real_fleet_is_loaded_and_its_dirt_named(store, sql):
    with REAL_FLEET.open(encoding="utf-8", newline="") as file:
        report = import_fleet(store, csv.DictReader(file))
    assert report.read == 982
    assert report.inserted + len(report.skipped) == 982
    assert report.faults()[ImportFault.NO_STATUS] == 2
    assert report.faults()[ImportFault.MALFORMED_EVSE_ID] > 500
    assert sql("SELECT count(*) FROM evse_status") == [(report.inserted,)]
