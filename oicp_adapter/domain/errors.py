"""
The one tree of errors.

    AdapterError                 everything we raise on purpose; `reason` is a closed enum and a metric label
    |- ConfigurationError        78  the settings, or a file they name, contradict themselves
    |  |- WrongArgumentError     2   what stands on a command line is wrong
    |  |- MappingRefusedError        an override would show an unusable charger as available
    |  `- CertificateError           a certificate or key does not load, match or hold
    |- MalformedIdentifierError      an EvseID or OperatorID follows neither grammar
    |- StoreError                69  the shared store
    |  |- StoreUnavailableError      can pass by itself: no connection or login, lock time-out, server restarting
    |  |- StoreSchemaError           does not pass: tables missing, of another version, or without the rights
    |  |- ForeignStoreError      78  the store is not the one that the lane knows, until a person adopts it
    |  `- StoreClockError            its clock is absurdly far away, so no window can be judged
    |- LaneHeldElsewhereError    75  another process holds the lane, and that is final
    `- RequestRefusedError       2   what somebody asked of the control service; `refusal` is the problem's type

Answers of the hub are not errors: they are classified (`sync/classify.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from oicp_adapter.domain.exit_codes import ExitCode

FOREIGN_TEXT_LIMIT: Final = 200
"""Characters of somebody else's text that an error, a log line or a page shows."""

_WITH_PATHS: Final = 1000
"""Characters of an error that names paths, which may come from an argument."""

_OWN_TEXT_LIMIT: Final = 2000
"""Characters of an error of ours with its cure; somebody else's words in it were cut before."""


class ErrorReason(StrEnum):
    """Why an operation was not done, as a metric label."""

    CONFIGURATION = "configuration"
    """The settings, a file that they name, or an argument is wrong."""

    CERTIFICATE = "certificate"
    """A certificate or private key does not load, match its partner or hold now."""

    MALFORMED_IDENTIFIER = "malformed_identifier"
    """A text is no EvseID or no OperatorID."""

    STORE_UNAVAILABLE = "store_unavailable"
    """The store did not answer, or a lock was not granted in time; it is tried again."""

    STORE_SCHEMA = "store_schema"
    """The store's tables are missing, of another version, or out of reach of this user."""

    FOREIGN_STORE = "foreign_store"
    """The store is a clone, a copy or another hub's, until `oicp-adapter adopt`."""

    STORE_CLOCK = "store_clock"
    """The store's clock is more than a day from what this host has counted."""

    LANE_HELD_ELSEWHERE = "lane_held_elsewhere"
    """Another process holds what only one may hold."""

    REQUEST_REFUSED = "request_refused"
    """The control service does not do what it was asked to; the problem's type says why."""

    INTERNAL = "internal"
    """An error that nobody foresaw; the log has where."""


class StoreFault(StrEnum):
    """What kept the store from doing what was asked, where that can pass by itself."""

    UNREACHABLE = "unreachable"
    """No connection came about, or one was cut: nothing listens, the name is not known, the network is down."""

    NO_ANSWER = "no_answer"
    """Nobody answered in time: a firewall drops what is sent, or the server hangs."""

    LOGIN_REFUSED = "login_refused"
    """The server does not let this user in: role, password or `pg_hba.conf`."""

    NO_DATABASE = "no_database"
    """The server has no database of that name."""

    ENDED_BY_SERVER = "ended_by_server"
    """The server stops or starts, or somebody there ended the connection."""

    BUSY = "busy"
    """A lock, a free connection or the end of a statement was not had in time, or two transactions met."""

    EXHAUSTED = "exhausted"
    """The server or the disk has no more room, memory or connections."""

    READ_ONLY = "read_only"
    """It takes no writes: a standby, after a fail-over."""

    FILE = "file"
    """SQLite's file cannot be opened, read or written just now."""

    OTHER = "other"
    """Anything else that can pass by itself; the words tell it."""


class Refusal(StrEnum):
    """Why the control service does not do what it is asked to; also the type of the API's problem."""

    UNAUTHENTICATED = "unauthenticated"
    NOT_PERMITTED = "not-permitted"
    NOT_FOUND = "not-found"
    UNKNOWN_EVSE = "unknown-evse"
    INVALID = "invalid"
    WINDOW_OVER = "window-over"
    START_PASSED = "start-passed"
    CHANGED_MEANWHILE = "changed-meanwhile"
    TOO_MANY = "too-many"
    KEY_REUSED = "key-reused"
    RATE_LIMITED = "rate-limited"


class AdapterError(Exception):
    """
    Base of everything the adapter raises on purpose.

    Attributes:
        reason: Closed enum, also the metric label.
        passes: Whether it can pass by itself, so that trying again makes sense.
        exit_code: What a command that ends with it exits with.
    """

    reason: ErrorReason
    passes: bool = False
    exit_code: ExitCode = ExitCode.INTERNAL_ERROR


def foreign_text(text: object, limit: int = FOREIGN_TEXT_LIMIT) -> str:
    """Return somebody else's text made safe to show: cut, on one line, control characters escaped."""
    shown = str(text)
    cut = shown[:limit]
    if not cut.isprintable():
        cut = cut.encode("unicode_escape").decode("ascii")
    return cut if len(shown) <= limit and len(cut) <= limit else f"{cut[:limit]}… ({len(shown)} characters)"


def error_text(error: BaseException | None) -> str:
    """Return what an error says, made safe to show: one of ours whole, for its cure stands last; any other one cut."""
    return foreign_text(error, _OWN_TEXT_LIMIT if isinstance(error, AdapterError) else FOREIGN_TEXT_LIMIT)


class ConfigurationError(AdapterError):
    """
    The settings, a file they name, or a command's arguments are wrong.

    Attributes:
        what: What is wrong, with the object it concerns.
        cure: What to do about it.
    """

    reason = ErrorReason.CONFIGURATION
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, what: str, *, cure: str) -> None:
        self.what = what
        self.cure = cure
        super().__init__(f"{what}: {cure}")


class WrongArgumentError(ConfigurationError):
    """An argument of a command, or the file that it names, is wrong: wrong usage, not wrong settings."""

    exit_code = ExitCode.WRONG_USAGE


class MappingRefusedError(ConfigurationError):
    """
    An override of `[mapping]` would publish an unusable charger as Available.

    Attributes:
        status: The technical or temporary status of that line.
    """

    def __init__(self, *, status: str) -> None:
        self.status = status
        super().__init__(
            f"[mapping] publishes {status} as Available",
            cure=f"drivers would be sent to a dead charger; remove the line or name another OICP status for {status}",
        )


class CertificateError(ConfigurationError):
    """A certificate or private key does not load, does not match its partner, or does not hold now."""

    reason = ErrorReason.CERTIFICATE

    def __init__(self, what: str, *, cure: str) -> None:
        super().__init__(foreign_text(what, _WITH_PATHS), cure=cure)


class MalformedIdentifierError(AdapterError):
    """
    An EvseID or OperatorID follows neither the ISO nor the DIN grammar.

    Attributes:
        kind: `EvseID` or `OperatorID`.
        text: What came.
    """

    reason = ErrorReason.MALFORMED_IDENTIFIER

    def __init__(self, *, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        wanted = {"EvseID": "DE*ABC*E1 or +49*810*000*438", "OperatorID": "DE*ABC or +49*810"}[kind]
        super().__init__(f"{foreign_text(text, 60)!r} is no {kind}: expected a form like {wanted}")


class StoreError(AdapterError):
    """
    The shared store could not do what was asked.

    Attributes:
        what: What is wrong, with the object it concerns.
        cure: What to do about it.
    """

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, what: str, *, cure: str) -> None:
        self.what = what
        self.cure = cure
        super().__init__(f"{what}: {cure}")


class StoreUnavailableError(StoreError):
    """
    The store did not answer, refused the login, or did not grant a lock in time; trying again makes sense.

    Attributes:
        fault: Closed enum, to tell one outage from another.
    """

    reason = ErrorReason.STORE_UNAVAILABLE
    passes = True

    def __init__(self, what: str, *, cure: str, fault: StoreFault = StoreFault.OTHER) -> None:
        self.fault = fault
        super().__init__(what, cure=cure)


class StoreSchemaError(StoreError):
    """The store's tables are missing, of another version, or out of reach of this user."""

    reason = ErrorReason.STORE_SCHEMA


class ForeignStoreError(StoreError):
    """
    The store is not the one that a lane knows: a clone, a copy, another hub's.

    Attributes:
        lane: Its OperatorID, as the settings spell it.
        differences: What differs, in words.
    """

    reason = ErrorReason.FOREIGN_STORE
    exit_code = ExitCode.CONFIGURATION

    def __init__(self, lane: str, differences: Sequence[str]) -> None:
        self.lane = lane
        self.differences = tuple(differences)
        super().__init__(
            f"lane {lane} knows another store than this ({foreign_text('; '.join(differences))}), so nothing is sent",
            cure="stop this daemon if the store is a copy; else run `oicp-adapter adopt`",
        )


class StoreClockError(StoreError):
    """
    The clock that decides is absurdly far from what this host has counted since the daemon started.

    Attributes:
        now: By the store's clock.
        counted: By this host.
    """

    reason = ErrorReason.STORE_CLOCK
    passes = True

    def __init__(self, *, now: datetime, counted: datetime) -> None:
        self.now = now
        self.counted = counted
        super().__init__(
            f"the store's clock says {now:%Y-%m-%d %H:%M} UTC, this host has counted to {counted:%Y-%m-%d %H:%M} UTC, "
            "so no temporary status is started or ended and nothing is sent",
            cure="set the clock right; if it is right, restart the daemon",
        )


class LaneHeldElsewhereError(AdapterError):
    """
    Another process holds what only one may hold, and waiting for it makes no sense.

    Attributes:
        what: That of which there is only one.
        holder: Who holds it, as far as known.
    """

    reason = ErrorReason.LANE_HELD_ELSEWHERE
    exit_code = ExitCode.HELD_ELSEWHERE

    def __init__(self, *, what: str, holder: str) -> None:
        self.what = what
        self.holder = holder
        super().__init__(f"{what} is held by {holder}: stop that process, or let it do the work")


class RequestRefusedError(AdapterError):
    """
    What somebody asked of the control service cannot be done, or not by them.

    Attributes:
        refusal: Closed enum, also the type of the API's problem.
        what: What is wrong, with the object it concerns.
        cure: What to do about it.
        field: The JSON name of the field at fault; None: it is no single one.
        facts: More for programs, as the EVSEs that are unknown.
    """

    reason = ErrorReason.REQUEST_REFUSED
    exit_code = ExitCode.WRONG_USAGE

    def __init__(
        self,
        refusal: Refusal,
        what: str,
        *,
        cure: str,
        field: str | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        self.refusal = refusal
        self.what = what
        self.cure = cure
        self.field = field
        self.facts: Mapping[str, object] = facts or {}
        super().__init__(f"{what}: {cure}")
