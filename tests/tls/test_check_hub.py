"""What `check` finds on the way to the hub, against hubs that misbehave so, over real TLS."""

import contextlib
import shutil
import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oicp_adapter.checks import Check, Level, run_checks
from oicp_adapter.checks.hub import HUB_CHECKS, hub_findings
from oicp_adapter.checks.tls_messages import listen
from oicp_adapter.checks.visit import visit_hub
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.oicp.certificates import system_authorities
from oicp_adapter.oicp.development_pki import Authority, Issued, KeyPair
from oicp_adapter.settings import HubSettings, OperatorSettings, Settings, StoreSettings
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
OURS = object()
PAGE = b"<html><body><h1>Go away</h1></body></html>"


def oicp(code):
    return b'{"StatusCode":{"Code":"%b","Description":"x","AdditionalInfo":null}}' % code


def answering(status=b"404 Not Found", body=PAGE, headers=b""):
    def script(connection):
        connection.read_request()
        connection.answer(body, status=status, headers=headers)

    return script


@pytest.fixture
def operator(pki):
    pair = pki.clients["DE*ABC"]
    return OperatorSettings(id="DE*ABC", certificate=pair.certificate, private_key=pair.private_key)


@pytest.fixture
def look(pki, operator):
    """Visit a hub, or a port, and return what is found."""

    def run(hub, *, host="localhost", ca=OURS, timeout=5.0, environ=None, shown=None, acknowledged_at=None):
        port = hub if isinstance(hub, int) else hub.port
        ca_file = pki.hub_ca.certificate if ca is OURS else ca
        settings = HubSettings(
            url=f"https://{host}:{port}/api/oicp", ca_file=ca_file, request_timeout=timedelta(seconds=timeout)
        )
        changed = {} if shown is None else {"certificate": shown.certificate, "private_key": shown.private_key}
        visit = visit_hub(
            settings,
            operator.model_copy(update=changed),
            environ=environ or {},
            acknowledged_at=acknowledged_at,
            patience=0.05,
        )
        return list(hub_findings(visit))

    return run


def bad(findings):
    return [each for each in findings if each.level is not Level.OK]


def only(findings, check, level=Level.ERROR, exit_code=78):
    """Return the one finding that is not good; the daemon starts in spite of it."""
    (found,) = bad(findings)
    assert (found.check, found.level, found.exit_code) == (check, level, exit_code), found
    assert found.cure
    assert found.starts or level is Level.WARNING
    return found


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


def test_a_refused_connection(look):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    found = only(look(port), Check.CONNECTION, exit_code=69)
    assert "refuses the connection" in found.what
    assert "127.0.0.1" in found.what


def test_a_firewall_that_drops_what_is_sent(look):
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)  # a full queue: the kernel drops each further SYN
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                filling.connect(silent.getsockname())
        found = only(look(silent.getsockname()[1], host="127.0.0.1", timeout=1), Check.CONNECTION, exit_code=69)
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


# The hub's certificate


def signed(subject, issuer, span, *, ca=False, usage=ExtendedKeyUsageOID.SERVER_AUTH):
    """Sign a certificate for localhost, or an authority; return it with its key."""
    own = ec.generate_private_key(ec.SECP256R1())
    name = subject if isinstance(subject, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder(name_of(issuer) or name, name, own.public_key(), x509.random_serial_number())
        .not_valid_before(span["not_before"])
        .not_valid_after(span["not_after"])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Issued(builder.sign(own if issuer is None else issuer.private_key, hashes.SHA256()), own)


def name_of(issuer):
    return issuer.certificate.subject if issuer is not None else None


@pytest.fixture
def hub_shows(start_hub, tmp_path):
    def start(issued, *chain):
        whole = Issued(
            issued.certificate, issued.private_key, tuple(each.certificate for each in chain) or issued.chain
        )
        return start_hub(answering(), pair=whole.write(KeyPair(tmp_path / "hub.pem", tmp_path / "hub.key")))

    return start


@pytest.fixture
def three(span):
    """A root, an intermediate, and a hub's certificate of the latter."""
    root = signed("Root", None, span, ca=True)
    middle = signed("Middle", root, span, ca=True)
    return root, middle, signed("hub", middle, span)


def pem_of(path, *issued):
    return (
        Issued(issued[0].certificate, issued[0].private_key, tuple(each.certificate for each in issued[1:]))
        .write(KeyPair(path, path.with_suffix(".key")))
        .certificate
    )


def test_a_private_authority_that_the_system_does_not_know_is_cured_by_ca_file(start_hub, look):
    found = only(look(start_hub(answering()), ca=None), Check.HUB_CERTIFICATE)
    assert "OICP adapter development hub CA" in found.what
    assert "not in the system's trust store" in found.what
    assert "name its file as hub.ca_file" in found.cure


def test_another_authority_than_that_of_ca_file(start_hub, look, span, tmp_path):
    other = Authority.create("Another CA", **span).issued.write(KeyPair(tmp_path / "ca.pem", tmp_path / "ca.key"))
    found = only(look(start_hub(answering()), ca=other.certificate), Check.HUB_CERTIFICATE)
    assert f"not in hub.ca_file {other.certificate}" in found.what
    assert "beside what is there" in found.cure


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_intermediate(hub_shows, look, three, tmp_path, version):
    root, middle, leaf = three
    ca = pem_of(tmp_path / "root.pem", root)
    found = only(look(hub_shows(leaf), ca=ca), Check.HUB_CERTIFICATE)
    assert "shows its own certificate alone, and CN=Middle" in found.what
    assert "intermediate" in found.cure
    assert bad(look(hub_shows(leaf, middle), ca=ca)) == []
    assert bad(look(hub_shows(leaf), ca=pem_of(tmp_path / "both.pem", root, middle))) == []


@pytest.mark.skipif(not system_authorities(), reason="this system has no trust store")
def test_a_ca_file_that_shuts_out_what_the_system_would_trust(hub_shows, look, span):
    known = next(iter(sorted(system_authorities(), key=lambda name: name.rfc4514_string())))
    root = signed(known, None, span, ca=True)
    leaf = signed("hub", root, span)
    found = only(look(hub_shows(leaf)), Check.HUB_CERTIFICATE)
    assert "but the system's trust store does" in found.what
    assert "take hub.ca_file out" in found.cure


def test_a_hub_of_another_name_is_told_with_the_names_that_it_has(hub_shows, look, hub_authority, span):
    found = only(look(hub_shows(hub_authority.issue_hub(["hub.example", "192.0.2.1"], **span))), Check.HUB_CERTIFICATE)
    assert "for another host, it is for hub.example, 192.0.2.1" in found.what


def test_an_expired_certificate_of_the_hub(hub_shows, look, hub_authority, span):
    end = span["not_before"] + timedelta(seconds=1)
    found = only(
        look(hub_shows(hub_authority.issue_hub(["localhost"], **span | {"not_after": end}))), Check.HUB_CERTIFICATE
    )
    assert f"has expired (since {end:%Y-%m-%d %H:%M} UTC)" in found.what
    assert "clock" in found.cure


def test_a_certificate_of_the_hub_that_does_not_hold_yet(hub_shows, look, hub_authority, span):
    begin = span["not_after"] - timedelta(hours=1)
    found = only(
        look(hub_shows(hub_authority.issue_hub(["localhost"], **span | {"not_before": begin}))), Check.HUB_CERTIFICATE
    )
    assert "does not hold yet (before" in found.what


def test_an_expired_intermediate_is_named(hub_shows, look, span, tmp_path):
    root = signed("Root", None, span, ca=True)
    end = span["not_before"] + timedelta(seconds=1)
    middle = signed("Middle", root, span | {"not_after": end}, ca=True)
    leaf = signed("hub", middle, span)
    found = only(look(hub_shows(leaf, middle), ca=pem_of(tmp_path / "root.pem", root)), Check.HUB_CERTIFICATE)
    assert "an authority, CN=Middle, that has expired" in found.what


def test_a_self_signed_hub(hub_shows, look, span):
    found = only(look(hub_shows(signed("hub", None, span))), Check.HUB_CERTIFICATE)
    assert "self-signed" in found.what


def test_a_certificate_that_is_not_made_for_servers(hub_shows, look, hub_authority, span):
    hub = hub_authority.issued
    leaf = signed("hub", hub, span, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    assert "not made for servers" in only(look(hub_shows(leaf)), Check.HUB_CERTIFICATE).what


@pytest.mark.parametrize("version", VERSIONS)
def test_the_chain_of_a_hub_is_heard_as_it_was_sent(start_hub, pki, three, tmp_path, version):
    root, middle, leaf = three
    pair = KeyPair(tmp_path / "hub.pem", tmp_path / "hub.key")
    Issued(leaf.certificate, leaf.private_key, (middle.certificate,)).write(pair)
    hub = start_hub(answering(), pair=pair, lowest=version, highest=version)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    heard = listen(context)
    with socket.create_connection(("127.0.0.1", hub.port)) as plain, contextlib.suppress(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")
    assert heard.listens
    assert heard.chain == [leaf.certificate, middle.certificate]
    assert root.certificate not in heard.chain


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


# What is answered


def test_an_address_that_the_front_proxy_does_not_let_through(start_hub, look):
    found = only(look(start_hub(answering(b"403 Forbidden"))), Check.ADMISSION, exit_code=69)
    assert "address is not let through (HTTP 403" in found.what
    assert "ask Hubject to let in" in found.cure


def test_a_403_is_no_error_where_the_hub_has_just_acknowledged_a_push(start_hub, look):
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    found = only(look(start_hub(answering(b"403 Forbidden")), acknowledged_at=at), Check.ADMISSION, Level.WARNING)
    assert "acknowledged a push at 2026-03-29 01:00 UTC" in found.what


def test_the_books_say_whether_the_hub_has_just_acknowledged_a_push(start_hub, pki, operator, migrated_file, tmp_path):
    hub = start_hub(answering(b"403 Forbidden"))
    shutil.copy(migrated_file, tmp_path / "store.db")
    settings = Settings(
        operators=(operator,),
        hub=HubSettings(url=f"https://localhost:{hub.port}/api/oicp", ca_file=pki.hub_ca.certificate),
        store=StoreSettings(url=f"sqlite:///{tmp_path}/store.db"),
    )
    with open_store(settings.store.url) as store:
        lane = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
        with closing(lane), lane.transaction():
            pass
        levels = []
        for ago in (timedelta(hours=25), timedelta(hours=23)):
            instant = (datetime.now(UTC) - ago).strftime("%Y-%m-%d %H:%M:%S")
            with store.writing() as connection:
                connection.exec_driver_sql("UPDATE oicp_lane SET last_success_at = ?", (instant,))
            findings = run_checks(settings, online=True, fleet=False, environ={})
            levels += [each.level for each in findings if each.check is Check.ADMISSION]
    assert levels == [Level.ERROR, Level.WARNING]


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        (b"401 Unauthorized", b"017", "the OperatorID of the certificate"),
        (b"403 Forbidden", b"210", "contract"),
        (b"404 Not Found", b"300", "correct operators.id"),
    ],
)
def test_a_refusal_of_the_hub_itself_is_told_from_one_of_the_front_proxy(start_hub, look, status, code, cure):
    found = only(look(start_hub(answering(status, oicp(code)))), Check.ADMISSION)
    assert f"refuses the account with {code.decode()}" in found.what
    assert cure in found.cure


@pytest.mark.parametrize(
    ("status", "headers", "level", "said"),
    [
        (b"407 Proxy Authentication Required", b"", Level.ERROR, "login of a proxy"),
        (b"302 Found", b"Location: https://portal.example/login\r\n", Level.WARNING, "on to portal.example"),
        (b"429 Too Many Requests", b"", Level.WARNING, "too many requests"),
        (b"503 Service Unavailable", b"", Level.WARNING, "in trouble"),
    ],
)
def test_other_answers_that_are_not_the_hubs(start_hub, look, *, status, headers, level, said):
    assert said in only(look(start_hub(answering(status, headers=headers))), Check.ADMISSION, level).what


def test_a_page_that_only_speaks_of_certificates_refuses_none(start_hub, look):
    assert bad(look(start_hub(answering(b"200 OK", b"Get your SSL certificate here")))) == []


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request", b"403 Forbidden", b"404 Not Found", b"405 No"])
def test_any_other_answer_lets_the_address_through(start_hub, look, status):
    body = oicp(b"022") if status.startswith(b"403") else PAGE
    assert bad(look(start_hub(answering(status, body)))) == []


def test_an_answer_in_pieces_is_read_whole(start_hub, look):
    def script(connection):
        connection.read_request()
        connection.tls.sendall(b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n")
        for half in (oicp(b"017")[:9], oicp(b"017")[9:], b""):
            connection.tls.sendall(b"%x\r\n%b\r\n" % (len(half), half))
        connection.ended.wait(0.5)

    assert "017" in only(look(start_hub(script)), Check.ADMISSION).what


def test_an_answer_that_does_not_come(start_hub, look):
    hub = start_hub(lambda connection: connection.read_request() and connection.ended.wait(1.2))
    findings = look(hub, timeout=1)
    assert "takes a GET and does not answer" in only(findings, Check.ADMISSION, exit_code=69).what
    assert findings[0].check is Check.ACCEPTED


def test_a_dripping_answer_ends_with_the_time(start_hub, look):
    def script(connection):
        connection.read_request()
        for _ in range(100):
            connection.tls.sendall(b"H")
            connection.ended.wait(0.05)

    only(look(start_hub(script), timeout=1), Check.ADMISSION)


def test_something_else_than_http_over_tls(start_hub, look):
    def script(connection):
        connection.read_request()
        connection.tls.sendall(b"220 smtp.example ESMTP\r\n")

    assert "does not speak HTTP" in only(look(start_hub(script)), Check.ADMISSION).what


def test_a_connection_that_is_reset_instead_of_an_answer(start_hub, look):
    def script(connection):
        connection.read_request()
        connection.reset()

    found = only(look(start_hub(script)), Check.ACCEPTED, Level.WARNING)
    assert "instead of answering a GET" in found.what


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
