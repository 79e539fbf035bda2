"""The control server is a process that says where it is, refuses what would give tokens away, and ends in order."""

import json
import select
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

PATIENCE = 60.0
ANYWHERE = "0.0.0.0"  # noqa: S104 - what is refused, or said to be behind a proxy


@pytest.fixture
def serving(site):
    """Run the control server with arguments; give its address and the process."""

    @contextmanager
    def run(*arguments):
        command = [
            sys.executable,
            "-m",
            "oicp_adapter",
            "--config",
            str(site.config()),
            "serve",
            "--announce",
            *arguments,
        ]
        with (
            (site.folder / "serve.log").open("wb") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=site.folder) as process,
        ):
            try:
                assert select.select([process.stdout], [], [], PATIENCE)[0], "it announced nothing"
                yield json.loads(process.stdout.readline())["control"], process
            finally:
                if process.poll() is None:
                    process.kill()

    return run


def get(url, *, token=None, verify=True):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(url, headers=headers, verify=verify, timeout=PATIENCE, trust_env=False, follow_redirects=True)
    return answer.status_code, answer.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_page_and_api_and_ends_when_it_is_told_to(site, serving, number):
    site.fleet(2)
    made = json.loads(site.command("token", "create", "ann", "--role", "operator", "--json").stdout)
    with serving("--port", "0") as (url, process):
        assert get(f"{url}/v2/evses")[0] == 401
        status, body = get(f"{url}/v2/evses", token=made["token"])
        assert (status, [each["evseId"] for each in json.loads(body)]) == (200, ["DE*ABC*E0", "DE*ABC*E1"])
        assert "Sign in" in get(f"{url}/")[1]
        assert json.loads(get(f"{url}/openapi.json")[1])["openapi"].startswith("3.")
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
    log = (site.folder / "serve.log").read_text()
    assert f"the operator page is at {url}/" in log
    assert made["token"] not in log


def test_it_speaks_https_with_its_own_certificate(site, serving):
    pair = site.pki.hub
    site.sections["control"] = {"certificate": pair.certificate, "private_key": pair.private_key}
    context = ssl.create_default_context(cafile=str(site.pki.hub_ca.certificate))
    with serving("--port", "0") as (url, _):
        assert url.startswith("https://127.0.0.1:")
        assert get(f"{url}/openapi.json", verify=context)[0] == 200


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ({"host": ANYWHERE}, "would listen on 0.0.0.0 without TLS, and anybody on the way could read the tokens"),
        ({"certificate": "/nowhere.pem"}, "control names a certificate or a private key, not both"),
        ({"certificate": "{hub_ca}", "private_key": "{key}"}, "cannot use its certificate"),
    ],
)
def test_what_would_not_be_safe_is_a_wrong_setting(site, control, said):
    paths = {"hub_ca": site.pki.hub_ca.certificate, "key": site.pki.hub.private_key}
    site.sections["control"] = {name: str(value).format(**paths) for name, value in control.items()}
    result = site.command("serve", "--port", "0")
    assert result.returncode == 78
    assert said in result.stderr.replace("\n", " ")


def test_behind_a_proxy_it_listens_anywhere(site, serving):
    site.sections["control"] = {"host": ANYWHERE, "behind_proxy": True}
    with serving("--port", "0") as (url, _):
        assert get(url.replace(ANYWHERE, "127.0.0.1"))[0] == 200


def test_a_port_that_is_taken_is_a_wrong_setting(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = site.command("serve", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 78
    assert "the control server cannot listen on 127.0.0.1" in result.stderr


def test_a_store_that_was_never_migrated_is_told_with_its_cure(site, tmp_path):
    empty = tmp_path / "empty.db"
    empty.touch()
    site.sections["store"]["url"] = f"sqlite:///{empty}"
    result = site.command("serve", "--port", "0")
    assert result.returncode == 69
    assert "oicp-adapter db upgrade" in result.stderr


def test_it_goes_on_while_the_hub_and_the_daemon_are_away(site, serving):
    site.fleet(1)
    made = json.loads(site.command("token", "create", "ann", "--role", "operator", "--json").stdout)
    site.hub.stop()
    with serving("--port", "0") as (url, _):
        assert get(f"{url}/v2/evses/DE*ABC*E0", token=made["token"])[0] == 200
