"""
Decides what the hub should hold, from the shared tables alone, and names what no hub can be told.

1. It shares the rules of `domain` and `judge_rows` with the daemon, and nothing else: no ledger, no hint, no SQL.
2. Every row is either wanted at the hub, withdrawn, or named with a reason and what to do about it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from oicp_adapter.demo.places import Account
from oicp_adapter.demo.tables import Shared
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key, is_operator_id, operator_key
from oicp_adapter.domain.resolution import Resolution, resolve
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.domain.unserved import unserved
from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.assess import judge_rows
from oicp_adapter.sync.model import Rejected, Rejection, StatusRow

_EXAMPLES: Final = 3
_SHOWN: Final = 40
_PUNCTUATION: Final = re.compile("[^A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    One EVSE that the hub should hold.

    Attributes:
        lane: OperatorID of the account that pushes it.
        key: Its canonical EvseID.
        row: What speaks for it.
        resolution: What outsiders should see of it.
        since: The last instant, not after the judgement, at which its charger changed or a window started or ended.
    """

    lane: str
    key: str
    row: StatusRow
    resolution: Resolution
    since: datetime | None


@dataclass(slots=True)
class Unpushable:
    """Rows that the hub cannot be told about for one reason, with what to do about them."""

    what: str
    cure: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, evse_id: str) -> None:
        """Count one more row, which is an example while there are few."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(foreign_text(evse_id, _SHOWN) or "(empty)")

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.count} {self.what}, as {', '.join(self.examples)}: {self.cure}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What the hub should hold, and what it cannot be told.

    Attributes:
        wanted: The EVSEs that it should hold.
        left_out: How many rows it cannot be told about.
        unpushable: These by reason, the most frequent first; a row may have two.
    """

    wanted: Sequence[Wanted]
    left_out: int
    unpushable: Sequence[Unpushable]


_WORDS: Final[Mapping[Rejection, tuple[str, str]]] = {
    Rejection.MALFORMED_EVSE_ID: (
        "EVSEs have a malformed EvseID",
        "correct them to a form like DE*ABC*E1 or +49*810*000*438",
    ),
    Rejection.FOREIGN_OPERATOR: (
        "EVSEs name another operator inside their EvseID",
        "correct the EvseID or operator_id, or name that operator in sub_operators if the contract with Hubject does",
    ),
    Rejection.DUPLICATE: (
        "rows name a charging spot that another row names",
        "delete all but one spelling of each EvseID",
    ),
}


def judge(shared: Shared, accounts: Sequence[Account], now: datetime, mapping: StatusMapping) -> Judgement:
    """Decide what the hub should hold at *now* (aware, UTC) of the EVSEs of some accounts."""
    lanes = {key: account for account in accounts for key in account.operator_keys}
    spots: defaultdict[tuple[str, str], list[StatusRow]] = defaultdict(list)
    reasons: dict[tuple[str, str], Unpushable] = {}
    left_out = 0

    def name(row: StatusRow | Rejected, reason: tuple[str, str]) -> None:
        reasons.setdefault(reason, Unpushable(*reason)).add(row.evse_id)

    for row in shared.rows:
        lane = lanes.get(operator_key(row.operator_id))
        if lane is not None:
            spots[lane.operator_id, evse_key(row.evse_id)].append(row)
            continue
        left_out += 1
        for reason in _unserved(row):
            name(row, reason)
    keys = {account.operator_id: account.operator_keys for account in accounts}
    wanted: list[Wanted] = []
    for (lane_id, key), rows in spots.items():
        winner, rejected = judge_rows(rows, keys[lane_id])
        left_out += len(rejected)
        for refused in rejected:
            name(refused, _WORDS[refused.reason])
        if winner is not None:
            windows = shared.windows.get(key, ())
            resolution = resolve(winner.status, windows, now, mapping)
            wanted.append(Wanted(lane_id, key, winner, resolution, _since(winner, windows, now)))
    return Judgement(wanted, left_out, sorted(reasons.values(), key=lambda each: -each.count))


def accounts_of(operator_ids: Iterable[str]) -> Sequence[Account]:
    """Return an account for each operator whose ID is one, spelled as it came first, in the order of coming."""
    found: dict[str, Account] = {}
    for operator_id in operator_ids:
        if is_operator_id(operator_id):
            found.setdefault(operator_key(operator_id), Account(operator_id, operator_id))
    return tuple(found.values())


def _unserved(row: StatusRow) -> Iterator[tuple[str, str]]:
    """Yield why a row of no lane cannot be pushed, and what would be wrong with it besides if there were a lane."""
    said = unserved(row.operator_id)
    yield f"EVSEs are pushed by no lane since {said.why}", said.cure
    meant = _PUNCTUATION.sub("", operator_key(row.operator_id))
    _, rejected = judge_rows([row], {meant})
    yield from (_WORDS[refused.reason] for refused in rejected)


def _since(row: StatusRow, windows: Sequence[Window], now: datetime) -> datetime | None:
    instants = [row.changed_at, *(window.valid_from for window in windows), *(window.end for window in windows)]
    return max((instant for instant in instants if instant is not None and instant <= now), default=None)
