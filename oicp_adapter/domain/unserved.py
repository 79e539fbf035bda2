"""Says why no lane pushes the rows of an operator, and what to do about it; the only place that words it."""

from typing import Final, NamedTuple

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import is_operator_id

_SHOWN: Final = 60


class Unserved(NamedTuple):
    """
    Why no lane pushes the rows of an operator.

    Attributes:
        why: A clause without its end, as "no account serves operator DE*XYZ".
        cure: What to do about it.
    """

    why: str
    cure: str

    def __str__(self) -> str:
        """Say both in one line."""
        return f"{self.why}: {self.cure}"


def unserved(operator_id: str) -> Unserved:
    """
    Say why no lane pushes the rows of an operator, and what to do about it.

    Args:
        operator_id: As the store spells it; the caller has found that no lane serves it. What is no OperatorID no
            account can serve: the row must be corrected.
    """
    shown = foreign_text(operator_id, _SHOWN)
    if is_operator_id(operator_id):
        return Unserved(
            f"no account serves operator {shown}",
            "add it to [[operators]], or to the sub_operators of the account that pushes it",
        )
    why = f"{shown} in operator_id is no OperatorID" if shown.strip() else "operator_id is empty"
    return Unserved(
        why, "correct the row: write the OperatorID that the contract with Hubject names, as DE*ABC or +49*810"
    )
