"""
The commands, one module per group; this one holds what all of them share.

1. Machine-readable output and tables go to stdout, everything else to stderr.
2. A command raises an AdapterError and lets `main` turn it into one line and the exit code.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from oicp_adapter.domain.errors import MalformedIdentifierError, WrongArgumentError
from oicp_adapter.domain.identifiers import parse_operator_id

if TYPE_CHECKING:
    from oicp_adapter.settings import Settings

LONGEST: Final = 366 * 86_400
"""Seconds that an option takes at most, a year: neither a wait nor a date can be of any length."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """
    What stands on the command line before the command.

    Attributes:
        config: The file that `--config` names; None: `OICP_ADAPTER_CONFIG` or no file.
        debug: Errors are shown with their traceback.
    """

    config: Path | None = None
    debug: bool = False

    def settings(self, overrides: Mapping[str, object] | None = None) -> "Settings":
        """
        Read the settings; *overrides* are the command's own options by dotted key.

        Raises:
            ConfigurationError: Anything in them is wrong.
        """
        from oicp_adapter.settings import load_settings  # noqa: PLC0415 - slow to import; `run` heeds signals before

        return load_settings(self.config, overrides, os.environ)


def invocation(context: typer.Context) -> Invocation:
    """Return what stands on the command line before the command."""
    found = context.find_object(Invocation)
    return found if found is not None else Invocation()


def operator_id_argument(text: str, option: str) -> str:
    """
    Return an OperatorID of the command line as it came.

    Raises:
        WrongArgumentError: It follows neither the ISO nor the DIN form.
    """
    try:
        parse_operator_id(text)
    except MalformedIdentifierError as exc:
        raise WrongArgumentError(str(exc), cure=f"correct {option}") from exc
    return text
