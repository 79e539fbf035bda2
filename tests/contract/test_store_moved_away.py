"""A lane whose SQLite file is moved away makes no other, and goes on when it is back."""

from pathlib import Path

import pytest

from oicp_adapter.domain.errors import StoreError, StoreSchemaError
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.overview import lane_backlog
from oicp_adapter.store.scope import LaneScope


def test_a_file_that_was_moved_away_is_asked_for_until_it_is_back(sqlite_store, request, tmp_path):
    path, scope = Path(sqlite_store.path), LaneScope("DEABC", frozenset({"DEABC"}))
    lane = LaneStore(sqlite_store, scope, StatusMapping())
    request.addfinalizer(lane.close)
    lane.look()
    away = tmp_path / "away.db"
    path.rename(away)
    with pytest.raises(StoreError):
        lane.look()
    for attempt in (lane.look, lambda: lane_backlog(sqlite_store, scope)):
        with pytest.raises(StoreSchemaError, match=r"does not exist.*put the file back"):
            attempt()
    assert not path.exists()
    away.rename(path)
    assert not lane.look().hinted


def test_a_folder_that_was_moved_away_with_the_file_is_one_more_store_that_is_not_there(sqlite_store, request):
    path = Path(sqlite_store.path)
    lane = LaneStore(sqlite_store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
    request.addfinalizer(lane.close)
    lane.look()
    away = path.parent.rename(path.parent.with_name("away"))
    path.parent.write_text("a file in the folder's place")
    with pytest.raises(StoreError):
        lane.look()
    with pytest.raises(StoreSchemaError, match="what should be its folder is a file"):
        lane.look()
    path.parent.unlink()
    away.rename(path.parent)
    assert not lane.look().hinted
