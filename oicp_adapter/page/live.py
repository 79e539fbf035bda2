"""
Keeps what is on the screen up to date: reads it again every half second, and sends what changed.

1. A row is text and tones by field. The same row fills the template and the browser's script, which sets text only.
2. Reading happens in a thread, and asks anew each time whether the session still holds.
3. What fails for a while is told, and tried again; who is signed out is told so and let go.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from oicp_adapter.domain.errors import RequestRefusedError, StoreError, foreign_text
from oicp_adapter.page.gate import HEADERS

EVERY: Final = 0.5
"""Seconds between two looks."""

STREAMS: Final = 64
"""Streams at a time; each costs a read of the store every half second."""

_KEEP_ALIVE: Final = 30
"""Looks without news after which a comment tells proxies that somebody is there."""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """
    What one row, or another part of a view, says.

    Attributes:
        row: Names it within the view.
        text: What its fields say; an empty one is not shown.
        tone: Which of the page's tones a field has; the text always says the same.
    """

    row: str
    text: Mapping[str, str]
    tone: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return what the script is sent."""
        return {"row": self.row, "text": dict(self.text), "tone": dict(self.tone)}


Read = Callable[[], Sequence[LiveRow]]


class Streams:
    """The streams that are open; used by the event loop's thread alone."""

    def __init__(self) -> None:
        self.open = 0

    def answer(self, read: Read) -> StreamingResponse:
        """Return a stream of what *read* gives, or of the sentence that there are too many."""
        headers = dict(HEADERS) | {"X-Accel-Buffering": "no"}
        events = self._counted(read) if self.open < STREAMS else _refused()
        return _Events(events, media_type="text/event-stream", headers=headers)

    async def _counted(self, read: Read) -> AsyncIterator[str]:
        self.open += 1
        try:
            async for event in _events(read):
                yield event
        finally:
            self.open -= 1


class _Events(StreamingResponse):
    """A stream that is ended in order when the server stops under it, so that nobody logs it as a failure."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _events(read: Read) -> AsyncIterator[str]:
    known: dict[str, LiveRow] = {}
    quiet = 0
    troubled = False
    while True:
        try:
            rows = await run_in_threadpool(read)
        except RequestRefusedError as refused:
            yield _event("gone", {"text": str(refused)})
            return
        except StoreError as error:
            if not troubled:  # twice a second would fill the log
                # Never the driver's own words, which may hold the password.
                told = error.__cause__ if isinstance(error.__cause__, StoreError) else error
                structlog.get_logger().warning("page.store_failed", error=str(told))
            troubled = True
            known.clear()
            yield _event("trouble", {"text": foreign_text(error)})
        else:
            troubled = False
            changed = [row for row in rows if known.get(row.row) != row]
            known.update({row.row: row for row in changed})
            quiet = 0 if changed else quiet + 1
            if changed:
                yield _event("rows", {"rows": [row.document() for row in changed]})
            elif quiet % _KEEP_ALIVE == 0:
                yield ": still here\n\n"
        await asyncio.sleep(EVERY)


async def _refused() -> AsyncIterator[str]:
    yield _event("gone", {"text": "too many pages are open at once: close some and reload this one"})


def _event(name: str, document: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(document)}\n\n"
