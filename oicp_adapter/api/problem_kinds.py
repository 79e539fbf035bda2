"""Lists every type of problem that an answer can have; the documentation and the OpenAPI document are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from oicp_adapter.domain.errors import Refusal


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """
    One type of problem.

    Attributes:
        name: The last part of its `type`.
        meaning: What it means, and what a client does about it; for the documentation.
    """

    name: str
    status: HTTPStatus
    title: str
    meaning: str

    @property
    def type(self) -> str:
        """Its `type`, a relative reference."""
        return f"/problems/{self.name}"


_KINDS: Final = (
    ProblemKind(
        "malformed-request",
        HTTPStatus.BAD_REQUEST,
        "The request cannot be read",
        "The body is no JSON in UTF-8, or a header makes no sense. Mend the client.",
    ),
    ProblemKind(
        Refusal.UNAUTHENTICATED,
        HTTPStatus.UNAUTHORIZED,
        "No valid token",
        "The header `Authorization: Bearer TOKEN` is missing, or the token is not known, expired or revoked.",
    ),
    ProblemKind(
        Refusal.NOT_PERMITTED,
        HTTPStatus.FORBIDDEN,
        "Outside the token's scope",
        "The token does not allow this action, kind, EVSE or duration. Ask for one that does.",
    ),
    ProblemKind(
        Refusal.NOT_FOUND,
        HTTPStatus.NOT_FOUND,
        "Not found",
        "There is no such path, temporary status or EVSE, or nothing stands under the reference.",
    ),
    ProblemKind(
        "method-not-allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path exists, but not with this method; the header `Allow` has those that it knows.",
    ),
    ProblemKind(
        Refusal.WINDOW_OVER,
        HTTPStatus.CONFLICT,
        "The temporary status is over",
        "What has ended never changes. Set a new one.",
    ),
    ProblemKind(
        Refusal.START_PASSED,
        HTTPStatus.CONFLICT,
        "The start has passed",
        "A start that has passed does not move. Leave `validFrom` out, or end this one and set another.",
    ),
    ProblemKind(
        Refusal.CHANGED_MEANWHILE,
        HTTPStatus.PRECONDITION_FAILED,
        "Changed meanwhile",
        "Somebody changed it since the `ETag` that `If-Match` names. Read it again and decide anew.",
    ),
    ProblemKind(
        "body-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "A request may have 1 MiB. Send several.",
    ),
    ProblemKind(
        Refusal.INVALID,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The request is not valid",
        "A field or parameter is wrong; `errors` names each. Sending it again unchanged makes no sense.",
    ),
    ProblemKind(
        Refusal.UNKNOWN_EVSE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Unknown EVSE",
        "The store has no such EVSE; nothing was changed.",
    ),
    ProblemKind(
        Refusal.TOO_MANY,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Too many EVSEs",
        "One request reaches 5,000 EVSEs at most. Send several.",
    ),
    ProblemKind(
        Refusal.KEY_REUSED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The idempotency key was used for another request",
        "Use a new `Idempotency-Key` for each new request, and the same one only to repeat it.",
    ),
    ProblemKind(
        Refusal.RATE_LIMITED,
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests",
        "Wait for as many seconds as `Retry-After` says.",
    ),
    ProblemKind(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "Not the client's fault; the log of `serve` has more. Whether a change was made is not known: read it.",
    ),
    ProblemKind(
        "store-unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The store does not answer",
        "Try again after as many seconds as `Retry-After` says; with an `Idempotency-Key` a change is made once.",
    ),
)

PROBLEMS: Final[Mapping[str, ProblemKind]] = MappingProxyType({str(kind.name): kind for kind in _KINDS})
"""Every type of problem by its name, in the order of their statuses."""
