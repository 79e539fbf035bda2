"""What `check` finds on the way to the hub, against hubs that misbehave so, over real TLS."""

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from oicp_adapter.checks import Check, Level, run_checks
from oicp_adapter.checks.hub import HUB_CHECKS
from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.settings import HubSettings, Settings, StoreSettings
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer
from tests.tls.visits import VERSIONS, answering, bad, only


@contextlib.contextmanager
def dropping():
    """Yield a port at which nobody answers: its queue is full, so the kernel drops each further SYN."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                filling.connect(silent.getsockname())
        yield silent.getsockname()[1]


# A good hub, and what it gets


@pytest.mark.parametrize("version", VERSIONS)
def test_a_good_hub_gets_one_get_of_its_base_without_a_body_and_no_call(start_hub, look, version):
    hub = start_hub(answering(), lowest=version, highest=version)
    findings = look(hub)
    assert bad(findings) == []
    assert [each.check for each in findings] == [Check.ACCEPTED, Check.ADMISSION]
    assert version.name.replace("_", ".") in findings[0].what
    hub.wait()
    (request,) = hub.requests
    assert (request.line, request.body) == (b"GET /api/oicp/ HTTP/1.1", b"")
    assert request.headers[b"host"] == b"localhost:%d" % hub.port
    assert {b"content-length", b"transfer-encoding"}.isdisjoint(request.headers)
    assert len(hub.connections) == 1


def test_the_simulator_is_content_and_its_journal_shows_no_call(pki, look):
    config = SimulatorConfig(pki.hub.certificate, pki.hub.private_key, pki.client_ca.certificate, HubOptions())
    with SimulatorServer(config) as hub:
        findings = look(int(hub.url.split(":")[2].split("/")[0]))
        assert [(each.check, each.level) for each in findings if each.check is not Check.HUB_CLOCK] == [
            (Check.ACCEPTED, Level.OK),
            (Check.ADMISSION, Level.OK),
        ]
        assert dict(hub.hub.journal.counters) == {}


def test_nothing_is_visited_offline_or_under_a_certificate_that_has_expired(start_hub, pki, operator, tmp_path):
    hub = start_hub(answering())
    settings = Settings(
        operators=(operator,),
        hub=HubSettings(url=f"https://localhost:{hub.port}/api/oicp", ca_file=pki.hub_ca.certificate),
        store=StoreSettings(url=f"sqlite:///{tmp_path}/absent.db"),
    )
    list(run_checks(settings, online=False))
    list(run_checks(settings, online=True, now=datetime.now(UTC) + timedelta(days=9)))
    assert hub.connections == []
    found = [each.check for each in run_checks(settings, online=True, environ={})]
    assert len(hub.connections) == 1
    assert Check.ACCEPTED in found


# The name, the connection, the handshake


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64])
def test_a_name_that_cannot_be_looked_up(look, host):
    found = only(look(443, host=host), Check.NAME, exit_code=69)
    assert "cannot be looked up" in found.what


def test_a_name_service_that_does_not_answer_keeps_nobody(look, monkeypatch):
    released = threading.Event()

    def hang(*_args, **_options):
        released.wait(20)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    found = only(look(443, host="hub.example", timeout=0.2), Check.NAME, exit_code=69)
    released.set()
    assert "cannot be looked up (the name service has not answered within 0.2 s)" in found.what


def test_addresses_that_drop_what_is_sent_share_one_deadline_and_the_name_is_looked_up_once(
    start_hub, look, monkeypatch
):
    hub, asked, waits = start_hub(answering()), [], []

    class Watched(socket.socket):
        def connect(self, address):
            waits.append(self.gettimeout())
            super().connect(address)

    with dropping() as silent:

        def find(*args, **_options):
            asked.append(args)
            ports = [silent] * 3 + [hub.port]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", find)
        monkeypatch.setattr(socket, "socket", Watched)
        assert bad(look(hub, timeout=4)) == []
    assert len(waits) == 4
    assert sum(waits) <= 4
    assert len(asked) == 1


def test_a_refused_connection(look):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    found = only(look(port), Check.CONNECTION, exit_code=69)
    assert "refuses the connection" in found.what
    assert "127.0.0.1" in found.what


def test_a_firewall_that_drops_what_is_sent(look):
    with dropping() as port:
        found = only(look(port, host="127.0.0.1", timeout=1), Check.CONNECTION, exit_code=69)
    assert "does not answer: a firewall drops" in found.what
    assert "let this machine's address in" in found.cure


def test_a_proxy_that_the_environment_names_is_spoken_of_without_its_password(look):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    found = only(look(port, environ={"HTTPS_PROXY": "http://u:c4n4ry@proxy"}), Check.CONNECTION, exit_code=69)
    assert "HTTPS_PROXY names a proxy, but the adapter uses none" in found.cure
    assert "c4n4ry" not in repr(found)


def test_something_that_takes_the_connection_and_says_nothing(start_hub, look):
    hub = start_hub(lambda connection: connection.plain.recv(100_000) and connection.ended.wait(1.2), tls=False)
    found = only(look(hub, timeout=1), Check.HANDSHAKE, exit_code=69)
    assert "says nothing to the TLS handshake" in found.what


def test_a_server_without_tls(start_hub, look):
    hub = start_hub(lambda connection: connection.plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), tls=False)
    assert "does not speak TLS" in only(look(hub), Check.HANDSHAKE).what


def test_a_connection_cut_in_the_handshake(start_hub, look):
    hub = start_hub(lambda connection: connection.plain.close(), tls=False)
    only(look(hub), Check.HANDSHAKE, exit_code=69)


# Our certificate


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("foreign", "does not know who signed the client certificate"),
        ("expired", "has expired"),
        ("purpose", "does not take the certificate for a client's"),
    ],
)
def test_a_client_certificate_that_the_hub_refuses_in_either_version_of_tls(
    start_hub, look, client_authority, span, tmp_path, *, kind, said, version
):
    authority = Authority.create("Another CA", **span) if kind == "foreign" else client_authority
    ends = span["not_before"] + timedelta(seconds=1) if kind == "expired" else span["not_after"]
    make = (
        authority.issue_hub if kind == "purpose" else lambda names, **dates: authority.issue_client(names[0], **dates)
    )
    issued = make(["DE*ABC"], **span | {"not_after": ends})
    hub = start_hub(answering(), lowest=version, highest=version)
    found = only(look(hub, shown=issued.write(KeyPair(tmp_path / "c.pem", tmp_path / "c.key"))), Check.ACCEPTED)
    assert said in found.what
    hub.wait()
    assert hub.requests == []


def test_a_hub_that_hangs_up_after_the_handshake(start_hub, look):
    found = only(look(start_hub(lambda connection: connection.tls.unwrap())), Check.ACCEPTED, Level.WARNING)
    assert "right after the handshake" in found.what


def test_a_hub_that_hangs_up_instead_of_answering(start_hub, look):
    found = only(look(start_hub(lambda connection: connection.read_request())), Check.ACCEPTED, Level.WARNING)
    assert "instead of answering a GET" in found.what


def test_a_front_proxy_that_refuses_the_certificate_in_a_page(start_hub, look):
    page = b"<html><head><title>400 The SSL certificate error</title></head></html>"
    hub = start_hub(answering(b"400 Bad Request", page), asks=ssl.CERT_OPTIONAL)
    assert "in words of its front proxy (HTTP 400)" in only(look(hub), Check.ACCEPTED).what


@pytest.mark.parametrize("version", VERSIONS)
def test_a_proxy_that_opens_tls_asks_for_no_client_certificate(start_hub, look, version):
    hub = start_hub(answering(), asks=ssl.CERT_NONE, lowest=version, highest=version)
    found = only(look(hub), Check.INTERMEDIARY, Level.WARNING)
    assert "asks for no client certificate" in found.what
    assert "017" in found.cure


# The clock


@pytest.mark.parametrize(("ahead", "said"), [(3600, "behind"), (-3600, "ahead of"), (-10, "ahead of")])
def test_a_clock_that_differs_from_the_hubs(start_hub, look, ahead, said):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True).encode()
    found = only(look(start_hub(answering(headers=b"Date: %b\r\n" % date))), Check.HUB_CLOCK, Level.WARNING)
    assert f"s {said} that of localhost" in found.what
    assert abs(int(found.what.split(" clock is ")[1].split()[0]) - abs(ahead)) <= 3
    assert "NTP" in found.cure


def test_a_clock_that_agrees_and_dates_that_say_nothing(start_hub, look):
    date = format_datetime(datetime.now(UTC), usegmt=True).encode()
    findings = look(start_hub(answering(headers=b"Date: %b\r\n" % date)))
    assert (findings[-1].check, findings[-1].level) == (Check.HUB_CLOCK, Level.OK)
    for nonsense in (b"yesterday", b"Mon, 99 Xxx 0000 00:00:00 GMT"):
        findings = look(start_hub(answering(headers=b"Date: %b\r\n" % nonsense)))
        assert [each.check for each in findings] == [Check.ACCEPTED, Check.ADMISSION]


def test_each_check_has_a_name_and_a_question():
    assert len({check.__name__ for check in HUB_CHECKS}) == len(HUB_CHECKS)
    assert all((check.__doc__ or "").rstrip().endswith("?") or "why" in (check.__doc__ or "") for check in HUB_CHECKS)
