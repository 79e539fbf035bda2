"""Reads a fleet from a CSV file row by row, and tells why a file holds none."""

import csv
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

from oicp_adapter.domain.errors import WrongArgumentError, foreign_text

COLUMNS: Final = ("evse_id", "operator_id", "status")
"""The columns that a file must have; what else it may have: `fleet_import.import_fleet`."""

_SEPARATORS: Final = {";": "a semicolon (;)", "\t": "a tab", "|": "a bar (|)"}


def fleet_rows(file: Path) -> Generator[Mapping[str, str], None, None]:
    """
    Yield the rows of a CSV file in UTF-8, with or without a byte order mark, as `csv.DictReader` does.

    The file is opened with the first row and closed after the last; whoever stops before that closes the generator.

    Raises:
        WrongArgumentError: The file cannot be read, is no CSV in UTF-8, or lacks a column; any row may be the one that
            shows the former two.
    """
    shown = foreign_text(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            names = reader.fieldnames or ()
            if missing := [name for name in COLUMNS if name not in names]:
                raise WrongArgumentError(f"{shown} has no column {', '.join(missing)}", cure=_first_line(names))
            yield from reader
    except OSError as error:
        raise WrongArgumentError(f"{shown} cannot be read ({error.strerror})", cure="name a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise WrongArgumentError(
            f"{shown} is no CSV file in UTF-8 ({foreign_text(error)})", cure="save it as CSV, UTF-8"
        ) from error


def _first_line(names: Sequence[str]) -> str:
    separator = next((each for each in _SEPARATORS if any(each in name for name in names)), None)
    if separator is None:
        return f"name {', '.join(COLUMNS)} in the first line, separated by commas"
    return f"the separator seems to be {_SEPARATORS[separator]}, save the file with commas"
