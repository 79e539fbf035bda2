"""Invents a fleet of one operator and remembers what the hub should show of it."""

from collections.abc import Iterator, Sequence
from typing import Final

OPERATOR: Final = "DE*ABC"
"""The operator of the daemon's lane."""

BARE_OPERATOR: Final = "DE*BEN"
"""The operator of the bare client, so that it leaves the daemon's EVSEs alone."""

_WORDS: Final = ("Available", "Charging", "Faulted")
_OICP: Final = ("Available", "Occupied", "OutOfService")


class Fleet:
    """EVSEs whose statuses go round: each change of one gives it another status."""

    def __init__(self, operator: str, size: int) -> None:
        self.operator = operator
        self.evse_ids = [f"{operator}*E{number:06}" for number in range(size)]
        self._turns = [number % len(_WORDS) for number in range(size)]
        self._next = 0

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield EVSE, operator and the charger's word, as they stand in the store."""
        for evse_id, turn in zip(self.evse_ids, self._turns, strict=True):
            yield evse_id, self.operator, _WORDS[turn]

    def expected(self) -> dict[str, str]:
        """Return what the hub should hold: the OICP status of each EVSE."""
        return {evse_id: _OICP[turn] for evse_id, turn in zip(self.evse_ids, self._turns, strict=True)}

    def change(self, count: int) -> list[tuple[str, str, str]]:
        """Give the next *count* EVSEs another status; return each one with the charger's word and the OICP status."""
        changed = []
        for _ in range(count):
            at = self._next
            self._next = (at + 1) % len(self.evse_ids)
            self._turns[at] = (self._turns[at] + 1) % len(_WORDS)
            changed.append((self.evse_ids[at], _WORDS[self._turns[at]], _OICP[self._turns[at]]))
        return changed


def body(operator: str, action: str, records: Sequence[tuple[str, str]]) -> bytes:
    """Return the body of a push, as the adapter writes it, of EVSEs and OICP statuses."""
    return assembled(operator, action, [fragment(evse_id, status) for evse_id, status in records])


def fragment(evse_id: str, status: str) -> bytes:
    """Return one record as it stands in a body."""
    return f'{{"EvseID":"{evse_id}","EvseStatus":"{status}"}}'.encode()


def assembled(operator: str, action: str, fragments: Sequence[bytes]) -> bytes:
    """Return the body that holds these records."""
    head = f'{{"ActionType":"{action}","OperatorEvseStatus":{{"OperatorID":"{operator}","EvseStatusRecord":['
    return head.encode() + b",".join(fragments) + b"]}}"
