"""A health check asks whoever is to live, says why it does not, and asks nobody else."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from oicp_adapter.cli.healthcheck import address
from oicp_adapter.cli.main import app
from oicp_adapter.domain.errors import WrongArgumentError
from tests.unit.web_server import web_server


def call(*arguments, port=None, code):
    settings = {"OICP_ADAPTER_MONITORING__PORT": str(port)} if port else {}
    environment = {"OICP_ADAPTER_STORE__URL": "sqlite:////nowhere/store.db", **settings}
    result = CliRunner().invoke(app, ["healthcheck", *arguments], env=environment)
    assert result.exit_code == code, result.output
    return result.stderr


def test_it_asks_whether_the_daemon_lives_and_nothing_else():
    with web_server({"/livez": (200, b"ok\n")}) as (port, asked):
        assert call(port=port, code=0) == ""
    assert asked == ["/livez"]


def test_it_asks_whether_the_daemon_is_ready_when_that_is_wanted():
    with web_server({"/readyz": (503, b"starting: the store was not read yet\n")}) as (port, asked):
        said = call("--ready", port=port, code=69)
    assert asked == ["/readyz"]
    assert "503: starting: the store was not read yet" in said


def test_it_asks_the_address_that_is_named():
    with web_server({"/openapi.json": (200, b"{}")}) as (port, asked):
        call("--url", f"http://127.0.0.1:{port}/openapi.json", code=0)
    assert asked == ["/openapi.json"]


def test_nobody_there_is_not_well():
    with web_server({}) as (port, _):
        pass
    assert "no answer" in call(port=port, code=69)


def test_no_proxy_is_asked():
    with web_server({"/livez": (200, b"ok\n")}) as (port, asked), web_server({}) as (proxy, told):
        environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{proxy}", "no_proxy": ""}
        line = [sys.executable, "-m", "oicp_adapter", "healthcheck", "--url", f"http://127.0.0.1:{port}/livez"]
        subprocess.run(line, env=environment, check=True, timeout=60)
    assert (asked, told) == (["/livez"], [])


@pytest.mark.parametrize("arguments", [("--url", "file:///etc/passwd"), ("--url", "http://localhost/", "--ready")])
def test_what_cannot_be_asked_is_wrong_usage(arguments):
    assert "cannot be asked" in call(*arguments, code=2)


def test_settings_that_do_not_hold_are_told_as_such():
    result = CliRunner().invoke(app, ["healthcheck"], env={"OICP_ADAPTER_MONITORING__PORT": "many"})
    assert result.exit_code == 78


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:9464/livez"),
        ("0.0.0.0", "http://127.0.0.1:9464/livez"),  # noqa: S104 - what is listened on, not by us
        ("::", "http://[::1]:9464/livez"),
        ("2001:db8::1", "http://[2001:db8::1]:9464/livez"),
        ("localhost", "http://localhost:9464/livez"),
    ],
)
def test_who_listens_everywhere_is_asked_on_loopback(host, expected):
    assert address(host, 9464, "/livez") == expected


def test_a_free_port_cannot_be_guessed():
    with pytest.raises(WrongArgumentError, match="--url"):
        address("127.0.0.1", 0, "/livez")
