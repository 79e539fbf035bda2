"""
Decides about steady EVSEs by comparing two words, which is all that `assess` would do about them.

What is not as simple as it looked is left to `assess`; a contract test draws stores at random and compares the two.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId, operator_of
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping, parse_status
from oicp_adapter.sync.assess import PATIENCE, Circumstances, becomes_less_usable
from oicp_adapter.sync.model import STEADY, Action, Record, Steady, Work, WorkReason

_OPERATOR_ENDS: Final = 9
"""Characters of a well-formed EvseID that tell its operator: `+49*810*` has eight."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """
    What a look at steady EVSEs came to.

    Attributes:
        work: What may be pushed now.
        quiet: EVSEs that need nothing, so that their hints may go.
        others: EVSEs that must be looked at in full.
    """

    work: Sequence[Work]
    quiet: Collection[CanonicalEvseId]
    others: Collection[CanonicalEvseId]


NOTHING_STEADY: Final = Sorted((), (), ())


def sort_steady(seen: Sequence[Steady], at: Circumstances) -> Sorted:
    """
    Find out which steady EVSEs the hub must be told of.

    Args:
        seen: Each EVSE once.
    """
    work: list[Work] = []
    quiet: set[CanonicalEvseId] = set()
    others: set[CanonicalEvseId] = set()
    published, foreign, now = _Published(at.mapping), _Foreign(at.operator_keys), at.now
    for canonical, evse_id, word, acknowledged, again, changed_at in seen:
        status = published[word]
        differs = status is not acknowledged
        if status is None or (differs and (again or changed_at is None)) or evse_id in foreign:
            others.add(canonical)
        elif not differs and not again:
            quiet.add(canonical)
        else:
            since = now if changed_at is None or changed_at > now else changed_at
            urgent = now - since >= PATIENCE or becomes_less_usable(acknowledged, status)
            reason = WorkReason.CHANGED if differs else WorkReason.REASSERTED
            work.append(Work(Record(canonical, evse_id, status), Action.UPDATE, reason, since, urgent, STEADY))
    return Sorted(work, quiet, others)


class _Published(dict[str, OicpStatus | None]):
    """What is published for a charger's word, found once; None: the table does not know it."""

    def __init__(self, mapping: StatusMapping) -> None:
        super().__init__()
        self._mapping = mapping

    def __missing__(self, word: str) -> OicpStatus | None:
        parsed = parse_status(word)
        found = self[word] = self._mapping.oicp(parsed) if parsed is not None else None
        return found


class _Foreign:
    """Which EvseIDs name no operator of the lane, found once for all that begin alike."""

    def __init__(self, operator_keys: Collection[str]) -> None:
        self._operator_keys = operator_keys
        self._known: dict[str, bool] = {}

    def __contains__(self, evse_id: EvseId) -> bool:
        beginning = evse_id[:_OPERATOR_ENDS]
        known = self._known.get(beginning)
        if known is None:
            known = self._known[beginning] = operator_of(evse_id) not in self._operator_keys
        return known
