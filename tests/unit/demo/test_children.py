"""The demo's processes."""

import os
import threading

import pytest

from oicp_adapter.demo.children import Child, SceneFailedError, StoppedError


@pytest.fixture
def stop():
    return threading.Event()


def hub(tmp_path, *arguments):
    return Child("hub", ["hub", "--dir", str(tmp_path / "certs"), *arguments], directory=tmp_path, ends_within=10)


def test_a_command_announces_itself_and_ends_cleanly(tmp_path, stop):
    with hub(tmp_path) as child:
        announced = child.announcement(within=60, stop=stop)
        assert announced["pid"] == child.pid
        assert os.getsid(child.pid) == child.pid
        child.require_alive()

    assert child.end().clean
    with pytest.raises(
        SceneFailedError, match=r"the hub ended by itself with 0; its log ends with\n(.*\n)+  hub: stopped"
    ):
        child.require_alive()


def test_a_command_that_does_not_start_says_why(tmp_path, stop):
    with (
        hub(tmp_path, "--operator", "CH-REP") as child,
        pytest.raises(SceneFailedError, match=r"did not start, it ended with 2; its log ends with\n.*CH-REP"),
    ):
        child.announcement(within=60, stop=stop)


def test_a_start_can_be_given_up_and_takes_no_longer_than_it_may(tmp_path, stop):
    with hub(tmp_path) as child:
        with pytest.raises(SceneFailedError, match="did not get ready in time"):
            child.announcement(within=0, stop=stop)
        stop.set()
        with pytest.raises(StoppedError):
            child.announcement(within=60, stop=stop)

    assert child.end().code != 0


def test_settings_of_the_environment_reach_no_child(tmp_path, stop, monkeypatch):
    monkeypatch.setenv("OICP_ADAPTER_PUSH__MODE", "nonsense")
    monkeypatch.setenv("OICP_ADAPTER_CONFIG", str(tmp_path / "absent.toml"))

    with (
        Child("check", ["check", "--offline", "--json"], directory=tmp_path, ends_within=30) as child,
        pytest.raises(SceneFailedError, match=r"https://service-qa\.") as failure,
    ):
        child.announcement(within=60, stop=stop)

    assert "nonsense" not in str(failure.value)
    assert "absent.toml" not in str(failure.value)
