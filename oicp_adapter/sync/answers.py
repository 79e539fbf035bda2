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
    WITHHELD = "withheld"
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
    """The hub acknowledged it."""

    NOT_APPLIED = "not_applied"
    """The hub did nothing with it, for certain."""

    UNKNOWN = "unknown"
    """It may have been applied: its records are in doubt, and are asserted again."""


class Scope(StrEnum):
    """Whose fault it is, and so who waits: the record, the lane, or everyone."""

    NONE = "none"
    """Nobody's: nothing was sent."""

    RECORD = "record"
    """A record's: it waits, and healthy ones go on."""

    ACCOUNT = "account"
    """The account's or the settings': the lane waits, and a person must correct something."""

    HUB = "hub"
    """The hub's or the network's: the lane waits, and it passes."""


class Reason(StrEnum):
    """Why a push was not acknowledged; also the metric label."""

    NOT_SENT = "not_sent"
    """The time for the first byte had passed; nothing was sent, the next request is decided anew."""

    CONNECT = "connect"
    """No connection to the hub: name, route, firewall or port."""

    TLS = "tls"
    """The TLS handshake failed for another cause than our certificate, as an authority that `hub.ca_file` lacks."""

    CERTIFICATE = "certificate"
    """
    The client certificate was refused, in TLS or by a page of a front proxy, or did not hold at the start and is not
    shown; only a person ends it.
    """

    TIMEOUT = "timeout"
    """No complete answer within `hub.request_timeout`; whether it was applied is not known."""

    CUT = "cut"
    """The connection broke; whether the request was applied is known only if it had not been sent completely."""

    HTTP_STATUS = "http_status"
    """An HTTP status that has no reason of its own; a 5xx may have been applied."""

    UNDECODABLE = "undecodable"
    """HTTP 200 with a body that is no acknowledgement; it may have been applied."""

    CONTRADICTORY = "contradictory"
    """An acknowledgement whose result and code contradict each other; it may have been applied."""

    TOO_LARGE = "too_large"
    """HTTP 413: fewer records travel in the next request."""

    RATE_LIMITED = "rate_limited"
    """HTTP 429: the lane waits, at least as long as the hub asks."""

    HUB_TROUBLE = "hub_trouble"
    """A status code about the hub's own trouble; it passes, and the request may have been applied."""

    UNAUTHORIZED = "unauthorized"
    """HTTP 401 or code 017: certificate and OperatorID do not belong together, or the certificate expired."""

    FORBIDDEN = "forbidden"
    """HTTP 403: the front of the hub does not let this address through."""

    NO_CONTRACT = "no_contract"
    """Code 210: the account has no active contract at the hub."""

    PARTNER_NOT_FOUND = "partner_not_found"
    """Code 300: the hub does not know the OperatorID."""

    NOT_FOUND = "not_found"
    """HTTP 404 without code 300: `hub.url` is not the base of the API."""

    INVALID_RECORD = "invalid_record"
    """HTTP 400, or a code about a record: the lane looks for the record that is at fault."""

    REFUSED = "refused"
    """Refused with a code that belongs to another service; it does not pass by itself."""

    EVERYTHING_REFUSED = "everything_refused"
    """Refusal after refusal, so no record is to blame: the lane is held and tries one record at a time."""


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
