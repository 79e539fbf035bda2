"""
Decides what an answer of the hub means: {applied, not applied, unknown} x {record, account, hub}.

Everything that reads an answer's status, code or text for meaning lives in this file.

1. Only HTTP 200 with `Result: true` and code 000 is an acknowledgement.
2. What cannot be understood is unknown, never refused: it may have been applied.
3. A fault before the body was handed over completely is "not applied", whatever the network said.

Source: OICP 2.3 CPO, eRoamingAcknowledgment and status codes; ../shared/oicp/facts.md "Answers".
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Final

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.sync.answers import (
    Answer,
    Effect,
    ExistenceHint,
    Progress,
    Reason,
    Scope,
    TransportFault,
    Verdict,
)

RETRY_AFTER_CAP: Final = timedelta(minutes=15)
"""Longest wait that a hub may ask for; an absurd header must not stop a lane for days."""

SUCCESS: Final = "000"
_THREE_DIGITS: Final = re.compile("[0-9]{3}")

CODES: Final[Mapping[str, tuple[Effect, Scope, Reason]]] = MappingProxyType(
    {
        "001": (Effect.UNKNOWN, Scope.HUB, Reason.HUB_TROUBLE),
        "002": (Effect.UNKNOWN, Scope.HUB, Reason.HUB_TROUBLE),
        "009": (Effect.UNKNOWN, Scope.HUB, Reason.HUB_TROUBLE),
        "021": (Effect.UNKNOWN, Scope.HUB, Reason.HUB_TROUBLE),
        "310": (Effect.UNKNOWN, Scope.HUB, Reason.HUB_TROUBLE),
        "320": (Effect.UNKNOWN, Scope.HUB, Reason.HUB_TROUBLE),
        "017": (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.UNAUTHORIZED),
        "018": (Effect.NOT_APPLIED, Scope.RECORD, Reason.INVALID_RECORD),
        "022": (Effect.NOT_APPLIED, Scope.RECORD, Reason.INVALID_RECORD),
        "210": (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.NO_CONTRACT),
        "300": (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.PARTNER_NOT_FOUND),
        "603": (Effect.NOT_APPLIED, Scope.RECORD, Reason.INVALID_RECORD),
        "604": (Effect.NOT_APPLIED, Scope.RECORD, Reason.INVALID_RECORD),
    }
)
"""What the codes mean that a push can meet, besides `SUCCESS`."""

_OTHER_CODE: Final = (Effect.NOT_APPLIED, Scope.RECORD, Reason.REFUSED)
"""A code of another service is a refusal of the request that does not pass by itself."""

_STATUSES: Final[Mapping[int, tuple[Effect, Scope, Reason]]] = MappingProxyType(
    {
        401: (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.UNAUTHORIZED),
        403: (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.FORBIDDEN),
        404: (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.NOT_FOUND),
        408: (Effect.UNKNOWN, Scope.HUB, Reason.HTTP_STATUS),
        413: (Effect.NOT_APPLIED, Scope.RECORD, Reason.TOO_LARGE),
        429: (Effect.NOT_APPLIED, Scope.HUB, Reason.RATE_LIMITED),
    }
)
_STATUS_CLASSES: Final[Mapping[int, tuple[Effect, Scope, Reason]]] = MappingProxyType(
    {
        4: (Effect.NOT_APPLIED, Scope.RECORD, Reason.HTTP_STATUS),
        5: (Effect.UNKNOWN, Scope.HUB, Reason.HTTP_STATUS),
    }
)
_OTHER_STATUS: Final = (Effect.UNKNOWN, Scope.HUB, Reason.HTTP_STATUS)
"""1xx, 2xx other than 200, redirects: nothing that a hub sends, so nothing to rely on."""

_PARTNER_NOT_FOUND: Final = "300"

_FAULTS: Final[Mapping[TransportFault, tuple[Scope, Reason]]] = MappingProxyType(
    {
        TransportFault.DEADLINE_BEFORE_SEND: (Scope.NONE, Reason.NOT_SENT),
        TransportFault.WITHHELD: (Scope.ACCOUNT, Reason.CERTIFICATE),
        TransportFault.CONNECT: (Scope.HUB, Reason.CONNECT),
        TransportFault.TLS_HANDSHAKE: (Scope.HUB, Reason.TLS),
        TransportFault.TLS_ALERT: (Scope.ACCOUNT, Reason.CERTIFICATE),
        TransportFault.TIMEOUT: (Scope.HUB, Reason.TIMEOUT),
        TransportFault.CUT: (Scope.HUB, Reason.CUT),
    }
)
_CERTIFICATE_PAGES: Final = frozenset({HTTPStatus.BAD_REQUEST, 495, 496})
_RECORD_INDEX: Final = re.compile(r"evseStatusRecord\[(\d{1,7})\]", re.IGNORECASE)
_ABOUT_A_RECORD: Final = re.compile(r"evse|record", re.IGNORECASE)
"""A partner, an offer or a page that is not found says nothing about a record."""

_DETAILS: Final = 10
"""Named details of an answer that are put into words; what is shown is cut at 200 characters anyway."""

_EXISTS: Final = re.compile(r"already\s+(exist|present|known)|\bdoes\s+exist|\bexists\b", re.IGNORECASE)
_MISSING: Final = re.compile(
    r"not\s+(exist|found|known|present)|unknown\s+evse|no\s+such|n't\s+exist|does\s+not\s+exist", re.IGNORECASE
)


def classify(answer: Answer, records: int) -> Verdict:
    """
    Judge one exchange.

    Args:
        answer: What the wire saw.
        records: How many records the request carried; bounds the indices that an answer may name.

    Returns:
        The verdict. An unknown effect means doubt; a refusal with scope RECORD names its records when the hub did.
    """
    if answer.fault is not None:
        return _judge_fault(answer)
    if refuses_certificate(answer.http_status, answer.body):
        return Verdict(Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.CERTIFICATE, detail=_words(answer))
    if answer.http_status == HTTPStatus.OK:
        return _judge_acknowledgement(answer)
    if answer.http_status == HTTPStatus.BAD_REQUEST:
        return _judge_bad_request(answer, records)
    return _judge_status(answer, answer.http_status or 0)


def refuses_certificate(status: int | None, body: bytes) -> bool:
    """
    Tell whether a front proxy refuses the client certificate in a page.

    nginx ends the handshake whatever the certificate, and answers the first request with such a page; else it would be
    taken for a refusal of the records.

    Source: nginx, ngx_http_ssl_module, "Error Processing"; Hubject's help page on certificates tells of its HTTP 400.
    """
    return status in _CERTIFICATE_PAGES and not body.lstrip().startswith(b"{") and b"SSL certificate" in body


def parse_retry_after(header: str | None, date: datetime | None) -> timedelta | None:
    """
    Return how long a Retry-After header asks to wait, at most 15 minutes; None when it asks for nothing sensible.

    Args:
        header: Seconds or an HTTP date, as it came.
        date: The answer's own Date header: an HTTP date is meant by the hub's clock, not ours.

    Source: RFC 9110 §10.2.3.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text[:12]), 10**9)), RETRY_AFTER_CAP)
    until = parse_http_date(text)
    if until is None or date is None:
        return None
    return max(timedelta(), min(until - date, RETRY_AFTER_CAP))


def parse_http_date(header: str | None) -> datetime | None:
    """
    Return what a header with an HTTP date says, aware, UTC; None: it is absent, or no date.

    Source: RFC 9110 §5.6.7.
    """
    try:
        date = parsedate_to_datetime(header or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _judge_fault(answer: Answer) -> Verdict:
    assert answer.fault is not None  # noqa: S101 - narrows the type; the caller has tested it
    scope, reason = _FAULTS[answer.fault]
    unknown = answer.progress is Progress.SENT and answer.fault is not TransportFault.TLS_ALERT
    effect = Effect.UNKNOWN if unknown else Effect.NOT_APPLIED
    return Verdict(effect, scope, reason, detail=foreign_text(answer.fault_detail or answer.fault.value))


def _judge_acknowledgement(answer: Answer) -> Verdict:
    body = _decode(answer)
    code = _code(body)
    result = body.get("Result") if body else None
    if body is None or code is None or not isinstance(result, bool):
        return Verdict(Effect.UNKNOWN, Scope.HUB, Reason.UNDECODABLE, code, _words(answer))
    if result is (code != SUCCESS):
        return Verdict(Effect.UNKNOWN, Scope.HUB, Reason.CONTRADICTORY, code, _words(answer))
    if result and answer.progress is not Progress.SENT:
        return Verdict(Effect.UNKNOWN, Scope.HUB, Reason.CONTRADICTORY, code, "acknowledged before it was sent")
    if result:
        return Verdict(Effect.APPLIED, code=code)
    effect, scope, reason = CODES.get(code, _OTHER_CODE)
    return Verdict(effect, scope, reason, code, _words(answer), existence=_existence(code, answer))


def _judge_bad_request(answer: Answer, records: int) -> Verdict:
    body = _decode(answer)
    code = _code(body)
    if code is not None and code in CODES:
        effect, scope, reason = CODES[code]
        return Verdict(effect, scope, reason, code, _words(answer), existence=_existence(code, answer))
    return Verdict(
        Effect.NOT_APPLIED,
        Scope.RECORD,
        Reason.INVALID_RECORD,
        code,
        _words(answer),
        bad_records=_named_records(body, records),
        existence=_existence(code, answer),
    )


def _judge_status(answer: Answer, status: int) -> Verdict:
    code = _code(_decode(answer))
    effect, scope, reason = _STATUSES.get(status) or _STATUS_CLASSES.get(status // 100, _OTHER_STATUS)
    if reason is Reason.NOT_FOUND and code == _PARTNER_NOT_FOUND:
        reason = Reason.PARTNER_NOT_FOUND
    wait = parse_retry_after(answer.retry_after, answer.date) if scope is Scope.HUB else None
    return Verdict(effect, scope, reason, code, _words(answer), retry_after=wait)


def _decode(answer: Answer) -> Mapping[str, object] | None:
    if answer.truncated:
        return None
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _code(body: Mapping[str, object] | None) -> str | None:
    status = body.get("StatusCode") if body else None
    code = status.get("Code") if isinstance(status, dict) else None
    return code if isinstance(code, str) and _THREE_DIGITS.fullmatch(code) else None


def _named_records(body: Mapping[str, object] | None, records: int) -> Sequence[int]:
    errors = body.get("validationErrors") if body else None
    found: set[int] = set()
    for error in errors if isinstance(errors, list) else ():
        reference = error.get("fieldReference") if isinstance(error, dict) else None
        if isinstance(reference, str) and (match := _RECORD_INDEX.search(reference)) and int(match[1]) < records:
            found.add(int(match[1]))
    return tuple(sorted(found))


def _existence(code: str | None, answer: Answer) -> ExistenceHint | None:
    if code == "603":
        return ExistenceHint.MISSING
    text = _words(answer)
    if not _ABOUT_A_RECORD.search(text):
        return None
    if _MISSING.search(text):
        return ExistenceHint.MISSING
    return ExistenceHint.EXISTS if _EXISTS.search(text) else None


def _words(answer: Answer) -> str:
    """Return the hub's own words: its description and additional information, else the beginning of the body."""
    body = _decode(answer)
    status = body.get("StatusCode") if body else None
    said: list[object] = []
    if isinstance(status, dict):
        said = [status.get("Description"), status.get("AdditionalInfo")]
    elif body is not None:
        said = [body.get("message"), body.get("validationErrors")]
    text = ", ".join(_plain(part) for part in said if part)
    return foreign_text(text or f"HTTP {answer.http_status} {answer.body[:120].decode('utf-8', 'replace')}".strip())


def _plain(said: object, depth: int = 2) -> str:
    """Put named details into words, `name: value`; of many the first, of what lies deeper nothing."""
    if isinstance(said, dict) and depth:
        return ", ".join(f"{name}: {_plain(value, depth - 1)}" for name, value in islice(said.items(), _DETAILS))
    if isinstance(said, list) and depth:
        return "; ".join(_plain(value, depth - 1) for value in islice(said, _DETAILS))
    return "…" if isinstance(said, dict | list) else str(said)
