"""What tells one store and hub from others."""

from pathlib import Path

import pytest

from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.identity import find_identity


def hub_of(url: str, file: Path) -> str:
    with open_store(f"sqlite:///{file}") as store, store.own_connection() as connection:
        return find_identity(connection, store, hub_url=url).hub


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("https://Service.hubject.com/api/oicp", "https://service.hubject.com:443/api/oicp/"),
        ("https://127.0.0.1:8443/api/oicp", "https://localhost:9443/api/oicp"),
        ("https://[::1]:1/api/oicp", "https://127.8.8.8/api/oicp"),
    ],
)
def test_another_spelling_of_an_address_is_the_same_hub(one: str, same: str, migrated_file: Path) -> None:
    assert hub_of(one, migrated_file) == hub_of(same, migrated_file)


@pytest.mark.parametrize(
    "other",
    [
        "https://service-qa.hubject.com/api/oicp",
        "https://service.hubject.com:8443/api/oicp",
        "https://localhost/api/oicp",
    ],
)
def test_another_host_or_port_is_another_hub(other: str, migrated_file: Path) -> None:
    assert hub_of("https://service.hubject.com/api/oicp", migrated_file) != hub_of(other, migrated_file)


def test_a_file_is_known_by_its_number_on_the_disk(migrated_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(migrated_file.read_bytes())
    found = []
    for file in (migrated_file, copy):
        with open_store(f"sqlite:///{file}") as store, store.own_connection() as connection:
            found.append(find_identity(connection, store, hub_url="https://hub.example/").database)
    assert found == [f"file {migrated_file.stat().st_ino}", f"file {copy.stat().st_ino}"]
    assert len(set(found)) == 2


def test_a_file_that_was_moved_away_since_it_was_opened_is_a_store_that_is_not_there(
    migrated_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(migrated_file.read_bytes())
    with open_store(f"sqlite:///{file}") as store, store.own_connection() as connection:
        file.rename(tmp_path / "away.db")
        with pytest.raises(StoreUnavailableError, match=r"store's file .* \(No such file or directory\)"):
            find_identity(connection, store, hub_url="https://hub.example/")
