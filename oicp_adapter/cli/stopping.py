"""Turns the signals that end a command into something that it can wait for."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_on(*numbers: signal.Signals) -> Iterator[threading.Event]:
    """Provide an event that these signals set, instead of what they do otherwise, for as long as the context lasts."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
