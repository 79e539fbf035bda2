import gzip
import threading

import pytest

from oicp_adapter.sync.answers import Effect, Progress, TransportFault
from oicp_adapter.sync.classify import classify


def outcome(answer):
    return answer.progress, answer.fault


@pytest.fixture
def hub_that(start_hub):
    """Reads a request and then does what it is told, once; every later request is answered well."""

    def start(act):
        def script(connection):
            connection.read_request()
            if len(hub.connections) == 1 and len(connection.requests) == 1:
                act(connection)
            else:
                connection.answer()
            while True:
                connection.read_request()
                connection.answer()

        hub = start_hub(script)
        return hub

    return start


def end(connection):
    raise EOFError


def test_a_cut_after_the_request_is_in_doubt(hub_that, connect, push):
    answer = push(connect(hub_that(end)))
    assert outcome(answer) == (Progress.SENT, TransportFault.CUT)
    assert classify(answer, 1).effect is Effect.UNKNOWN


def test_a_reset_after_the_request_is_in_doubt(hub_that, connect, push):
    answer = push(connect(hub_that(lambda connection: connection.reset())))
    assert outcome(answer) == (Progress.SENT, TransportFault.CUT)


def test_a_cut_in_the_middle_of_the_answer_is_in_doubt(hub_that, connect, push):
    def act(connection):
        connection.tls.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"Result":tr')
        raise EOFError

    client = connect(hub_that(act))
    answer = push(client)
    assert outcome(answer) == (Progress.SENT, TransportFault.CUT)
    assert (answer.http_status, answer.body) == (200, b'{"Result":tr')
    assert push(client).http_status == 200


def test_a_cut_in_the_middle_of_the_request_has_changed_nothing(start_hub, connect, push):
    def script(connection):
        connection.read_head()
        connection.reset()

    answer = push(connect(start_hub(script)), records=200_000)
    assert outcome(answer) == (Progress.PARTLY_SENT, TransportFault.CUT)
    assert classify(answer, 200_000).effect is Effect.NOT_APPLIED


def test_an_answer_that_comes_before_the_request_is_complete_counts(start_hub, connect, push):
    def script(connection):
        connection.read_head()
        connection.answer(b"too large", status=b"413 Content Too Large", headers=b"Connection: close\r\n")
        connection.tls.settimeout(0.2)
        while connection.tls.recv(65536):
            pass

    answer = push(connect(start_hub(script)), records=200_000)
    assert (answer.http_status, answer.fault) == (413, None)


def test_a_connection_that_the_hub_closed_between_requests_is_replaced(hub_that, connect, push):
    def act(connection):
        connection.answer()
        raise EOFError

    hub = hub_that(act)
    client = connect(hub)
    assert push(client).http_status == 200
    hub.wait()
    assert push(client).http_status == 200
    assert len(hub.connections) == 2


def test_a_connection_that_the_hub_closes_at_the_moment_of_reuse_is_cut_and_not_tried_again(start_hub, connect, push):
    def script(connection):
        connection.read_request()
        connection.answer()
        connection.read_request()

    hub = start_hub(script)
    client = connect(hub)
    assert push(client).http_status == 200
    assert outcome(push(client)) == (Progress.SENT, TransportFault.CUT)
    assert len(hub.connections) == 1


def test_an_enormous_answer_is_cut_at_the_limit_and_its_connection_closed(hub_that, connect, push):
    def act(connection):
        connection.tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            connection.tls.sendall(b"x" * 1_000_000)

    hub = hub_that(act)
    client = connect(hub)
    answer = push(client)
    assert (len(answer.body), answer.truncated, answer.fault) == (64 * 1024, True, None)
    assert push(client).http_status == 200
    assert len(hub.connections) == 2


@pytest.mark.parametrize("size", [10, 11])
def test_an_answer_is_truncated_only_beyond_the_limit(hub_that, connect, push, size):
    answer = push(connect(hub_that(lambda connection: connection.answer(b"x" * size)), answer_limit=10))
    assert (len(answer.body), answer.truncated) == (10, size > 10)


def test_an_endless_head_is_cut(hub_that, connect, push):
    def act(connection):
        connection.tls.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.tls.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")

    assert outcome(push(connect(hub_that(act)))) == (Progress.SENT, TransportFault.CUT)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff" * 100,
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 999999 ?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_garbage_is_in_doubt(hub_that, connect, push, garbage):
    def act(connection):
        connection.tls.sendall(garbage)
        raise EOFError

    answer = push(connect(hub_that(act)))
    assert outcome(answer) == (Progress.SENT, TransportFault.CUT)


def test_a_gzip_bomb_is_never_inflated(hub_that, connect, push):
    bomb = gzip.compress(b"\x00" * 10_000_000)
    answer = push(connect(hub_that(lambda connection: connection.answer(bomb, headers=b"Content-Encoding: gzip\r\n"))))
    assert answer.body == bomb
    assert classify(answer, 1).effect is Effect.UNKNOWN


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"Result": true', b"\xff\xfe"])
def test_an_undecodable_body_is_reported_as_it_came(hub_that, connect, push, body):
    answer = push(connect(hub_that(lambda connection: connection.answer(body))))
    assert (answer.http_status, answer.body, answer.fault) == (200, body, None)


def test_a_second_answer_is_not_taken_for_that_of_the_next_push(hub_that, connect, push):
    """A proxy that answers twice must not acknowledge a push that the hub has not seen."""

    def act(connection):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
        connection.tls.sendall(answer + b"1" + answer + b"2")

    hub = hub_that(act)
    client = connect(hub)
    assert push(client).body == b"1"
    assert push(client).body == b'{"Result":true,"StatusCode":{"Code":"000"}}'
    assert len(hub.connections) == 2


def test_a_late_second_answer_is_not_taken_for_that_of_the_next_push(hub_that, connect, push):
    def act(connection):
        connection.answer(b"1")
        connection.answer(b"2")
        sent.set()

    sent = threading.Event()
    hub = hub_that(act)
    client = connect(hub)
    assert push(client).body == b"1"
    assert sent.wait(5)
    assert push(client).body == b'{"Result":true,"StatusCode":{"Code":"000"}}'
