"""The handshake with the hub, against a TLS server in a thread."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oicp_adapter.checks import Finding, Level
from oicp_adapter.checks.handshake import handshake_finding
from oicp_adapter.oicp.development_pki import create_development_pki
from oicp_adapter.settings import HubSettings, OperatorSettings


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("foreign"))


def make(folder: Path) -> Path:
    now = datetime.now(UTC)
    create_development_pki(folder, operators=["DE*ABC"], hub_names=("localhost",), valid_for=timedelta(days=9), now=now)
    return folder


def server_context(pki: Path, client_ca: Path | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "hub.pem", pki / "hub.key")
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Hand the first connection to *handle*."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def accept() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                connection.settimeout(10)
                with connection, contextlib.suppress(OSError):
                    handle(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join()


def tls(context: ssl.SSLContext, received: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            came = secured.recv(100)
            if received is not None:
                received.append(came)

    return handle


def shake(pki: Path, port: int, *, host: str = "localhost", ca: Path | None = None) -> Finding:
    hub = HubSettings(
        url=f"https://{host}:{port}/api/oicp", ca_file=ca or pki / "hub-ca.pem", request_timeout=timedelta(seconds=5)
    )
    operator = OperatorSettings(
        id="DE*ABC", certificate=pki / "client-DE-ABC.pem", private_key=pki / "client-DE-ABC.key"
    )
    return handshake_finding(hub, operator, patience=0.3)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_hub_that_accepts_the_certificate_is_ok_and_gets_no_byte_of_a_request(
    pki: Path, version: ssl.TLSVersion
) -> None:
    received: list[bytes] = []
    with serving(tls(server_context(pki, pki / "client-ca.pem", version), received)) as port:
        finding = shake(pki, port)
    assert finding.level is Level.OK
    assert version.name.replace("_", ".") in finding.what
    assert received == [b""]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_client_certificate_is_an_error_in_both_versions(
    pki: Path, foreign: Path, version: ssl.TLSVersion
) -> None:
    with serving(tls(server_context(pki, foreign / "client-ca.pem", version))) as port:
        finding = shake(pki, port)
    assert (finding.level, finding.exit_code) == (Level.ERROR, 78)
    assert "does not know who signed the client certificate" in finding.what
    assert "QA and production" in finding.cure


def test_a_hub_of_an_unknown_authority_is_an_error(pki: Path, foreign: Path) -> None:
    with serving(tls(server_context(pki, None))) as port:
        finding = shake(pki, port, ca=foreign / "hub-ca.pem")
    assert (finding.level, finding.exit_code) == (Level.ERROR, 78)
    assert "does not vouch for" in finding.what
    assert finding.starts
    assert "hub.ca_file" in finding.cure


def test_a_hub_of_another_name_is_an_error(pki: Path) -> None:
    with serving(tls(server_context(pki, None))) as port:
        finding = shake(pki, port, host="127.0.0.1")
    assert (finding.level, finding.exit_code) == (Level.ERROR, 78)
    assert "is for another host" in finding.what


def test_a_server_that_speaks_no_tls_is_an_error(pki: Path) -> None:
    with serving(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        finding = shake(pki, port)
    assert (finding.level, finding.exit_code) == (Level.ERROR, 78)
    assert "does not speak TLS" in finding.what


def test_a_hub_that_hangs_up_after_the_handshake_is_a_warning(pki: Path) -> None:
    def hang_up(connection: socket.socket) -> None:
        with server_context(pki, None).wrap_socket(connection, server_side=True) as secured:
            secured.unwrap()

    with serving(hang_up) as port:
        assert shake(pki, port).level is Level.WARNING


def test_a_connection_cut_in_the_handshake_is_unavailable(pki: Path) -> None:
    with serving(lambda connection: connection.close()) as port:
        finding = shake(pki, port)
    assert (finding.level, finding.exit_code) == (Level.ERROR, 69)


def test_a_closed_port_is_unavailable(pki: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    finding = shake(pki, port)
    assert (finding.level, finding.exit_code) == (Level.ERROR, 69)
    assert "refuses the connection" in finding.what
    assert finding.starts


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64])
def test_a_name_that_cannot_be_looked_up_is_unavailable(pki: Path, host: str) -> None:
    finding = shake(pki, 443, host=host)
    assert (finding.level, finding.exit_code) == (Level.ERROR, 69)
    assert "cannot be looked up" in finding.what


def test_a_certificate_that_does_not_load_is_named(pki: Path, tmp_path: Path) -> None:
    hub = HubSettings(url="https://localhost/api/oicp")
    operator = OperatorSettings(id="DE*ABC", certificate=tmp_path / "x.pem", private_key=pki / "client-DE-ABC.key")
    assert "does not exist" in handshake_finding(hub, operator).what
