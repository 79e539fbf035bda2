"""The fault proxy does to connections exactly what it is told."""

import contextlib
import socket
import threading
import time

import pytest

from reliability.real.process import eventually
from reliability.real.proxy import FaultProxy, Then, Trap, Way

PATIENCE = 10


def record(size, filler=b"x"):
    """Return one record of TLS as far as the proxy looks at it."""
    return b"\x17\x03\x03" + size.to_bytes(2) + filler * size


@pytest.fixture
def echo():
    """A server that sends everything back; what it has received is kept."""
    received = bytearray()

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                received.extend(data)
                connection.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname(), received
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo):
    with FaultProxy(echo[0]) as made:
        yield made


@pytest.fixture
def connect(proxy):
    with contextlib.ExitStack() as opened:

        def make():
            client = opened.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client

        yield make


def exactly(client, size):
    came = b""
    while len(came) < size and (more := client.recv(size - len(came))):
        came += more
    return came


def test_without_a_trap_everything_passes(connect):
    client = connect()
    client.sendall(b"hello")
    assert exactly(client, 5) == b"hello"


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_so_many_records_and_bytes_pass_and_not_one_more(proxy, connect, echo, chunk):
    client = connect()
    trap = proxy.arm(Trap(Way.UP, Then.HOLD, records=2, size=4))
    sent = record(10) + record(7) + record(20)
    for at in range(0, len(sent), chunk):
        client.sendall(sent[at : at + chunk])
    trap.wait(PATIENCE)
    passing = 5 + 10 + 5 + 7 + 4
    assert exactly(client, passing) == sent[:passing]
    assert bytes(echo[1]) == sent[:passing]
    trap.release()
    assert exactly(client, len(sent) - passing) == sent[passing:]


def test_a_trap_counts_from_its_arming_and_springs_once(proxy, connect):
    client = connect()
    client.sendall(record(5))
    exactly(client, 10)
    proxy.arm(Trap(Way.UP, Then.CUT, records=1)).connection = None
    client.sendall(record(5) + record(6))
    with contextlib.suppress(ConnectionResetError):
        assert len(exactly(client, 21)) <= 10
    again = connect()
    again.sendall(record(5) + record(6))
    assert len(exactly(again, 21)) == 21


def test_a_reset_is_a_reset_and_a_cut_an_orderly_end(proxy, connect):
    client = connect()
    proxy.arm(Trap(Way.UP, Then.RESET))
    client.sendall(b"hello")
    with pytest.raises(ConnectionResetError):
        client.recv(5)
    client = connect()
    proxy.arm(Trap(Way.DOWN, Then.CUT, size=2))
    client.sendall(b"hello")
    assert exactly(client, 5) == b"he"


def test_a_text_is_held_back_or_its_answer_is(proxy, connect, echo):
    for passes in (False, True):
        client = connect()
        stops = (Way.DOWN,) if passes else ()
        trap = proxy.arm(Trap(Way.UP, Then.HOLD, texts=(b"INSERT", b"COMMIT"), passes_text=passes, stops=stops))
        client.sendall(b"COMMIT INSERT")
        assert exactly(client, 13) == b"COMMIT INSERT"
        echo[1].clear()
        client.sendall(b"COMMIT")
        trap.wait(PATIENCE)
        eventually(lambda passes=passes: bytes(echo[1]) == (b"COMMIT" if passes else b""), within=PATIENCE)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(6)
        trap.release()
        client.settimeout(PATIENCE)
        assert exactly(client, 6) == b"COMMIT"


@pytest.mark.parametrize("floats", [False, True])
def test_what_is_held_dies_with_its_sender_unless_it_floats(proxy, connect, echo, floats):
    client = connect()
    trap = proxy.arm(Trap(Way.UP, Then.HOLD, floats=floats))
    client.sendall(b"hello")
    trap.wait(PATIENCE)
    client.close()
    if not floats:
        eventually(lambda: not trap.connection.open, within=PATIENCE)
    trap.release()
    if floats:
        eventually(lambda: bytes(echo[1]) == b"hello", within=PATIENCE)
    assert bytes(echo[1]) == (b"hello" if floats else b"")


def test_a_fresh_trap_leaves_old_connections_alone(proxy, connect):
    old = connect()
    eventually(proxy.live, within=PATIENCE)
    proxy.arm(Trap(Way.UP, Then.CUT, fresh=True))
    old.sendall(b"hello")
    assert exactly(old, 5) == b"hello"
    new = connect()
    new.sendall(b"hello")
    with contextlib.suppress(ConnectionResetError):
        assert exactly(new, 5) == b""


def test_it_refuses_and_stalls_and_listens_again(proxy, connect):
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect()
    proxy.stall()
    with socket.socket() as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", proxy.port))
    proxy.listen()
    client = connect()
    client.sendall(b"hello")
    assert exactly(client, 5) == b"hello"


def test_a_pace_is_kept(proxy, connect):
    proxy.pace[Way.DOWN] = (1, 0.02)
    client = connect()
    began = time.monotonic()
    client.sendall(b"0123456789")
    assert exactly(client, 10) == b"0123456789"
    assert time.monotonic() - began >= 9 * 0.02
