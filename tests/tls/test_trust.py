import os
import socket
import ssl
import subprocess
import sys
import warnings
from datetime import timedelta

import pytest

from oicp_adapter.oicp.client_context import load_client_context
from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.sync.answers import Progress, TransportFault

REFUSED = (Progress.NOT_SENT, TransportFault.TLS_HANDSHAKE)


@pytest.fixture
def hub_shows(start_hub, tmp_path):
    def start(issued):
        return start_hub(pair=issued.write(KeyPair(tmp_path / "other.pem", tmp_path / "other.key")))

    return start


def outcome(answer):
    return answer.progress, answer.fault


def nothing_arrived(hub):
    hub.wait()
    return all(not connection.received for connection in hub.connections)


def test_a_hub_with_another_host_name_is_refused(hub_shows, hub_authority, span, connect, push):
    hub = hub_shows(hub_authority.issue_hub(["hub.example"], **span))
    answer = push(connect(hub))
    assert outcome(answer) == REFUSED
    assert "Hostname mismatch" in answer.fault_detail
    assert nothing_arrived(hub)


def test_a_hub_with_a_self_signed_certificate_is_refused(hub_shows, span, connect, push):
    hub = hub_shows(Authority.create("localhost", **span).issued)
    answer = push(connect(hub))
    assert outcome(answer) == REFUSED
    assert nothing_arrived(hub)


def test_a_hub_of_another_authority_is_refused(hub_shows, span, connect, push):
    foreign = Authority.create("Another CA", **span)
    hub = hub_shows(foreign.issue_hub(["localhost"], **span))
    assert outcome(push(connect(hub))) == REFUSED
    assert nothing_arrived(hub)


def test_a_hub_with_an_expired_certificate_is_refused(hub_shows, hub_authority, span, connect, push):
    expired = {"not_before": span["not_before"], "not_after": span["not_before"] + timedelta(seconds=1)}
    hub = hub_shows(hub_authority.issue_hub(["localhost"], **expired))
    answer = push(connect(hub))
    assert outcome(answer) == REFUSED
    assert "expired" in answer.fault_detail


def test_a_client_certificate_is_not_accepted_as_a_hubs(hub_shows, hub_authority, span, connect, push):
    assert outcome(push(connect(hub_shows(hub_authority.issue_client("localhost", **span))))) == REFUSED


def test_tls_1_0_and_1_1_are_refused(pki, start_hub, server_context, connect, push):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what this test is about
        old = server_context(lowest=ssl.TLSVersion.TLSv1, highest=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    hub = start_hub()
    hub._context = old
    assert outcome(push(connect(hub))) == REFUSED
    pair = pki.clients["DE*ABC"]
    context = load_client_context(
        certificate=pair.certificate, private_key=pair.private_key, password=None, ca_file=pki.hub_ca.certificate
    )
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_hub_that_does_not_speak_tls_is_refused(start_hub, connect, push):
    def script(connection):
        connection.plain.recv(100)
        connection.plain.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    assert outcome(push(connect(start_hub(script, tls=False)))) == REFUSED


def test_a_hub_that_ends_the_handshake_is_refused(start_hub, connect, push):
    assert outcome(push(connect(start_hub(lambda connection: None, tls=False)))) == REFUSED


def test_proxies_and_trust_stores_of_the_environment_are_ignored(start_hub, connect, push, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        assert push(connect(start_hub())).http_status == 200
        proxy.setblocking(False)  # noqa: FBT003 - the standard library's signature
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_the_systems_trust_store_is_not_the_environments(start_hub, pki):
    """Without hub.ca_file a hostile SSL_CERT_FILE must not make a private CA trusted; OpenSSL reads it at start."""
    pair = pki.clients["DE*ABC"]
    hub = start_hub()
    code = f"""
import time
from datetime import timedelta
from pathlib import Path
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.client import HubClient, PushRequest
from oicp_adapter.sync.model import Action
identity = ClientIdentity(certificate=Path({str(pair.certificate)!r}), private_key=Path({str(pair.private_key)!r}))
client = HubClient(
    base_url="https://localhost:{hub.port}", identity=identity, request_timeout=timedelta(seconds=5)
)
request = PushRequest(Action.UPDATE, "DE*ABC", "ABC", [], 0)
print(client.push(request, send_before=time.monotonic() + 5).fault)
client.close()
"""
    environment = {**os.environ, "SSL_CERT_FILE": str(pki.hub_ca.certificate), "SSL_CERT_DIR": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "tls_handshake"
