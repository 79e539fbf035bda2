"""
Tells the service manager how the daemon fares: started, alive, stopping, and what it does in words.

1. Without one, or when it does not listen, nothing happens: a daemon never ends because nobody hears it.
2. "Started" means that settings, certificates and the endpoint are good and the lanes run. Whether the store answers
   is `/readyz`'s to say: a store that is away for an hour must not get the daemon restarted.

Source: sd_notify(3) and sd_watchdog_enabled(3) of systemd.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Final

from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.sync.model import LaneState

_PATIENCE: Final = 1.0
"""Seconds that a service manager may take to accept a message."""


class ServiceManager:
    """
    The service manager that started this process, or none.

    Attributes:
        watches: It ends the process when `alive` is not called for some time.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """
        Read where it listens; send nothing yet.

        Args:
            environment: Of the process; `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are looked at.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watches = meant and environment.get("WATCHDOG_USEC", "").isdigit() and self._address != ""
        self._status = ""

    def ready(self, status: str) -> None:
        """Report that the daemon has started or taken up new settings, and what it does."""
        self._tell("READY=1", self._changed(status))

    def reloading(self) -> None:
        """Report that new settings are taken up; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self, status: str) -> None:
        """Report that the daemon is alive, and what it does if that has changed."""
        self._tell("WATCHDOG=1" if self.watches else "", self._changed(status))

    def stopping(self, status: str) -> None:
        """Report that the daemon is about to end."""
        self._tell("STOPPING=1", self._changed(status))

    def _changed(self, status: str) -> str:
        if status == self._status:
            return ""
        self._status = status
        return f"STATUS={status}"

    def _tell(self, *lines: str) -> None:
        message = "\n".join(line for line in lines if line)
        if not self._address or not message:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_PATIENCE)
            sender.sendto(message.encode(), self._address)


def lanes_in_words(metrics: Metrics, operators: Iterable[str]) -> str:
    """Return what each lane does and how much it has to do, as the metrics show it, on one line."""
    return "; ".join(_lane_in_words(metrics, operator) for operator in operators) or "no lane works here"


def _lane_in_words(metrics: Metrics, operator: str) -> str:
    def value(name: str, **labels: str) -> int:
        return int(metrics.registry.get_sample_value(f"oicp_adapter_{name}", {"operator": operator, **labels}) or 0)

    states = [state.value for state in LaneState if value("lane_state", state=state.value)]
    words = [f"{operator} {' '.join(states) or 'starting'}".replace("_", " ")]
    for name, what in (("pending_evses", "pending"), ("quarantined_evses", "refused"), ("held_withdrawals", "held")):
        if number := value(name):
            words.append(f"{number} {what}")
    return ", ".join(words)
