"""Names the checks, and says what one of them finds; `docs/check.md` has a row for each name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from oicp_adapter.domain.errors import AdapterError, ConfigurationError, StoreError
from oicp_adapter.domain.exit_codes import ExitCode


class Check(StrEnum):
    """The name of one check; scripts and the table of findings know it by this."""

    SETTINGS = "settings"
    OPERATORS = "settings.operators"
    CONTROL = "control.exposure"
    CONTROL_CERTIFICATE = "control.certificate"
    URL = "hub.url"
    AUTHORITIES = "hub.ca_file"
    KEY_FILE = "client.key_file"
    PAIR = "client.pair"
    VALIDITY = "client.validity"
    OPERATOR = "client.operator"
    CHAIN = "client.chain"
    PURPOSE = "client.purpose"
    NAME = "hub.name"
    CONNECTION = "hub.connection"
    HUB_CERTIFICATE = "hub.certificate"
    HANDSHAKE = "hub.handshake"
    ACCEPTED = "hub.client_certificate"
    INTERMEDIARY = "hub.intermediary"
    ADMISSION = "hub.admission"
    HUB_CLOCK = "hub.clock"
    REFUSAL = "hub.last_answer"
    FILE = "store.file"
    STORE = "store.connection"
    RIGHTS = "store.rights"
    RELATIONS = "store.relations"
    SCHEMA = "store.schema"
    LIBRARY = "store.sqlite"
    HINTS = "store.hints"
    STORE_CLOCK = "store.clock"
    INDEXES = "store.indexes"
    TIMESTAMPS = "store.timestamps"
    IDENTITY = "store.identity"
    REJECTED = "fleet.rejected"
    UNSERVED = "fleet.unserved"
    UNMAPPED = "fleet.unmapped"
    WINDOWS = "fleet.windows"
    FLEET = "fleet.pushed"


class Level(StrEnum):
    """How much a finding matters; an error keeps the daemon from starting or from pushing."""

    ERROR = "error"
    WARNING = "warning"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that was looked at.

    Attributes:
        check: Who looked.
        subject: What it is about: `settings`, `hub`, `control`, `store`, `fleet`, or an OperatorID.
        what: What was found.
        cure: What to do about it; empty: nothing.
        exit_code: What `check` exits with on this error: 78 when something must be corrected here, 69 when a
            dependency is unavailable.
        starts: The daemon starts in spite of this error, and tries by itself until it can push.
    """

    check: Check
    level: Level
    subject: str
    what: str
    cure: str = ""
    exit_code: ExitCode = ExitCode.CONFIGURATION
    starts: bool = False

    @classmethod
    def from_error(cls, check: Check, subject: str, error: AdapterError) -> Self:
        """Make an error of one of ours."""
        if isinstance(error, ConfigurationError | StoreError):
            return cls(check, Level.ERROR, subject, error.what, error.cure, error.exit_code)
        return cls(check, Level.ERROR, subject, str(error), exit_code=error.exit_code)
