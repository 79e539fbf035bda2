import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from oicp_adapter.domain.errors import CertificateError, ConfigurationError
from oicp_adapter.oicp.development_pki import DevelopmentPki, KeyPair, create_development_pki
from oicp_adapter.simulator.faults import Fault
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer

OPERATOR = "DE*ABC"
OTHER = "+49*810"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentPki:
    return development_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def server(pki: DevelopmentPki) -> Iterator[SimulatorServer]:
    with SimulatorServer(config(pki, history=20)) as running:
        yield running


@pytest.fixture
def client(server: SimulatorServer, pki: DevelopmentPki) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, verify=trusting(pki, OPERATOR), trust_env=False, timeout=5) as opened:
        yield opened


@pytest.fixture
def admin(server: SimulatorServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.admin_url, trust_env=False, timeout=5) as opened:
        yield opened


def development_pki(directory: Path) -> DevelopmentPki:
    return create_development_pki(
        directory, operators=[OPERATOR, OTHER], valid_for=timedelta(days=1), now=datetime.now(UTC)
    )


def config(pki: DevelopmentPki, *, port: int = 0, delay: timedelta = timedelta(), **options: object) -> SimulatorConfig:
    return SimulatorConfig(
        certificate=pki.hub.certificate,
        private_key=pki.hub.private_key,
        client_ca=pki.client_ca.certificate,
        options=HubOptions(**options),
        delay=delay,
        port=port,
    )


def trusting(pki: DevelopmentPki, operator: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki.hub_ca.certificate))
    if operator is not None:
        pair = pki.clients[operator]
        context.load_cert_chain(pair.certificate, pair.private_key)
    return context


def body(action: str, *records: tuple[str, str], operator: str = OPERATOR) -> bytes:
    wire = [{"EvseID": evse_id, "EvseStatus": status} for evse_id, status in records]
    return json.dumps(
        {"ActionType": action, "OperatorEvseStatus": {"OperatorID": operator, "EvseStatusRecord": wire}}
    ).encode()


def push(
    client: httpx.Client, action: str, *records: tuple[str, str], operator: str = OPERATOR, timeout: float = 5.0
) -> httpx.Response:
    return client.post(
        f"/evsepush/v21/operators/{operator}/status-records",
        content=body(action, *records, operator=operator),
        timeout=timeout,
    )


def code(response: httpx.Response) -> str:
    return response.json()["StatusCode"]["Code"]


def inject(server: SimulatorServer, kind: str, **details: object) -> None:
    server.faults.add(Fault.model_validate({"kind": kind, "count": 1, **details}))


def gives_up(client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        push(client, "fullLoad", timeout=0.5)


def eventually(holds: Callable[[], bool], within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def raw_exchange(server: SimulatorServer, context: ssl.SSLContext) -> bytes:
    port = httpx.URL(server.url).port
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"POST /api/oicp/evsepull/v21/providers/DE-EMP/status-records HTTP/1.1\r\n\r\n")
        return secured.recv(1024)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_a_client_without_a_certificate_is_refused(server, pki, version):
    context = trusting(pki, None)
    context.maximum_version = version
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        raw_exchange(server, context)
    assert server.hub.journal.counters["requests"] == 0


def test_a_client_whose_certificate_another_authority_signed_is_refused(server, pki, tmp_path):
    foreign = development_pki(tmp_path)
    context = trusting(pki, None)
    context.load_cert_chain(foreign.clients[OPERATOR].certificate, foreign.clients[OPERATOR].private_key)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert unknown ca"):
        raw_exchange(server, context)


def test_a_push_over_mutual_tls_is_held_and_an_emp_sees_it(server, client):
    answer = push(client, "insert", ("DE*ABC*E1", "Available"))
    assert (answer.status_code, answer.json()["Result"], code(answer)) == (200, True, "000")
    assert len(answer.headers["Process-ID"]) == 36
    assert "Date" in answer.headers
    pulled = client.post("/evsepull/v21/providers/DE-EMP/status-records", json={"ProviderID": "DE-EMP"}).json()
    assert pulled["EvseStatuses"]["OperatorEvseStatus"][0]["EvseStatusRecord"] == [
        {"EvseID": "DE*ABC*E1", "EvseStatus": "Available"}
    ]
    by_id = client.post("/evsepull/v21/providers/DE-EMP/status-records-by-id", json={"EvseID": ["DE*ABC*E2"]}).json()
    assert by_id["EVSEStatusRecords"]["EvseStatusRecord"][0]["EvseStatus"] == "EvseNotFound"
    operators = {"OperatorID": [OPERATOR]}
    by_operator = client.post("/evsepull/v21/providers/DE-EMP/status-records-by-operator-id", json=operators).json()
    assert by_operator["EvseStatuses"] == pulled["EvseStatuses"]


def test_an_operator_that_the_certificate_does_not_name_is_unauthorized(server, client):
    answer = push(client, "insert", ("DEABCE1", "Available"), operator="DEABC")
    assert (answer.status_code, code(answer)) == (401, "017")
    assert "Result" not in answer.json()
    assert server.hub.statuses(OPERATOR) == {}


def test_a_plus_in_the_url_reaches_the_hub_as_a_plus(server, pki):
    with httpx.Client(base_url=server.url, verify=trusting(pki, OTHER), trust_env=False) as client:
        assert code(push(client, "insert", ("+49*810*000*438", "Occupied"), operator=OTHER)) == "000"
    assert server.hub.statuses(OTHER) == {"49810000438": "Occupied"}


def test_without_the_base_every_call_is_not_found(client):
    assert httpx.URL(client.base_url).path == "/api/oicp/"
    url = client.base_url.copy_with(path=f"/evsepush/v21/operators/{OPERATOR}/status-records")
    assert client.post(url, content=body("fullLoad")).status_code == 404
    assert client.get("/evsepull/v21/providers/DE-EMP/status-records").status_code == 404


def test_pushes_one_after_the_other_do_not_overlap(server, client):
    for _ in range(50):
        assert push(client, "fullLoad", ("DE*ABC*E1", "Available")).status_code == 200
    assert server.hub.journal.counters["overlaps"] == 0


def test_two_pushes_at_once_are_named_as_an_overlap(server, client, pki):
    inject(server, "never_applied")
    with capture_logs() as logs, httpx.Client(verify=trusting(pki, OPERATOR), trust_env=False) as second:
        second.base_url = server.url
        hanging = threading.Thread(target=gives_up, args=(client,))
        hanging.start()
        assert eventually(lambda: server.faults.struck(1) == 1)
        assert push(second, "fullLoad").status_code == 200
        hanging.join()
    assert [entry["event"] for entry in logs] == ["hub.overlap"]
    assert logs[0]["operator"] == OPERATOR
    assert [entry.overlap for entry in server.hub.journal.entries] == [True, True]


def test_more_requests_than_the_limit_are_answered_429(server, client, admin):
    admin.put("/settings", json={"rate_limit": 2, "retry_after": "3"})
    answers = [push(client, "fullLoad") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "3"


def test_a_body_above_the_limit_is_answered_413_and_not_performed(server, client, admin):
    admin.put("/settings", json={"max_body": 300})
    records = [(f"DE*ABC*E{number}", "Available") for number in range(10)]
    assert push(client, "insert", *records).status_code == 413
    assert push(client, "insert", records[0]).status_code == 200


def test_a_streamed_full_load_of_many_records_is_held(server, client):
    records = [(f"DE*ABC*E{number}", "Available") for number in range(20_000)]
    whole = body("fullLoad", *records)
    parts = (whole[start : start + 50_000] for start in range(0, len(whole), 50_000))
    answer = client.post(f"/evsepush/v21/operators/{OPERATOR}/status-records", content=parts)
    assert code(answer) == "000"
    assert len(server.hub.statuses(OPERATOR)) == 20_000


def test_a_lost_answer_belongs_to_a_request_that_was_performed(server, client):
    inject(server, "answer_lost")
    with pytest.raises(httpx.RemoteProtocolError):
        push(client, "insert", ("DE*ABC*E1", "Available"))
    assert server.hub.statuses(OPERATOR) == {"DEABCE1": "Available"}
    assert eventually(lambda: server.hub.journal.counters["unanswered"] == 1)
    assert server.hub.journal.entries[0].answered_at is None


def test_a_swallowed_request_is_in_progress_until_the_client_gives_up(server, client):
    inject(server, "never_applied")
    with pytest.raises(httpx.ReadTimeout):
        push(client, "insert", ("DE*ABC*E1", "Available"), timeout=0.1)
    assert eventually(lambda: server.hub.journal.entries[0].given_up_at is not None)
    assert server.hub.statuses(OPERATOR) == {}
    assert push(client, "fullLoad").status_code == 200
    assert server.hub.journal.counters["overlaps"] == 0


def test_a_late_application_lands_without_another_request(server, client):
    inject(server, "late_apply", delay=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        push(client, "insert", ("DE*ABC*E1", "Available"))
    assert server.hub.statuses(OPERATOR) == {}
    assert eventually(lambda: server.hub.statuses(OPERATOR) == {"DEABCE1": "Available"})


def test_a_request_applied_twice_lands_over_what_came_between(server, client):
    inject(server, "double_apply", delay=0.2)
    push(client, "fullLoad", ("DE*ABC*E1", "Available"))
    push(client, "update", ("DE*ABC*E1", "Occupied"))
    assert eventually(lambda: [change.status for change in server.hub.history("DE*ABC*E1")][2:] == ["Available"])


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"kind": "http_status", "http_status": 504}, (504, True)),
        ({"kind": "http_status", "http_status": 408, "applied": "never"}, (408, False)),
        ({"kind": "status_code", "code": "009", "applied": "partly"}, (200, True)),
        ({"kind": "status_code", "code": "021"}, (200, False)),
        ({"kind": "html"}, (200, True)),
        ({"kind": "empty"}, (200, True)),
        ({"kind": "truncated"}, (200, True)),
        ({"kind": "contradictory"}, (200, True)),
        ({"kind": "rate_limited", "retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, (429, False)),
        ({"kind": "refuse_everything"}, (200, False)),
        ({"kind": "unauthorized"}, (401, False)),
        ({"kind": "html_403"}, (403, False)),
        ({"kind": "not_found_300"}, (404, False)),
        ({"kind": "poison", "evse_id": "DEABCE1"}, (400, False)),
        ({"kind": "forget", "applied": "never"}, (200, False)),
        ({"kind": "overwrite", "evse_id": "DEABCE1", "status": "Unknown"}, (200, True)),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else str(value[0]),
)
def test_a_fault_answers_and_applies_as_injected(server, client, admin, details, expected):
    assert admin.post("/faults", json=details).status_code == 201
    answer = push(client, "insert", ("DE*ABC*E1", "Available"))
    assert (answer.status_code, bool(server.hub.statuses(OPERATOR))) == expected
    assert answer.headers["Process-ID"]
    assert server.hub.journal.entries[0].fault == details["kind"]


def test_a_delayed_answer_comes_after_what_was_done(server, client):
    inject(server, "delay", delay=0.1)
    began = time.monotonic()
    answered = threading.Thread(target=push, args=(client, "insert", ("DE*ABC*E1", "Available")))
    answered.start()
    assert eventually(lambda: server.hub.statuses(OPERATOR) != {})
    assert answered.is_alive()
    answered.join()
    assert time.monotonic() - began >= 0.1


def test_an_answer_cut_in_its_body_announced_more(server, client):
    inject(server, "cut_mid_body")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        push(client, "insert", ("DE*ABC*E1", "Available"))
    assert server.hub.statuses(OPERATOR) != {}


def test_an_enormous_answer_goes_on_until_the_client_hangs_up(server, client):
    inject(server, "enormous", size=200_000_000)
    url = f"/evsepush/v21/operators/{OPERATOR}/status-records"
    with client.stream("POST", url, content=body("fullLoad")) as answer:
        assert answer.headers["Content-Length"] == "200000000"
        assert len(next(answer.iter_raw(65536))) == 65536
    assert push(client, "fullLoad").status_code == 200


def test_a_gzip_bomb_is_small_on_the_wire(server, client):
    inject(server, "gzip_bomb", size=5_000_000)
    url = f"/evsepush/v21/operators/{OPERATOR}/status-records"
    with client.stream("POST", url, content=body("fullLoad")) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(b"".join(answer.iter_raw())) < 20_000


def test_a_dripping_answer_takes_longer_than_any_client_waits(server, client):
    inject(server, "drip", delay=0.002)
    assert code(push(client, "fullLoad")) == "000"
    inject(server, "drip", delay=60)
    with pytest.raises(httpx.ReadTimeout):
        push(client, "fullLoad", timeout=0.1)


def test_an_idle_connection_may_be_closed_under_the_client(server, client, pki):
    inject(server, "close_idle", delay=0.01)
    port = httpx.URL(server.url).port
    whole = body("fullLoad")
    path = f"/api/oicp/evsepush/v21/operators/{OPERATOR}/status-records"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(whole)}\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        trusting(pki, OPERATOR).wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(head.encode() + whole)
        received = b"".join(iter(lambda: secured.recv(4096), b""))
    assert received.startswith(b"HTTP/1.1 200")
    assert server.hub.journal.counters["answer:200/000"] == 1


def test_a_fault_that_is_over_leaves_the_hub_as_it_was(server, client, admin):
    admin.post("/faults", json=[{"kind": "html", "count": 1}, {"kind": "empty", "count": 1}])
    assert [len(push(client, "fullLoad").content) > 100 for _ in range(3)] == [False, False, True]
    assert [fault["struck"] for fault in admin.get("/faults").json()["faults"]] == [1, 1]


def test_faults_are_removed_one_by_one_or_all(admin):
    ids = admin.post("/faults", json=[{"kind": "html"}, {"kind": "empty"}]).json()["ids"]
    assert admin.delete(f"/faults/{ids[0]}").json() == {"removed": True}
    assert admin.delete(f"/faults/{ids[0]}").status_code == 404
    assert [fault["kind"] for fault in admin.get("/faults").json()["faults"]] == ["empty"]
    admin.delete("/faults")
    assert admin.get("/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("POST", "/faults", {"kind": "no_such"}),
        ("POST", "/state", {"operator": OPERATOR, "status": "Available"}),
        ("PUT", "/settings", {"strickt": True}),
        ("GET", "/journal?since=x", None),
        ("GET", "/journal?limit=-1", None),
    ],
)
def test_what_the_admin_endpoint_cannot_understand_is_answered_422(admin, method, path, document):
    assert admin.request(method, path, json=document).status_code == 422


def test_the_state_is_shown_overwritten_and_forgotten(server, client, admin):
    push(client, "insert", ("DE*ABC*E1", "Available"), ("DE*ABC*E2", "Available"))
    admin.post("/state", json={"operator": OPERATOR, "evse_id": "DEABCE1", "status": "Unknown"})
    shown = admin.get("/state", params={"operator": OPERATOR}).json()["operators"][OPERATOR]
    assert [(one["evse_id"], one["status"]) for one in shown] == [("DEABCE1", "Unknown"), ("DE*ABC*E2", "Available")]
    admin.post("/state", json={"operator": OPERATOR, "evse_id": "DE*ABC*E1"})
    assert server.hub.statuses(OPERATOR) == {"DEABCE2": "Available"}
    admin.post("/state", json={"operator": OPERATOR})
    assert admin.get("/state").json() == {"operators": {OPERATOR: []}}


def test_settings_change_the_running_hub_and_a_reset_takes_all_of_it_back(server, client, admin):
    held = admin.put("/settings", json={"strict": False, "delay": 0.01, "explain_refusals": True}).json()
    assert (held["strict"], held["delay"], held["rate_limit"]) == (False, 0.01, 2000)
    assert code(push(client, "update", ("DE*ABC*E1", "Available"))) == "000"
    admin.post("/faults", json={"kind": "html"})
    admin.post("/reset")
    assert admin.get("/settings").json()["strict"] is True
    assert admin.get("/journal").json() == {"counters": {}, "peak_per_minute": {}, "overlaps": [], "requests": []}
    assert code(push(client, "update", ("DE*ABC*E1", "Available"))) == "022"


def test_the_journal_is_read_from_where_one_left_off(client, admin):
    for _ in range(3):
        push(client, "fullLoad")
    requests = admin.get("/journal", params={"since": 1, "limit": 1}).json()["requests"]
    assert [entry["number"] for entry in requests] == [3]
    assert requests[0]["code"] == "000"
    assert requests[0]["received_at"] <= requests[0]["answered_at"]
    assert admin.get("/healthz").json() == {"status": "ok"}


def test_a_fixed_latency_holds_the_answer_back_not_the_application(pki):
    with (
        SimulatorServer(config(pki, delay=timedelta(seconds=0.05))) as server,
        httpx.Client(base_url=server.url, verify=trusting(pki, OPERATOR), trust_env=False) as client,
    ):
        push(client, "fullLoad")
        entry = server.hub.journal.entries[0]
        assert entry.answered_at is not None
        assert entry.answered_at - entry.applied_at[0] >= timedelta(seconds=0.045)


def test_a_server_stops_at_once_although_a_request_hangs(server, client):
    inject(server, "never_applied")
    failures: list[type[Exception]] = []

    def hang() -> None:
        try:
            push(client, "fullLoad")
        except httpx.TransportError as exc:
            failures.append(type(exc))

    hanging = threading.Thread(target=hang)
    hanging.start()
    assert eventually(lambda: server.faults.struck(1) == 1)
    began = time.monotonic()
    server.stop()
    server.stop()
    hanging.join()
    assert time.monotonic() - began < 1
    assert failures == [httpx.RemoteProtocolError]


@pytest.mark.parametrize("which", ["port", "admin_port"])
def test_a_port_that_is_taken_is_named_and_the_other_is_given_back(pki, which):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            SimulatorServer(replace(config(pki), **{which: port})).start()


def test_a_certificate_of_the_hub_that_does_not_load_is_named(pki, tmp_path):
    broken = tmp_path / "hub.pem"
    broken.write_text("no certificate")
    wrong = DevelopmentPki(pki.hub_ca, KeyPair(broken, pki.hub.private_key), pki.client_ca, pki.clients)
    with pytest.raises(CertificateError, match=r"hub\.pem"):
        SimulatorServer(config(wrong)).start()
