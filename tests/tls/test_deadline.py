import socket
import threading
import time

import pytest

from oicp_adapter.oicp.client import boottime
from oicp_adapter.sync.answers import Progress, TransportFault
from oicp_adapter.sync.model import Action


def outcome(answer):
    return answer.progress, answer.fault


def drip(connection, content):
    for byte in content:
        connection.tls.sendall(bytes([byte]))
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("at_once", "dripped"),
    [
        (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\nX-Filler: " + b"x" * 999),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x" * 999),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    ],
    ids=["head", "body", "chunks", "interim answers"],
)
def test_a_hub_that_drips_its_answer_ends_at_the_deadline(start_hub, connect, push, at_once, dripped):
    def script(connection):
        connection.read_request()
        connection.tls.sendall(at_once)
        drip(connection, dripped)

    started = boottime()
    answer = push(connect(start_hub(script), timeout=0.5))
    assert outcome(answer) == (Progress.SENT, TransportFault.TIMEOUT)
    assert 0.4 < boottime() - started < 2
    assert 0.4 < answer.duration.total_seconds() < 2


def test_a_hub_that_never_answers_ends_at_the_deadline(start_hub, connect, push):
    hub = start_hub(lambda connection: hub.closing.wait(10))
    assert outcome(push(connect(hub, timeout=0.3))) == (Progress.SENT, TransportFault.TIMEOUT)


def test_a_hub_that_takes_nothing_ends_at_the_deadline_with_the_body_partly_sent(start_hub, connect, push):
    hub = start_hub(lambda connection: hub.closing.wait(10))
    answer = push(connect(hub, timeout=0.5), Action.FULL_LOAD, records=200_000)
    assert outcome(answer) == (Progress.PARTLY_SENT, TransportFault.TIMEOUT)


def test_a_black_hole_after_the_connection_ends_at_the_deadline(start_hub, connect, push):
    hub = start_hub(lambda connection: hub.closing.wait(10), tls=False)
    assert outcome(push(connect(hub, timeout=0.3))) == (Progress.NOT_SENT, TransportFault.TIMEOUT)


def test_a_handshake_that_drips_ends_at_the_deadline(start_hub, connect, push):
    def script(connection):
        connection.plain.recv(10)
        while True:
            connection.plain.sendall(b"\x16\x03\x03\x3f\xff" if not connection.received else b"\x02")
            connection.received += b"."
            time.sleep(0.05)

    assert outcome(push(connect(start_hub(script, tls=False), timeout=0.4))) == (
        Progress.NOT_SENT,
        TransportFault.TIMEOUT,
    )


def test_a_refused_connection_was_not_sent(start_hub, connect, push):
    hub = start_hub()
    hub.close()
    assert outcome(push(connect(hub))) == (Progress.NOT_SENT, TransportFault.CONNECT)


def test_a_name_that_does_not_resolve_was_not_sent(start_hub, connect, push, monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = push(connect(start_hub()))
    assert outcome(answer) == (Progress.NOT_SENT, TransportFault.CONNECT)
    assert "Name or service not known" in answer.fault_detail


@pytest.fixture
def hanging_lookup(monkeypatch):
    released = threading.Event()
    asked = []

    def hang(*args, **options):
        asked.append(args)
        released.wait(10)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield asked
    released.set()


def test_a_look_up_that_hangs_ends_at_the_deadline_and_is_not_started_twice(start_hub, connect, push, hanging_lookup):
    client = connect(start_hub(), timeout=0.2)
    for _ in range(2):
        assert outcome(push(client)) == (Progress.NOT_SENT, TransportFault.CONNECT)
    assert len(hanging_lookup) == 1


def test_a_dead_first_address_leaves_time_for_the_second(start_hub, connect, push, monkeypatch):
    """A listener whose queue is full drops what comes, as an address does that nobody answers at."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as dead:
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 - the standard library's signature
            filler.connect_ex(dead.getsockname())
            fillers.append(filler)
        hub = start_hub()
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
            for port in (dead.getsockname()[1], hub.port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
        assert push(connect(hub, timeout=1.0)).http_status == 200
        for filler in fillers:
            filler.close()


def test_the_wait_for_a_connection_ends_when_the_first_byte_would_be_too_late(start_hub, connect, push):
    hub = start_hub(lambda connection: hub.closing.wait(10), tls=False)
    started = boottime()
    answer = push(connect(hub, timeout=10.0), within=0.2)
    assert answer.progress is Progress.NOT_SENT
    assert boottime() - started < 2


def push_and_abort(client, push, *, ready, **options):
    """Push in another thread, abort once *ready*, and return the answer and how long it took to end."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(push(client, **options)))
    thread.start()
    until = boottime() + 60
    while not ready(client._line._exchange):
        assert boottime() < until
        time.sleep(0.01)
    aborted = boottime()
    client.abort()
    thread.join(5)
    assert not thread.is_alive()
    return answers[0], boottime() - aborted


def has_sent(progress):
    return lambda exchange: exchange is not None and exchange.progress is progress


@pytest.mark.parametrize("tls", [True, False])
def test_an_abort_ends_the_exchange_at_once(start_hub, connect, push, tls):
    hub = start_hub(lambda connection: hub.closing.wait(10), tls=tls)
    ready = has_sent(Progress.SENT) if tls else lambda _: hub.connections
    answer, took = push_and_abort(connect(hub, timeout=10.0), push, ready=ready)
    assert outcome(answer) == (Progress.SENT if tls else Progress.NOT_SENT, TransportFault.CUT)
    assert took < 1


def test_an_abort_ends_a_look_up_too(start_hub, connect, push, hanging_lookup):
    client = connect(start_hub(), timeout=10.0)
    answer, took = push_and_abort(client, push, ready=lambda _: hanging_lookup)
    assert outcome(answer) == (Progress.NOT_SENT, TransportFault.CUT)
    assert took < 1


def test_an_abort_ends_a_request_that_the_hub_does_not_take(start_hub, connect, push):
    hub = start_hub(lambda connection: hub.closing.wait(10))
    answer, took = push_and_abort(
        connect(hub, timeout=10.0),
        push,
        ready=has_sent(Progress.PARTLY_SENT),
        action=Action.FULL_LOAD,
        records=200_000,
    )
    assert outcome(answer) == (Progress.PARTLY_SENT, TransportFault.CUT)
    assert took < 1


def test_after_an_abort_the_next_push_goes_through(start_hub, connect, push):
    waits = [True]

    def script(connection):
        while True:
            connection.read_request()
            if waits:
                waits.clear()
                hub.closing.wait(10)
            connection.answer()

    hub = start_hub(script)
    client = connect(hub, timeout=10.0)
    push_and_abort(client, push, ready=has_sent(Progress.SENT))
    client.abort()
    assert push(client).http_status == 200
