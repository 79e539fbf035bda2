import threading
import time

import httpcore
import pytest

from oicp_adapter.oicp.network import Exchange, Line, Stage, TooLateError, boottime
from oicp_adapter.sync.answers import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def exchange(clock):
    return Exchange(clock=clock, deadline=160.0, send_before=110.0)


def test_boottime_runs_no_slower_than_the_monotonic_clock():
    assert boottime() >= time.monotonic() - 0.001


def test_until_the_first_byte_what_is_left_ends_with_the_last_moment_for_it(exchange, clock):
    assert exchange.remaining(httpcore.ConnectTimeout) == 10
    exchange.stage = Stage.TALK
    assert exchange.remaining(httpcore.ReadTimeout) == 60
    clock.now = 160.0
    with pytest.raises(httpcore.ReadTimeout):
        exchange.remaining(httpcore.ReadTimeout)


def test_progress_follows_the_body(exchange):
    seen = []
    for event in (
        "send_request_headers.started",
        "send_request_headers.complete",
        "send_request_body.started",
        "send_request_body.complete",
        "receive_response_headers.started",
    ):
        exchange.trace(f"http11.{event}", {})
        seen.append(exchange.progress)
    assert seen == [Progress.NOT_SENT] * 2 + [Progress.PARTLY_SENT] + [Progress.SENT] * 2


def test_the_first_byte_may_leave_at_the_last_moment_and_not_after_it(exchange, clock):
    clock.now = 110.0
    exchange.trace("http11.send_request_headers.started", {})
    clock.now = 110.001
    with pytest.raises(TooLateError):
        exchange.trace("http11.send_request_headers.started", {})


def test_a_line_carries_nothing_outside_of_an_exchange_or_after_its_abort(exchange, clock):
    line = Line(clock=clock, unacknowledged=60.0)
    with pytest.raises(httpcore.NetworkError):
        line.exchange()
    line.begin(exchange)
    assert line.exchange() is exchange
    line.abort()
    with pytest.raises(httpcore.NetworkError):
        line.connect_tcp("localhost", 1)
    line.end()
    line.abort()


def test_an_abort_from_a_signals_handler_does_not_lock_itself_out(exchange, clock):
    """The handler runs in the main thread, perhaps while that very thread is inside the line."""
    line = Line(clock=clock, unacknowledged=60.0)
    line.begin(exchange)

    def interrupted():
        with line._lock:
            line.abort()

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(2)
    assert not thread.is_alive()
    assert exchange.aborted
