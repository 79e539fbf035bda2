"""Signals as an event that a command waits for."""

import signal

from oicp_adapter.cli.stopping import stop_on


def test_a_signal_sets_the_event_and_is_afterwards_what_it_was_before() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with stop_on(signal.SIGUSR1) as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGUSR1)
        assert stop.is_set()
    assert signal.getsignal(signal.SIGUSR1) == before
