"""Where the demo keeps what it makes."""

import pytest

from oicp_adapter.demo.folder import MARKER, demo_folder
from oicp_adapter.domain.errors import ConfigurationError, LaneHeldElsewhereError


def test_without_a_wish_everything_is_removed_at_the_end():
    with demo_folder(None) as folder:
        (folder / "store.db").write_text("rows")

    assert not folder.exists()


def test_a_given_folder_is_made_and_kept(tmp_path):
    with demo_folder(tmp_path / "a" / "b") as folder:
        (folder / "hub.log").write_text("listening")

    assert (tmp_path / "a" / "b" / "hub.log").read_text() == "listening"


def test_a_folder_of_an_earlier_demo_is_used_again_with_its_certificates_and_without_its_store(tmp_path):
    with demo_folder(tmp_path) as folder:
        for name in ("store.db", "store.db-wal", "hub.pem"):
            (folder / name).write_text(name)

    with demo_folder(tmp_path) as folder:
        assert {each.name for each in folder.iterdir()} == {MARKER, "hub.pem"}


def test_a_folder_with_something_foreign_is_refused_and_left_alone(tmp_path):
    (tmp_path / "store.db").write_text("precious")

    with pytest.raises(ConfigurationError, match="holds something that no demo made"), demo_folder(tmp_path):
        pass

    assert [each.name for each in tmp_path.iterdir()] == ["store.db"]


def test_a_folder_that_another_demo_uses_is_refused(tmp_path):
    with (
        demo_folder(tmp_path),
        pytest.raises(LaneHeldElsewhereError, match="is held by another demo"),
        demo_folder(tmp_path),
    ):
        pass


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be used"), demo_folder(tmp_path / "file"):
        pass
