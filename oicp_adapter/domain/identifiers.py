"""
Parses and compares EvseIDs and OperatorIDs.

1. An identifier is never rewritten: what came is what goes to the hub, since Hubject compares the OperatorID with the
   client certificate as text.
2. Two spellings of one charging spot compare equal by their canonical form, which is used for nothing but comparing.
"""

import re
from dataclasses import dataclass
from typing import Final, NewType

from oicp_adapter.domain.errors import MalformedIdentifierError

EvseId = NewType("EvseId", str)
"""An EvseID exactly as the store spells it; not necessarily well-formed."""

OperatorId = NewType("OperatorId", str)
"""An OperatorID exactly as the store or the settings spell it; not necessarily well-formed."""

CanonicalEvseId = NewType("CanonicalEvseId", str)
"""The form in which all spellings of one charging spot are equal."""

CanonicalOperatorId = NewType("CanonicalOperatorId", str)
"""The form in which all spellings of one operator are equal."""

# The grammars as the hub's OpenAPI description states them; the leading document admits upper case only, but a hub that
# refuses lower case names the record, so nothing is lost by letting it through.
_ISO_EVSE = re.compile(r"([A-Za-z]{2})\*?([A-Za-z0-9]{3})\*?E([A-Za-z0-9*]{1,30})")
_DIN_EVSE = re.compile(r"\+?([0-9]{1,3})\*([0-9]{3})\*([0-9*]{1,32})")
_ISO_OPERATOR = re.compile(r"([A-Za-z]{2})\*?([A-Za-z0-9]{3})")
_DIN_OPERATOR = re.compile(r"\+?([0-9]{1,3})\*([0-9]{3})")


KEY_LENGTH: Final = 64
"""Characters of a key. The longest well-formed identifier has 41; what is longer is malformed whatever follows."""


@dataclass(frozen=True, slots=True)
class ParsedEvseId:
    """
    One well-formed EvseID.

    Attributes:
        text: The spelling that came; the only form that may leave the house.
        canonical: Equal for all spellings of the same charging spot.
        operator: Canonical form of the operator inside the EvseID.

    Source: OICP 2.3 CPO, EvseIDType; ISO 15118-1 and DIN SPEC 91286.
    """

    text: EvseId
    canonical: CanonicalEvseId
    operator: CanonicalOperatorId


def parse_evse_id(text: str) -> ParsedEvseId:
    """
    Parse an EvseID of the ISO form (`DE*ABC*E1`, `DEABCE1`) or the DIN form (`+49*810*000*438`).

    Neither separators, nor the case of letters, nor the plus of the DIN form distinguish charging spots.

    Raises:
        MalformedIdentifierError: The text follows neither grammar.
    """
    operator = operator_of(text)
    if operator is None:
        raise MalformedIdentifierError(kind="EvseID", text=text)
    return ParsedEvseId(EvseId(text), evse_key(text), operator)


def operator_of(text: str) -> CanonicalOperatorId | None:
    """Return the operator that an EvseID names, as `parse_evse_id` does at a fraction of its price; None: malformed."""
    match = _ISO_EVSE.fullmatch(text) or _DIN_EVSE.fullmatch(text)
    return CanonicalOperatorId((match[1] + match[2]).upper()) if match else None


def evse_key(text: str) -> CanonicalEvseId:
    """
    Return the key by which rows of the store are matched with each other, for well-formed and malformed text alike.

    Equal for all spellings of one charging spot. The store computes the same in SQL.
    """
    return CanonicalEvseId(_key(text))


def operator_key(text: str) -> CanonicalOperatorId:
    """Return the key by which rows of the store are matched with operators; as `evse_key`, also computed in SQL."""
    return CanonicalOperatorId(_key(text))


def is_operator_id(text: str) -> bool:
    """Tell whether a text follows one of the grammars of an OperatorID."""
    return (_ISO_OPERATOR.fullmatch(text) or _DIN_OPERATOR.fullmatch(text)) is not None


def parse_operator_id(text: str) -> CanonicalOperatorId:
    """
    Return the canonical form of a well-formed OperatorID (`DE*ABC`, `DEABC`, `+49*810`).

    Raises:
        MalformedIdentifierError: The text follows neither grammar.
    """
    if is_operator_id(text):
        return operator_key(text)
    raise MalformedIdentifierError(kind="OperatorID", text=text)


_SIGNIFICANT = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "*+")


def _key(text: str) -> str:
    return text.translate(_SIGNIFICANT)[:KEY_LENGTH]
