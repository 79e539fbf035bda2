"""Says which lane is meant, and whose EVSEs it may push."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneScope:
    """
    Which lane, and whose EVSEs it may push.

    Attributes:
        lane: Its key: the canonical OperatorID of the hub account.
        operator_keys: Canonical OperatorIDs: the account's own and its sub operators.
    """

    lane: str
    operator_keys: frozenset[str]
