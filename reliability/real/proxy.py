"""
Stands between two programs that speak TCP, and does to their connections what networks do.

1. A trap is armed for a direction and springs once a connection has let through so much; then it cuts or holds.
2. What one side closes is closed on the other side at once, even while a trap holds the bytes between them; only a trap
   that `floats` keeps them, as a network keeps a request whose sender has died.
3. Bytes are counted, or whole records of TLS, or statements of PostgreSQL; their content is never changed.
"""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

CHUNK: Final = 65536
LOOK_EVERY: Final = 0.02
"""Seconds between two looks whether a side has gone while bytes are held."""

RECORD_HEAD: Final = 5
"""Bytes before each record of TLS; the last two are its length."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Way(StrEnum):
    """Direction of bytes: up to the server, down to the client."""

    UP = "up"
    DOWN = "down"


class Then(StrEnum):
    """What a trap does when it springs."""

    CUT = "cut"
    RESET = "reset"
    HOLD = "hold"


@dataclass(eq=False, slots=True)
class Trap:
    """
    What happens to one connection once so much has passed.

    Attributes:
        way: Whose bytes are counted.
        then: What happens.
        records: TLS records that pass; counted from the arming, which must be between two records.
        size: Bytes that pass after those.
        texts: Pass until these have been seen, one after the other; what bears the last one is held back.
        passes_text: What bears the last text passes, too.
        stops: The directions that `HOLD` holds.
        floats: What is held outlives its sender.
        fresh: Only connections made after the arming.
        sprung: Set when it has sprung.
        sprung_at: When that was.
        connection: Where that was.
    """

    way: Way = Way.UP
    then: Then = Then.HOLD
    records: int = 0
    size: int = 0
    texts: Sequence[bytes] = ()
    passes_text: bool = False
    stops: Sequence[Way] = ()
    floats: bool = False
    fresh: bool = False
    sprung: threading.Event = field(default_factory=threading.Event)
    sprung_at: datetime | None = None
    connection: "Connection | None" = None

    def held(self) -> Sequence[Way]:
        """Return the directions that it holds: its own unless told otherwise."""
        return self.stops or (self.way,)

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until it has sprung."""
        assert self.sprung.wait(seconds), f"nothing sprang the trap within {seconds} s: {self}"

    def release(self) -> None:
        """Let what it holds flow on."""
        if self.connection is not None:
            self.connection.flow(self.held())

    def cut(self) -> None:
        """Drop what it holds, and cut the connection."""
        if self.connection is not None:
            self.connection.close()


class Meter:
    """Counts the bytes of one direction of one connection for one trap."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._texts = list(trap.texts)
        self._records = self._size = self._left = 0
        self._head = bytearray()

    def passing(self, data: bytes) -> int | None:
        """Return how many of these bytes pass before the trap springs; None: all, and it does not spring."""
        if self._texts or self._trap.texts:
            return self._passing_texts(data)
        at = 0
        while self._records < self._trap.records:
            if at == len(data):
                return None
            at += self._of_record(data[at:])
        taken = min(self._trap.size - self._size, len(data) - at)
        self._size += taken
        return at + taken if self._size == self._trap.size else None

    def _of_record(self, data: bytes) -> int:
        """Take what belongs to the head of a record, or to its rest; return how many bytes that was."""
        if self._left == 0:
            taken = data[: RECORD_HEAD - len(self._head)]
            self._head += taken
            if len(self._head) == RECORD_HEAD:
                self._left = int.from_bytes(self._head[3:])
                self._head.clear()
            return len(taken)
        size = min(self._left, len(data))
        self._left -= size
        self._records += self._left == 0
        return size

    def _passing_texts(self, data: bytes) -> int | None:
        at = 0
        while self._texts and (found := data.find(self._texts[0], at)) >= 0:
            at = found + len(self._texts.pop(0))
        if self._texts:
            return None
        return len(data) if self._trap.passes_text else 0


class Connection:
    """One connection of a client and what it leads to."""

    def __init__(self, proxy: "FaultProxy", client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends = {Way.UP: (client, server), Way.DOWN: (server, client)}
        self._flows = {way: threading.Event() for way in Way}
        self._meters: dict[Trap, Meter] = {}
        self._floats = False
        self._closed = threading.Event()
        self._resetting = False
        self._pumps = len(Way)
        self.passed = dict.fromkeys(Way, 0)
        self.known = list(proxy.armed)
        for flow in self._flows.values():
            flow.set()
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way in Way:
            threading.Thread(target=self._pump, args=(way,), daemon=True).start()

    @property
    def open(self) -> bool:
        return not self._closed.is_set()

    def flow(self, ways: Sequence[Way]) -> None:
        """Let the bytes of these directions flow on."""
        for way in ways:
            self._flows[way].set()

    def hold(self, ways: Sequence[Way] = tuple(Way)) -> None:
        """Hold the bytes of these directions from now on: a black hole that still takes them."""
        for way in ways:
            self._flows[way].clear()

    def waiting(self, way: Way) -> bool:
        """Tell whether more has come than what is held already."""
        return bool(select.select([self._ends[way][0]], [], [], 0)[0])

    def close(self, *, reset: bool = False) -> None:
        """Cut both sides; a reset is sent when both pumps have let go of the sockets, and no orderly end before it."""
        self._resetting |= reset
        self._closed.set()
        for sock, _ in self._ends.values():
            with contextlib.suppress(OSError):
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)

    def _pump(self, way: Way) -> None:
        source, sink = self._ends[way]
        try:
            while data := source.recv(CHUNK):
                self._carry(way, data)
        except OSError:
            self.close()
        finally:
            self._ended(sink)

    def _ended(self, sink: socket.socket) -> None:
        """Pass the end of one side on; the sockets are closed by the thread that ends last."""
        if not self._resetting and not self._floats:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
        with self._proxy.lock:
            self._pumps -= 1
        if self._pumps == 0:
            self._closed.set()
            for sock, _ in self._ends.values():
                sock.close()

    def _carry(self, way: Way, data: bytes) -> None:
        while data:
            trap, passing = self._proxy.sprung(self, way, data)
            if trap is None:
                self._forward(way, data)
                return
            hold = trap.then is Then.HOLD
            self._floats = hold and trap.floats
            # Held before the last byte passes: an answer must not overtake the cut.
            self.hold([other for other in (trap.held() if hold else Way) if other is not way])
            self._forward(way, data[:passing])
            data = data[passing:]
            if trap.then is Then.HOLD:
                self.hold([own for own in trap.held() if own is way])
            else:
                self.close(reset=trap.then is Then.RESET)
                data = b""
            trap.sprung.set()

    def meter(self, trap: Trap) -> Meter:
        """Return the counter of this connection for a trap."""
        return self._meters.setdefault(trap, Meter(trap))

    def _forward(self, way: Way, data: bytes) -> None:
        source, sink = self._ends[way]
        for piece in self._proxy.pieces(way, data):
            while not self._flows[way].wait(LOOK_EVERY):
                if self._closed.is_set() or (not self._floats and _gone(source)) or _gone(sink):
                    raise ConnectionError
            sink.sendall(piece)
            self.passed[way] += len(piece)


class FaultProxy:
    """
    Listens on a port of its own and leads what connects there to a server.

    Attributes:
        connections: All that were made, oldest first.
        armed: Traps that have not sprung.
        lost: When answers were cut off, whole or in part.
        pace: Bytes at a time and seconds between them, by direction; none: as they come.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.connections: list[Connection] = []
        self.armed: list[Trap] = []
        self.lost: list[datetime] = []
        self.pace: dict[Way, tuple[int, float]] = {}
        self.lock = threading.RLock()
        self._closing = threading.Event()
        self._stuck: list[socket.socket] = []
        self._refusing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._accepting(self._listener)

    def arm(self, trap: Trap) -> Trap:
        """Arm a trap for the first connection that springs it, one that is open or one to come."""
        with self.lock:
            self.armed.append(trap)
        return trap

    def disarm(self) -> None:
        """Take back all traps that have not sprung, let flow what is held, and be as fast as can be."""
        with self.lock:
            self.armed.clear()
            self.pace.clear()
        for connection in self.live():
            connection.flow(tuple(Way))

    def live(self) -> Sequence[Connection]:
        """Return the connections that are open."""
        return [connection for connection in list(self.connections) if connection.open]

    def cut(self, *, reset: bool = False) -> None:
        """Cut every connection."""
        for connection in self.live():
            connection.close(reset=reset)

    def refuse(self) -> None:
        """Refuse new connections, as a port does that nobody listens on."""
        self._stop_listening()

    def stall(self) -> None:
        """Let new connections hang before they are made: a full backlog drops their first packet."""
        self._stop_listening()
        self._listener = self._bound()
        self._listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 - the socket's own signature
            filler.connect_ex(("127.0.0.1", self.port))
            self._stuck.append(filler)

    def listen(self) -> None:
        """Take new connections again after `refuse` or `stall`."""
        self._stop_listening()
        self._listener = self._bound()
        self._listener.listen()
        self._accepting(self._listener)

    def sprung(self, connection: Connection, way: Way, data: bytes) -> tuple[Trap | None, int]:
        """Return the first trap that these bytes spring, and how many of them pass before; None: none."""
        with self.lock:
            for trap in self.armed:
                if trap.way is not way or (trap.fresh and trap not in connection.known):
                    continue
                passing = connection.meter(trap).passing(data)
                if passing is not None:
                    self.armed.remove(trap)
                    trap.connection, trap.sprung_at = connection, datetime.now(UTC)
                    if trap.way is Way.DOWN and trap.then is not Then.HOLD:
                        self.lost.append(trap.sprung_at)
                    return trap, passing
        return None, 0

    def pieces(self, way: Way, data: bytes) -> Iterator[bytes]:
        """Cut bytes up as the pace wants it, and wait between them."""
        while data:
            size, wait = self.pace.get(way, (len(data), 0.0))
            yield data[:size]
            data = data[size:]
            if wait and self._closing.wait(wait):
                raise ConnectionError

    def close(self) -> None:
        """Stop listening and cut everything."""
        self._closing.set()
        self._stop_listening()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bound(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        return listener

    def _accepting(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                client.close()
                continue
            server.settimeout(None)
            with self.lock:
                self.connections.append(Connection(self, client, server))

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for filler in self._stuck:
            filler.close()
        self._stuck.clear()


def _gone(side: socket.socket) -> bool:
    """Tell whether the other end of a socket has closed it or died."""
    if side.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(side, select.POLLRDHUP)
    return any(
        seen & (select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, seen in poll.poll(0)
    )
