"""The control server is a process that says where it is, refuses what would give tokens away, and ends in order."""

import json
import select
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from oicp_adapter.oicp.development_pki import Authority, KeyPair

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


def logged(site, event):
    """Return the lines of the log with this event."""
    lines = [json.loads(line) for line in (site.folder / "serve.log").read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def server_pair(site, name, days=90):
    """Make a certificate of the server's own, with its key."""
    now = datetime.now(UTC)
    times = {"not_before": now - timedelta(hours=1), "not_after": now + timedelta(days=days)}
    issued = Authority.load(site.pki.hub_ca).issue_hub(["127.0.0.1"], **times)
    return issued.write(KeyPair(site.folder / f"{name}.pem", site.folder / f"{name}.key"))


def test_a_new_certificate_is_taken_up_and_a_signal_is_answered_without_a_restart(site, serving, eventually):
    used, fresh = server_pair(site, "used"), server_pair(site, "fresh", days=300)
    site.sections["control"] = {"certificate": used.certificate, "private_key": used.private_key}
    context = ssl.create_default_context(cafile=str(site.pki.hub_ca.certificate))
    with serving("--port", "0") as (url, process):
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        before = ssl.get_server_certificate(place)
        fresh.private_key.replace(used.private_key)
        process.send_signal(signal.SIGHUP)
        refused = eventually(lambda: [each for each in logged(site, "certificate.not_replaced") if "asked" in each])
        assert "does not belong to certificate" in refused[0]["reason"]
        assert ssl.get_server_certificate(place) == before
        wanted = fresh.certificate.read_text()
        fresh.certificate.replace(used.certificate)
        eventually(lambda: logged(site, "certificate.replaced"))
        after = ssl.get_server_certificate(place)
        assert after != before
        assert wanted.startswith(after.strip())
        assert get(f"{url}/readyz", verify=context) == (200, "ok\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_on_a_signal_it_says_which_settings_want_a_restart_and_goes_on(site, serving, eventually):
    with serving("--port", "0") as (url, process):
        process.send_signal(signal.SIGHUP)
        told = eventually(lambda: logged(site, "control.reloaded"))
        assert (told[0]["certificate"], told[0]["wants_restart"]) == (None, [])
        site.sections["push"]["settle"] = 0.7
        site.config()
        process.send_signal(signal.SIGHUP)
        eventually(lambda: len(logged(site, "control.reloaded")) == 2)
        assert logged(site, "control.reloaded")[1]["wants_restart"] == ["push.settle"]
        site.sections["push"]["settle"] = -1
        site.config()
        for times in (1, 2):
            process.send_signal(signal.SIGHUP)
            eventually(lambda times=times: len(logged(site, "config.not_reloaded")) == times)
        assert "push.settle" in logged(site, "config.not_reloaded")[0]["reason"]
        assert process.poll() is None
        assert get(f"{url}/livez") == (200, "ok\n")


def test_a_service_manager_hears_that_it_serves_and_that_it_stops(site, serving, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(site.folder / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(site.folder / "notify"))
        with serving("--port", "0") as (url, process):
            assert manager.recv(1000).decode() == f"READY=1\nSTATUS=serves {url}"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        assert manager.recv(1000).decode() == "STOPPING=1\nSTATUS=stops"


def test_it_serves_where_it_may_not_make_itself_nicer_as_in_the_unit_of_systemd(site, serving, monkeypatch):
    forbidden = site.folder / "forbidden"
    forbidden.mkdir()
    (forbidden / "sitecustomize.py").write_text("import os\ndef nice(_):\n    raise PermissionError\nos.nice = nice\n")
    monkeypatch.setenv("PYTHONPATH", str(forbidden))
    with serving("--port", "0") as (url, _):
        assert get(f"{url}/livez") == (200, "ok\n")


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
