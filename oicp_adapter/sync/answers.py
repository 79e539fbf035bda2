"""Holds what came back from the hub, as the wire saw it and as it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Progress(StrEnum):
    """How far a request got; only a body handed over completely can have been applied."""

    NOT_SENT = "not_sent"
    PARTLY_SENT = "partly_sent"
    SENT = "sent"


class TransportFault(StrEnum):
    """Why there is no complete answer."""

    DEADLINE_BEFORE_SEND = "deadline_before_send"
    CONNECT = "connect"
    TLS_HANDSHAKE = "tls_handshake"
    TLS_ALERT = "tls_alert"
    TIMEOUT = "timeout"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One exchange with the hub, whatever came of it.

    Attributes:
        progress: How far the request got.
        fault: Why there is no complete answer; None: there is one.
        fault_detail: The library's words about it.
        http_status: Status line of the answer; None: none came.
        body: The answer's body, at most as long as the client's cap; of a longer one the beginning.
        truncated: The body was longer than the cap.
        retry_after: The header as it came.
        date: The answer's own Date header, parsed; None: absent or unreadable.
        process_id: Hubject's Process-ID, the handle that its support asks for.
        duration: From the start of the exchange to its end.
    """

    progress: Progress
    fault: TransportFault | None = None
    fault_detail: str | None = None
    http_status: int | None = None
    body: bytes = b""
    truncated: bool = False
    retry_after: str | None = None
    date: datetime | None = None
    process_id: str | None = None
    duration: timedelta = timedelta()


class Effect(StrEnum):
    """What the hub did with the request, as far as the answer tells."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """Whose fault it is, and so who waits: the record, the lane, or everyone."""

    NONE = "none"
    RECORD = "record"
    ACCOUNT = "account"
    HUB = "hub"


class Reason(StrEnum):
    """Why a push was not acknowledged; also the metric label."""

    NOT_SENT = "not_sent"
    CONNECT = "connect"
    TLS = "tls"
    CERTIFICATE = "certificate"
    TIMEOUT = "timeout"
    CUT = "cut"
    HTTP_STATUS = "http_status"
    UNDECODABLE = "undecodable"
    CONTRADICTORY = "contradictory"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    HUB_TROUBLE = "hub_trouble"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NO_CONTRACT = "no_contract"
    PARTNER_NOT_FOUND = "partner_not_found"
    NOT_FOUND = "not_found"
    INVALID_RECORD = "invalid_record"
    REFUSED = "refused"
    EVERYTHING_REFUSED = "everything_refused"


class ExistenceHint(StrEnum):
    """What a refusal says about the existence of its records at the hub."""

    EXISTS = "exists"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What an answer means.

    Attributes:
        effect: What the hub did.
        scope: Whose fault it is.
        reason: Why it was not acknowledged; None: it was.
        code: Hubject's status code, None when the body has none.
        detail: The hub's or the library's own words, cut; for people.
        bad_records: Indices of the records that the hub named, ascending, all within the request.
        existence: What the refusal says about existence; None: nothing.
        retry_after: How long the hub asked to wait, capped; None: it did not.
    """

    effect: Effect
    scope: Scope = Scope.NONE
    reason: Reason | None = None
    code: str | None = None
    detail: str | None = None
    bad_records: Sequence[int] = field(default=())
    existence: ExistenceHint | None = None
    retry_after: timedelta | None = None
