"""The demo's fleet as another program that shares the store."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.demo.fleet import StatusChanged, WindowEnded, WindowSet
from oicp_adapter.demo.places import Charger
from oicp_adapter.demo.tables import REMEMBERED, SharedTables, WindowCount
from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.domain.statuses import Status, TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.migrate import upgrade

NOW = datetime(2026, 5, 1, 12, 0, 0, 250, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CHARGER = Charger("DE*ABC*E1", "DE*ABC", "Available", "Zeil 85", "ABC-1", "Europe/Berlin")


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}") as made:
        upgrade(made)
    return path


@pytest.fixture
def tables(store):
    with SharedTables(store) as opened:
        opened.settle_in([CHARGER])
        yield opened


def window(reference="demo-1", *, start=NOW, end=None):
    return WindowSet(reference, "DEABCE1", TemporaryStatus.BLOCKED, start, end, "bay closed")


def test_a_fleet_is_written_with_its_places(tables, store):
    (row,) = tables.read(NOW).rows
    assert (row.evse_id, row.operator_id, row.status) == ("DE*ABC*E1", "DE*ABC", "Available")

    connection = sqlite3.connect(store)
    assert connection.execute("SELECT * FROM evse_location").fetchall() == [
        ("DE*ABC*E1", "Zeil 85", "ABC-1", "Europe/Berlin")
    ]
    connection.close()


def test_a_changed_status_is_read_with_its_instant(tables):
    tables.write([StatusChanged("DE*ABC*E1", Status.CHARGING)], NOW)

    (row,) = tables.read(NOW).rows
    assert (row.status, row.changed_at) == ("Charging", NOW)


def test_a_window_is_found_under_the_canonical_evse_id_and_ends_by_its_reference(tables):
    tables.write([window(), window("demo-2", start=NOW + SECOND, end=NOW + 2 * SECOND)], NOW)
    tables.write([WindowEnded("demo-1")], NOW + SECOND)

    assert tables.read(NOW).windows == {
        "DEABCE1": [
            Window(1, TemporaryStatus.BLOCKED, NOW, None, NOW + SECOND),
            Window(2, TemporaryStatus.BLOCKED, NOW + SECOND, NOW + 2 * SECOND),
        ]
    }


def test_a_window_that_ended_long_ago_is_no_longer_read(tables):
    tables.write([window(end=NOW + SECOND)], NOW)

    assert tables.read(NOW + REMEMBERED).windows
    assert not tables.read(NOW + SECOND + REMEMBERED).windows


def test_windows_are_counted_by_where_they_stand(tables):
    tables.write([window(), window("demo-2", end=NOW + SECOND), window("demo-3", start=NOW + 9 * SECOND)], NOW)
    tables.write([WindowEnded("demo-1")], NOW + SECOND)

    assert tables.count_windows(NOW) == WindowCount(set=3, started=2, ended=0)
    assert tables.count_windows(NOW + SECOND) == WindowCount(set=3, started=2, ended=2)


def test_what_happened_is_written_as_a_whole_or_not_at_all(tables):
    backwards = window(start=NOW, end=NOW - SECOND)

    with pytest.raises(StoreUnavailableError, match="the demo's fleet cannot use the store: CHECK"):
        tables.write([StatusChanged("DE*ABC*E1", Status.CHARGING), backwards], NOW)

    assert tables.read(NOW).rows[0].status == "Available"


def test_a_store_without_tables_is_said_to_be_unusable(tmp_path):
    with SharedTables(tmp_path / "empty.db") as tables, pytest.raises(StoreUnavailableError, match="no such table"):
        tables.read(NOW)
