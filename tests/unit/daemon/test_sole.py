"""One SQLite store, one daemon."""

import errno
import io
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from oicp_adapter.daemon.sole import SoleDaemon, SoleStores
from oicp_adapter.domain.errors import ConfigurationError, LaneHeldElsewhereError


def test_a_second_daemon_is_refused_and_told_who_has_the_store(tmp_path):
    with SoleDaemon(tmp_path / "store.db"), pytest.raises(LaneHeldElsewhereError) as refused:
        SoleDaemon(tmp_path / "store.db")
    assert f"process {os.getpid()}" in str(refused.value)
    assert refused.value.exit_code == 75


def test_the_lock_is_free_after_the_first_has_let_go(tmp_path):
    SoleDaemon(tmp_path / "store.db").release()
    with SoleDaemon(tmp_path / "store.db"):
        pass


def test_what_a_dead_daemon_left_behind_is_no_lock(tmp_path):
    (tmp_path / "store.db.daemon").write_text("process 1\n" * 40)
    with SoleDaemon(tmp_path / "store.db"):
        assert (tmp_path / "store.db.daemon").read_text() == f"process {os.getpid()}\n"


def test_two_stores_in_one_folder_have_a_lock_each(tmp_path):
    with SoleDaemon(tmp_path / "a.db"), SoleDaemon(tmp_path / "b.db"):
        pass


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        SoleDaemon(tmp_path / "nowhere" / "store.db")


def test_a_disk_without_locks_is_a_wrong_setting_and_no_other_daemon(tmp_path, monkeypatch):
    def refuse(_file, _operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ConfigurationError, match="cannot be locked: No locks available"):
        SoleDaemon(tmp_path / "store.db")


def test_a_full_disk_is_told_as_one_and_leaves_no_lock(tmp_path, monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, _data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(
            Path, "open", lambda path, mode: io.TextIOWrapper(io.BufferedRandom(FullDisk(path, mode)), encoding="utf-8")
        )
        with pytest.raises(ConfigurationError, match="cannot be written: No space left on device: make room"):
            SoleDaemon(tmp_path / "store.db")
    SoleDaemon(tmp_path / "store.db").release()


def test_old_and_new_lanes_of_one_daemon_hold_a_store_together_until_both_have_let_go(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    stores = SoleStores()
    with ExitStack() as old, ExitStack() as new:
        witnesses = old.enter_context(stores.held(tmp_path / "store.db"))
        assert new.enter_context(stores.held(tmp_path / "link.db")) is witnesses
        old.close()
        with pytest.raises(LaneHeldElsewhereError):
            SoleDaemon(tmp_path / "store.db")
        new.close()
        SoleDaemon(tmp_path / "store.db").release()
        assert new.enter_context(stores.held(tmp_path / "store.db")) is not witnesses


def test_a_store_that_another_daemon_has_is_not_held(tmp_path):
    stores = SoleStores()
    with SoleDaemon(tmp_path / "store.db"), pytest.raises(LaneHeldElsewhereError):
        stores.held(tmp_path / "store.db").__enter__()
    with stores.held(tmp_path / "store.db"):
        pass
