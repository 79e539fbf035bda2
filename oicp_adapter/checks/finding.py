"""Says what a finding is."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from oicp_adapter.domain.errors import AdapterError, ConfigurationError, StoreError
from oicp_adapter.domain.exit_codes import ExitCode


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
        subject: What it is about: `settings`, `hub`, `control`, `store`, or an OperatorID.
        what: What was found.
        cure: What to do about it; empty: nothing.
        exit_code: What `check` exits with on this error: 78 when something must be corrected here, 69 when a
            dependency is unavailable.
        starts: The daemon starts in spite of this error, and tries by itself until it can push.
    """

    level: Level
    subject: str
    what: str
    cure: str = ""
    exit_code: ExitCode = ExitCode.CONFIGURATION
    starts: bool = False

    @classmethod
    def from_error(cls, subject: str, error: AdapterError) -> Self:
        """Make an error of one of ours."""
        if isinstance(error, ConfigurationError | StoreError):
            return cls(Level.ERROR, subject, error.what, error.cure, error.exit_code)
        return cls(Level.ERROR, subject, str(error), exit_code=error.exit_code)
