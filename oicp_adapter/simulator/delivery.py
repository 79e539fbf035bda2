"""Moves bytes of one request and its answer, the honest way and in all the ways in which a hub misbehaves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from oicp_adapter.simulator.faults import Delivery, Effect
from oicp_adapter.simulator.protocol import CONNECTION, Connection
from oicp_adapter.simulator.wire import HubAnswer

_CHUNK: Final = bytes(65536)


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request as ASGI hands it over.

    Attributes:
        connection: What ASGI hides about it.
    """

    connection: Connection
    receive: ASGIReceiveCallable
    send: ASGISendCallable

    async def body(self) -> bytes | None:
        """Return the whole body; None: the client left before its end."""
        parts: list[bytes] = []
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                return None
            parts.append(message["body"])
            if not message["more_body"]:
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def deliver(self, answer: HubAnswer, effect: Effect, answering: Callable[[], None]) -> None:
        """
        Send an answer as the effect wants it.

        Args:
            answering: Called just before the last bytes of a complete answer leave; never if none does.
        """
        match effect.delivery:
            case Delivery.WHOLE:
                answering()
                await self.send_whole(answer)
                self._close_after(effect.close_after)
            case Delivery.ENORMOUS:
                answering()
                await self._send_enormous(answer, effect.size)
            case Delivery.SILENT:
                await self._client_left()
            case Delivery.CUT:
                await self._cut()
            case Delivery.CUT_MID_BODY:
                if not self.connection.transport.is_closing():
                    self.connection.transport.write(_rendered(answer)[: -max(1, len(answer.body) // 2)])
                await self._cut()
            case Delivery.DRIP:
                await self._drip(_rendered(answer), effect.pace, answering)

    async def send_whole(self, answer: HubAnswer) -> None:
        """Send an answer as a well-behaved server does."""
        await self._send_head(answer, len(answer.body))
        await self.send({"type": "http.response.body", "body": answer.body, "more_body": False})

    async def client_left_within(self, wait: timedelta) -> bool:
        """Wait; True, at once: the client closed the connection."""
        try:
            async with asyncio.timeout(wait.total_seconds()):
                await self._client_left()
        except TimeoutError:
            return False
        return True

    async def _send_head(self, answer: HubAnswer, length: int) -> None:
        await self.send(
            {"type": "http.response.start", "status": answer.http_status, "headers": _headers(answer, length)}
        )

    async def _send_enormous(self, answer: HubAnswer, size: int) -> None:
        await self._send_head(answer, size)
        left = size
        while left and not self.connection.transport.is_closing():
            part = _CHUNK[: min(left, len(_CHUNK))]
            left -= len(part)
            await self.send({"type": "http.response.body", "body": part, "more_body": left > 0})
            await asyncio.sleep(0)
        if left:
            await self._client_left()

    async def _drip(self, raw: bytes, pace: timedelta, answering: Callable[[], None]) -> None:
        for place in range(len(raw)):
            if self.connection.transport.is_closing():
                return
            self.connection.transport.write(raw[place : place + 1])
            if await self.client_left_within(pace):
                return
        answering()
        self.connection.transport.close()
        await self._client_left()

    async def _cut(self) -> None:
        self.connection.transport.abort()
        await self._client_left()

    async def _client_left(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def _close_after(self, wait: timedelta | None) -> None:
        if wait is not None:
            asyncio.get_running_loop().call_later(wait.total_seconds(), self.connection.transport.close)


def call_of(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> Call:
    """Return the call that `HubProtocol` made."""
    connection: Connection = scope["extensions"][CONNECTION]  # type: ignore[assignment]  # put there by HubProtocol
    return Call(connection, receive, send)


def _headers(answer: HubAnswer, length: int) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    date = format_datetime(datetime.now(UTC), usegmt=True).encode()
    return [*headers, (b"Date", date), (b"Content-Length", str(length).encode())]


def _rendered(answer: HubAnswer) -> bytes:
    lines = b"".join(b"%s: %s\r\n" % header for header in _headers(answer, len(answer.body)))
    return b"HTTP/1.1 %d Simulated\r\n%sConnection: close\r\n\r\n%s" % (answer.http_status, lines, answer.body)
