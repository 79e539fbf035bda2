"""
Posts prepared bodies over a raw TLS socket: the ceiling that no adapter on this machine can pass.

One keep-alive connection, mutual TLS as the adapter's, one request after the other; no store, no intent, no HTTP
library, no pacing.
"""

import socket
import ssl
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from benchmarks.daemon import MAX_RECORDS
from benchmarks.figures import Latencies, MeasurementError
from benchmarks.fleet import BARE_OPERATOR, Fleet, assembled, body, fragment
from benchmarks.hub import Hub, times

_TIMEOUT: Final = 120.0


class BareClient:
    """One connection; a context manager. The hub closes one that idles for 75 s, so each measurement makes its own."""

    def __init__(self, hub: Hub) -> None:
        address = urlsplit(hub.url)
        client = hub.client(BARE_OPERATOR)
        context = ssl.create_default_context(cafile=hub.ca_file)
        context.load_cert_chain(client["certificate"], client["private_key"])
        plain = socket.create_connection((address.hostname, address.port or 443), _TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain, server_hostname=address.hostname)
        self._head = (
            f"POST {address.path}/evsepush/v21/operators/{BARE_OPERATOR}/status-records HTTP/1.1\r\n"
            f"Host: {address.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def post(self, content: bytes) -> None:
        """
        Send one push and read its answer to the end.

        Raises:
            MeasurementError: The hub did not perform it.
        """
        try:
            head, answer = self._exchange(content)
        except OSError as error:
            raise MeasurementError(f"the bare client lost its connection: {error}") from error
        if not head.startswith(b"HTTP/1.1 200") or b'"Code":"000"' not in answer.replace(b" ", b""):
            raise MeasurementError(f"the hub refused the bare client: {head + answer[:200]!r}")

    def _exchange(self, content: bytes) -> tuple[bytes, bytes]:
        self._socket.sendall(self._head + b"%d\r\n\r\n" % len(content) + content)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._read()
        head, _, answer = received.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(answer) < length:
            answer += self._read()
        return head, answer

    def _read(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise MeasurementError("the hub closed the bare client's connection")
        return part


def load(hub: Hub, fleet: Fleet) -> float:
    """Post a whole fleet as one full load; return the seconds that it took, the handshake left out."""
    return _post_all(hub, [body(BARE_OPERATOR, "fullLoad", list(fleet.expected().items()))])


def drain(hub: Hub, fleet: Fleet, count: int) -> float:
    """Post changes in full requests; return the seconds that it took."""
    changes = [(evse_id, status) for evse_id, _, status in fleet.change(count)]
    contents = [
        body(BARE_OPERATOR, "update", changes[start : start + MAX_RECORDS]) for start in range(0, count, MAX_RECORDS)
    ]
    return _post_all(hub, contents)


def propagation(hub: Hub, fleet: Fleet, *, rate: float, seconds: float) -> Latencies:
    """Post changes that come at a steady rate, each request with all that came while the last one was out."""
    changes = fleet.change(int(rate * seconds))
    fragments = [fragment(evse_id, status) for evse_id, _, status in changes]
    with BareClient(hub) as client:
        started = time.time() + 0.05
        due = {evse_id: started + number / rate for number, (evse_id, _, _) in enumerate(changes)}
        sent = 0
        while sent < len(changes):
            time.sleep(max(0.0, started + sent / rate - time.time()))
            ripe = min(len(changes), int((time.time() - started) * rate) + 1, sent + MAX_RECORDS)
            client.post(assembled(BARE_OPERATOR, "update", fragments[sent:ripe]))
            sent = ripe
    return Latencies.of(due, times(hub.held(BARE_OPERATOR), due))


def _post_all(hub: Hub, contents: Sequence[bytes]) -> float:
    with BareClient(hub) as client:
        started = time.perf_counter()
        for content in contents:
            client.post(content)
        return time.perf_counter() - started
