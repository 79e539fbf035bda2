"""
Says where a page of the keys of `evse_status` ended, also among keys that are no proper text.

SQLite orders text before blobs, and text that is not UTF-8 by its bytes: a place is the key as the driver returned it.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Text, bindparam, cast, literal_column
from sqlalchemy.sql.sqltypes import NULLTYPE

from oicp_adapter.store.types import OddText


class PlaceType(StrEnum):
    """What the key at which a page ended is."""

    TEXT = "text"
    ODD_TEXT = "odd text"
    BLOB = "blob"


def place_type(last: object) -> PlaceType | None:
    """Return what a key is, None for None: text that is not UTF-8, or a blob, is told apart from text."""
    if last is None:
        return None
    if isinstance(last, OddText):
        return PlaceType.ODD_TEXT
    return PlaceType.BLOB if isinstance(last, bytes) else PlaceType.TEXT


def place_value(last: object) -> object:
    """Return what the parameter of a key is given."""
    return last.raw if isinstance(last, OddText) else last


def place(name: str, kind: PlaceType) -> ColumnElement[Any]:
    """Return the parameter for a key of a page, to compare a column of keys with."""
    parameter = bindparam(name, type_=Text() if kind is PlaceType.TEXT else LargeBinary())
    return cast(parameter, Text()) if kind is PlaceType.ODD_TEXT else parameter


def key_as_read() -> ColumnElement[Any]:
    """Return the key of a row of `evse_status` as the driver returns it: translated, it would lose its place."""
    return literal_column("evse_status.evse_id", NULLTYPE)
