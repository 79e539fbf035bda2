"""Only `upgrade` makes a store's file; everybody else says what is wrong with the way to it, and the cure."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oicp_adapter.domain.errors import StoreSchemaError
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.migrate import check, upgrade

MAKE = "oicp-adapter db upgrade"


def open_file(path: Path | str) -> Store:
    return open_store(f"sqlite:///{path}")


def refused(store: Store) -> StoreSchemaError:
    with pytest.raises(StoreSchemaError) as caught:
        check(store)
    return caught.value


def test_reading_a_file_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with open_file(tmp_path / "store.db") as store:
        error = refused(store)
        with pytest.raises(StoreSchemaError), store.writing():
            pass
        with pytest.raises(StoreSchemaError):
            store.own_connection()
    assert f"{tmp_path}/store.db does not exist" in error.what
    assert MAKE in error.cure
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_makes_the_file_in_wal_mode(tmp_path: Path) -> None:
    with open_file(tmp_path / "store.db") as store:
        assert upgrade(store).is_current
        assert check(store).is_current
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


@pytest.mark.parametrize("attempt", [check, upgrade])
def test_a_folder_that_is_not_there_is_named_with_its_own_cure(tmp_path: Path, attempt) -> None:
    with open_file(tmp_path / "no" / "such" / "store.db") as store, pytest.raises(StoreSchemaError) as caught:
        attempt(store)
    assert f"the folder {tmp_path}/no/such of the store's file does not exist" in caught.value.what
    assert caught.value.cure == "make the folder, or correct store.url"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("attempt", [check, upgrade])
def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path, attempt) -> None:
    with open_file(tmp_path) as store, pytest.raises(StoreSchemaError, match="is a folder") as caught:
        attempt(store)
    assert str(tmp_path) in caught.value.what
    assert caught.value.cure == "let store.url name another file"


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with open_file(tmp_path / "file" / "store.db") as store:
        assert MAKE not in refused(store).cure


@pytest.mark.parametrize("attempt", [check, upgrade])
def test_a_file_that_is_no_database_is_named_and_kept(tmp_path: Path, attempt) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing of the kind " * 1000, encoding="utf-8")
    with open_file(path) as store, pytest.raises(StoreSchemaError, match="is no SQLite database") as caught:
        attempt(store)
    assert str(path) in caught.value.what
    assert MAKE not in caught.value.cure
    assert path.read_text(encoding="utf-8").startswith("nothing")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_matter_of_rights(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch(mode=0o000)
    with open_file(tmp_path / "store.db") as store:
        assert "rights" in refused(store).cure


def test_a_file_that_was_moved_away_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_file(path) as store:
        upgrade(store)
        path.rename(tmp_path / "elsewhere.db")
        assert "does not exist" in refused(store).what
        assert not path.exists()
        (tmp_path / "elsewhere.db").rename(path)
        assert check(store).is_current


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a b.db", "a b.db"),
        ("a%20b.db", "a b.db"),
        ("a%2520b.db", "a%20b.db"),
        ("a%3Fmode=memory.db", "a?mode=memory.db"),
        ("a#b.db", "a#b.db"),
        ("a&mode=memory.db", "a&mode=memory.db"),
        ("straße.db", "straße.db"),
        ("file:x.db", "file:x.db"),
    ],
)
def test_any_name_of_a_file_is_taken_as_it_is(tmp_path: Path, written: str, name: str) -> None:
    with open_file(tmp_path / written) as store:
        upgrade(store)
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with closing(sqlite3.connect(tmp_path / name)) as other:
        assert other.execute("SELECT count(*) FROM evse_status").fetchone() == (0,)


def test_a_relative_path_is_relative_to_where_the_store_was_opened(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with open_file("store.db") as store:
        upgrade(store)
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert check(store).is_current
    assert (tmp_path / "store.db").is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_two_links_to_one_file_are_one_store(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    with open_file(tmp_path / "link.db") as store:
        assert "does not exist" in refused(store).what
        upgrade(store)
    assert (tmp_path / "store.db").is_file()
