"""
Pushes statuses to the hub over mutual TLS and reports what came of it.

1. A push never raises for anything that the network or the hub does: it returns an `Answer`.
2. The whole exchange, from the look-up of the name to the last byte of the answer, has one deadline.
3. Nothing is retried here. A request is sent at most once; what follows is the lane's decision.
4. A connection over which more came than one answer is never used again: what is left over would be taken for the
   answer to the next push.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import httpx

from oicp_adapter.domain.errors import ConfigurationError, foreign_text
from oicp_adapter.oicp.body import Body, PushRequest
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.faults import NETWORK_ERRORS, fault_of
from oicp_adapter.oicp.messages import PROCESS_ID_HEADER, push_path
from oicp_adapter.oicp.network import Exchange, Line, boottime
from oicp_adapter.oicp.transport import KEEP_ALIVE, Session, open_session
from oicp_adapter.sync.answers import Answer, Progress, TransportFault
from oicp_adapter.sync.classify import parse_http_date
from oicp_adapter.sync.model import Action

__all__ = ["HubClient", "PushRequest", "boottime"]

ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer that are kept; an acknowledgement has a few hundred, one naming 1,000 bad records some more."""

CONNECTION_AGE: Final = timedelta(minutes=5)
"""A connection is used no longer than this, so that a change of the hub's address is noticed."""

_HEADER_LENGTH: Final = 200
"""Characters of a header of the answer that are kept."""


class HubClient:
    """The client of one lane: one connection, one request at a time."""

    def __init__(
        self,
        *,
        base_url: str,
        identity: ClientIdentity,
        request_timeout: timedelta,
        clock: Callable[[], float] = boottime,
        answer_limit: int = ANSWER_LIMIT,
    ) -> None:
        """
        Prepare; nothing is connected yet.

        Args:
            base_url: With `/api/oicp`, https only.
            identity: Belongs to this client alone.
            request_timeout: For the whole exchange.
            clock: Seconds; suspensions of the machine should count.
            answer_limit: Bytes of an answer that are kept.

        Raises:
            ConfigurationError: The URL is none, is not https, or has more than host, port and path.
        """
        self._base = _base(base_url)
        self._identity = identity
        self._timeout = request_timeout
        self._clock = clock
        self._answer_limit = answer_limit
        self._line = Line(clock=clock, unacknowledged=request_timeout.total_seconds())
        self._session: Session | None = None
        self._used_at = clock()
        self._busy = threading.Lock()
        self._closed = False

    def push(self, request: PushRequest, *, send_before: float) -> Answer:
        """
        Send one push and wait for its answer, the request's time-out at most.

        Args:
            request: What to send.
            send_before: On the client's clock. If the first byte has not left by then, nothing is sent.

        Raises:
            StoreUnavailableError: The records were fewer or more than announced; the hub cannot have applied anything.
            ValueError: A full load without records, which would withdraw every EVSE.
            Exception: Whatever reading the records raises; the hub cannot have applied anything then either.
        """
        if request.action is Action.FULL_LOAD and request.count == 0:
            raise ValueError("a full load without records would withdraw every EVSE of the operator")
        with self._exchange(send_before) as (exchange, started):
            body = Body(request, exchange)
            try:
                if self._clock() > send_before:
                    return Answer(Progress.NOT_SENT, TransportFault.DEADLINE_BEFORE_SEND)
                if (why := self._identity.withheld()) is not None:
                    return Answer(Progress.NOT_SENT, TransportFault.WITHHELD, why)
                return self._converse(request.operator_id, body, exchange, started)
            except NETWORK_ERRORS as exc:
                self._discard()
                if body.failure is not None:
                    raise
                return self._failed(exc, exchange, started)
            except BaseException:
                self._discard()
                raise

    def abort(self) -> None:
        """End the exchange in flight at once, from any thread; its push returns. Without one, do nothing."""
        self._line.abort()

    def close(self) -> None:
        """End the exchange in flight and close the connection; a later push is not sent. Idempotent."""
        self._closed = True
        self.abort()
        with self._busy:
            self._discard()

    @contextlib.contextmanager
    def _exchange(self, send_before: float) -> Iterator[tuple[Exchange, float]]:
        with self._busy:
            started = self._clock()
            exchange = Exchange(
                clock=self._clock, deadline=started + self._timeout.total_seconds(), send_before=send_before
            )
            self._line.begin(exchange)
            if self._closed:
                exchange.aborted = True
            try:
                yield exchange, started
            finally:
                self._line.end()
                self._used_at = self._clock()

    def _converse(self, operator_id: str, body: Body, exchange: Exchange, started: float) -> Answer:
        session = self._current_session()
        outgoing = session.http.build_request(
            "POST",
            f"{self._base}{push_path(operator_id)}",
            content=body.content(),
            extensions={"trace": exchange.trace},
        )
        answer = session.http.send(outgoing, stream=True)
        try:
            kept = bytearray()
            failure: Exception | None = None
            try:
                for piece in answer.iter_raw():
                    kept += piece
                    if len(kept) > self._answer_limit:
                        break
            except NETWORK_ERRORS as exc:
                failure = exc
        finally:
            answer.close()
        truncated = len(kept) > self._answer_limit
        fault = detail = None
        if failure is not None:
            fault, detail = fault_of(failure, exchange, answered=True)
        if failure is not None or truncated or session.transport.has_leftover():
            self._discard()
        return Answer(
            progress=exchange.progress,
            fault=fault,
            fault_detail=detail,
            http_status=answer.status_code,
            body=bytes(kept[: self._answer_limit]),
            truncated=truncated,
            retry_after=_header(answer, "Retry-After"),
            date=parse_http_date(_header(answer, "Date")),
            process_id=_header(answer, PROCESS_ID_HEADER),
            duration=timedelta(seconds=self._clock() - started),
        )

    def _failed(self, exc: Exception, exchange: Exchange, started: float) -> Answer:
        fault, detail = fault_of(exc, exchange, answered=self._line.answered)
        return Answer(exchange.progress, fault, detail, duration=timedelta(seconds=self._clock() - started))

    def _current_session(self) -> Session:
        """Return a session with the certificate in use, over a connection that is neither old nor long idle."""
        now = self._clock()
        outlived = now - self._line.opened_at > CONNECTION_AGE.total_seconds()
        idle = now - self._used_at > KEEP_ALIVE.total_seconds()
        generation = self._identity.generation
        if self._session is not None and (outlived or idle or self._session.generation != generation):
            self._discard()
        if self._session is None:
            self._session = open_session(self._identity, generation, self._line, self._timeout)
        return self._session

    def _discard(self) -> None:
        if self._session is not None:
            self._session.http.close()
            self._session = None


def _base(text: str) -> httpx.URL:
    cure = "set hub.url to a URL like https://service-qa.hubject.com/api/oicp"
    try:
        url = httpx.URL(text.rstrip("/"))
    except (httpx.InvalidURL, TypeError) as exc:
        raise ConfigurationError("hub URL is malformed", cure=cure) from exc
    if url.userinfo or url.query or url.fragment:  # perhaps a password, so the text is not shown
        raise ConfigurationError("hub URL has a user, a query or a fragment", cure=cure)
    if url.scheme != "https" or not url.host:
        raise ConfigurationError(f"hub URL {foreign_text(text)} is not https: no certificate would be shown", cure=cure)
    return url


def _header(answer: httpx.Response, name: str) -> str | None:
    value = answer.headers.get(name)
    return None if value is None else foreign_text(value, _HEADER_LENGTH)
