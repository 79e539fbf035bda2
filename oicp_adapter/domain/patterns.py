"""
Matches EvseIDs with a pattern, whatever their spelling.

`%` stands for any characters, `_` for one. `*` and `+` separate the parts of an identifier and are no wildcards: they
are left out before anything is compared, as everywhere.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from oicp_adapter.domain.identifiers import evse_key

MANY: Final = "%"
ONE: Final = "_"
ESCAPE: Final = "\\"
"""What keeps a character of a pattern in SQL from being a wildcard; no identifier has it."""


@dataclass(frozen=True, slots=True)
class EvsePattern:
    """
    A pattern of EvseIDs, in any spelling.

    Attributes:
        text: As it was written.
    """

    text: str
    _matcher: "re.Pattern[str]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = {MANY: ".*", ONE: "."}
        expression = "".join(parts.get(character) or re.escape(character) for character in self.canonical)
        object.__setattr__(self, "_matcher", re.compile(expression, re.DOTALL))

    @property
    def canonical(self) -> str:
        """The form in which all spellings are equal, wildcards included; for SQL's LIKE with `ESCAPE`."""
        return evse_key(self.text)

    @property
    def has_wildcard(self) -> bool:
        """Whether it can match more than the spellings of one EvseID."""
        return MANY in self.text or ONE in self.text

    def matches(self, evse_id: str) -> bool:
        """Tell whether it describes an EVSE."""
        return self._matcher.fullmatch(evse_key(evse_id)) is not None
