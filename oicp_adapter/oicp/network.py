"""
Carries the bytes of one client: connects, speaks TLS, and ends everything at one deadline.

1. Every wait, from the look-up of the name to the last byte of the answer, is cut to what is left of the exchange.
   Neither httpx nor httpcore has such a limit: theirs start anew with every byte.
2. No byte of a request leaves after `send_before`.
3. `abort` may come from another thread at any time. It shuts the socket down and never closes it, so that no descriptor
   can have been given to somebody else meanwhile.
"""

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, InvalidStateError
from enum import StrEnum
from typing import Any, Final

import httpcore

from oicp_adapter.sync.answers import Progress

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Return seconds since the start of the machine, suspensions included where the platform can tell."""
    return time.clock_gettime(_CLOCK)


class Stage(StrEnum):
    """What an exchange is doing; tells apart faults for which the libraries have one exception."""

    CONNECT = "connect"
    HANDSHAKE = "TLS handshake"
    TALK = "request"


class TooLateError(Exception):
    """The last moment for the first byte has passed; nothing was sent."""


class Exchange:
    """
    One request in flight.

    Attributes:
        deadline: On the client's clock; the whole exchange ends here.
        send_before: On the client's clock; later, no first byte leaves.
        progress: How far the request got.
        stage: What it is doing.
        aborted: It was ended from another thread.
    """

    def __init__(self, *, clock: Callable[[], float], deadline: float, send_before: float) -> None:
        self._clock = clock
        self.deadline = deadline
        self.send_before = send_before
        self.progress = Progress.NOT_SENT
        self.stage = Stage.CONNECT
        self.aborted = False

    def remaining(self, timeout: type[Exception]) -> float:
        """Return the seconds that are left, never zero or less; *timeout* is raised when none are."""
        end = self.deadline if self.stage is Stage.TALK else min(self.deadline, self.send_before)
        left = end - self._clock()
        if left <= 0:
            raise timeout(f"no time left ({self.stage.value})")
        return left

    def trace(self, event: str, _info: object) -> None:
        """Follow httpcore: the last look at the clock before the first byte, and how far the request got."""
        match event:
            case "http11.send_request_headers.started":
                self.stage = Stage.TALK
                if self._clock() > self.send_before:
                    raise TooLateError
            case "http11.send_request_body.started":
                self.progress = Progress.PARTLY_SENT
            case "http11.send_request_body.complete":
                self.progress = Progress.SENT


class Line(httpcore.NetworkBackend):
    """
    The network as one client uses it: one connection at a time, one exchange at a time.

    Attributes:
        opened_at: When the present connection was opened, on the client's clock.
        answered: Something has come back over the present connection, so the hub has accepted our certificate.
    """

    def __init__(self, *, clock: Callable[[], float], unacknowledged: float) -> None:
        self._clock = clock
        self._options = _socket_options(unacknowledged)
        self._lock = threading.RLock()  # abort may come from a signal's handler, in the very thread that holds it
        self._exchange: Exchange | None = None
        self._socket: socket.socket | None = None
        self._lookup: tuple[str, int, Future[list[Any]]] | None = None
        self.opened_at = clock()
        self.answered = False

    def begin(self, exchange: Exchange) -> None:
        """Put everything that follows under the deadline of *exchange*."""
        with self._lock:
            self._exchange = exchange

    def end(self) -> None:
        """Leave the exchange; `abort` has nothing to end from here on."""
        with self._lock:
            self._exchange = None

    def abort(self) -> None:
        """End the exchange in flight at once, whatever it waits for; without one, do nothing."""
        with self._lock:
            if self._exchange is None:
                return
            self._exchange.aborted = True
            if self._lookup is not None:
                self._lookup[2].cancel()
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # The method of the plain socket: that of SSLSocket would drop TLS under a thread that still reads.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def exchange(self) -> Exchange:
        """Return the exchange in flight; a connection is never used outside of one."""
        exchange = self._exchange
        if exchange is None or exchange.aborted:
            raise httpcore.NetworkError("the exchange was ended")
        return exchange

    def hold(self, held: socket.socket) -> None:
        """Make a socket the one that `abort` shuts down."""
        with self._lock:
            self._socket = held
        self.exchange()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the exchange's deadline replaces it
        local_address: str | None = None,  # noqa: ARG002 - part of httpcore's interface
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - ours are fixed
    ) -> "Stream":
        """Look the name up and connect to the first address that answers, each with its share of the time."""
        self.exchange().stage = Stage.CONNECT
        failure: OSError | None = None
        found = self._resolve(host, port)
        for index, (family, kind, protocol, _, address) in enumerate(found):
            share = self.exchange().remaining(httpcore.ConnectTimeout) / (len(found) - index)
            opened = socket.socket(family, kind, protocol)
            try:
                self.hold(opened)
                for option in self._options:
                    opened.setsockopt(*option)
                opened.settimeout(share)
                opened.connect(address)
            except OSError as exc:
                failure = exc
                self.drop(opened)
            except BaseException:
                self.drop(opened)
                raise
            else:
                self.opened_at = self._clock()
                self.answered = False
                return Stream(self, opened)
        raise httpcore.ConnectError(f"{host}:{port}: {failure or 'the name has no address'}") from failure

    def drop(self, held: socket.socket) -> None:
        """Close a socket; from here on `abort` leaves it alone."""
        with self._lock:
            if self._socket is held:
                self._socket = None
        held.close()

    def secure(self, plain: socket.socket, context: ssl.SSLContext, server_hostname: str | None) -> ssl.SSLSocket:
        """Shake hands over a connected socket, which is closed if that fails."""
        exchange = self.exchange()
        exchange.stage = Stage.HANDSHAKE
        held = plain
        try:
            # Wrapping moves the descriptor to another object; abort must never see the empty one.
            with self._lock:
                held = secured = context.wrap_socket(
                    plain, server_hostname=server_hostname, do_handshake_on_connect=False
                )
                self._socket = secured
            secured.settimeout(self.exchange().remaining(httpcore.ConnectTimeout))
            secured.do_handshake()
        except TimeoutError as exc:
            self.drop(held)
            raise httpcore.ConnectTimeout("the hub did not finish the TLS handshake") from exc
        except (OSError, ValueError) as exc:
            self.drop(held)
            raise httpcore.ConnectError(str(exc)) from exc
        except BaseException:
            self.drop(held)
            raise
        return secured

    def _resolve(self, host: str, port: int) -> list[Any]:
        """Look a name up within what is left of the exchange; a look-up that hangs is awaited again."""
        try:
            with self._lock:
                known = self._lookup
                if known is None or known[:2] != (host, port) or known[2].done():
                    known = self._lookup = (host, port, look_up(host, port))
            return known[2].result(self.exchange().remaining(httpcore.ConnectTimeout))
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"the look-up of {host} did not end") from exc
        except CancelledError as exc:
            raise httpcore.ConnectError("the exchange was ended") from exc
        except (OSError, UnicodeError, RuntimeError) as exc:  # RuntimeError: no thread can be started
            raise httpcore.ConnectError(f"{host} cannot be looked up: {exc}") from exc


class Stream(httpcore.NetworkStream):
    """One connection, plain or secured; each wait lasts as long as the exchange in flight allows."""

    def __init__(self, line: Line, held: socket.socket) -> None:
        self._line = line
        self._socket = held

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline replaces it
        """Return what has come; empty at the end of the connection."""
        try:
            self._socket.settimeout(self._line.exchange().remaining(httpcore.ReadTimeout))
            came = self._socket.recv(max_bytes)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout("no complete answer before the deadline") from exc
        except OSError as exc:
            raise httpcore.ReadError(str(exc)) from exc
        self._line.answered |= bool(came)
        return came

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the deadline replaces it
        """Hand all of *buffer* over."""
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(self._line.exchange().remaining(httpcore.WriteTimeout))
                rest = rest[self._socket.send(rest) :]
        except TimeoutError as exc:
            raise httpcore.WriteTimeout("the request was not taken before the deadline") from exc
        except OSError as exc:
            raise httpcore.WriteError(str(exc)) from exc

    def close(self) -> None:
        """Close the connection."""
        self._line.drop(self._socket)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the exchange's deadline replaces it
    ) -> "Stream":
        """Return the same connection, secured."""
        return Stream(self._line, self._line.secure(self._socket, ssl_context, server_hostname))

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for, above all whether an idle connection must not be reused."""
        match info:
            case "is_readable":
                return _readable(self._socket)
            case "ssl_object":
                return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
            case "socket":
                return self._socket
            case _:
                return None


def _readable(held: socket.socket) -> bool:
    """Tell whether a read would return at once; what TLS has decrypted already counts, a poll would not see it."""
    if held.fileno() < 0 or (isinstance(held, ssl.SSLSocket) and held.pending() > 0):
        return True
    poll = select.poll()
    poll.register(held.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def look_up(host: str, port: int) -> Future[list[Any]]:
    """
    Begin to look a name up in a thread of its own, for getaddrinfo knows no time-out; one that hangs keeps nobody.

    Returns:
        What `getaddrinfo` will give or raise.

    Raises:
        RuntimeError: No thread can be started.
    """
    future: Future[list[Any]] = Future()

    def ask() -> None:
        with contextlib.suppress(InvalidStateError):  # nobody waits any more
            try:
                future.set_result(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
            except (OSError, UnicodeError) as exc:
                future.set_exception(exc)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    return future


def _socket_options(unacknowledged: float) -> list[tuple[int, int, int]]:
    """
    Return the options of every connection.

    Args:
        unacknowledged: Seconds after which data that the peer's machine does not confirm ends the connection; probes of
            keep-alive do not cover those.
    """
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    if (user_timeout := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
        options.append((socket.IPPROTO_TCP, user_timeout, min(int(unacknowledged * 1000), 2**31 - 1)))
    return options
