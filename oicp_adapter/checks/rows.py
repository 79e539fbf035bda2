"""
Counts the rows of the shared tables that will not be pushed as an operator may expect, with examples.

1. One pass in key order, streamed: memory does not grow with the fleet.
2. What may be pushed is decided by `sync.assess.judge_rows`, as the lanes do.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, TypeVar

from sqlalchemy import Select, select

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import EvseId, OperatorId, evse_key, operator_key
from oicp_adapter.domain.statuses import is_removed, parse_status
from oicp_adapter.domain.unserved import Unserved, unserved
from oicp_adapter.settings import Settings
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import EvseKey
from oicp_adapter.store.overview import windows_of_no_evse
from oicp_adapter.store.schema import EvseStatus
from oicp_adapter.sync.assess import judge_rows
from oicp_adapter.sync.model import Rejection, StatusRow

SUBJECT: Final = "fleet"

_PAGE: Final = 5000
_EXAMPLES: Final = 3
_SHOWN: Final = 60
_KINDS: Final = 10
"""Operators or words named one by one; a table of garbage must not become pages of findings."""

_MORE_OPERATORS: Final = Unserved("no account serves these operators, who are too many to name", unserved("").cure)
_MORE_WORDS: Final = "(others)"

K = TypeVar("K")

_WORDS: Final[Mapping[Rejection, tuple[str, str]]] = {
    Rejection.MALFORMED_EVSE_ID: (
        "with a malformed EvseID cannot be pushed",
        "correct them to a form like DE*ABC*E1 or +49*810*000*438",
    ),
    Rejection.FOREIGN_OPERATOR: (
        "with another operator inside the EvseID cannot be pushed",
        "correct operator_id, or add that operator to sub_operators if the contract with Hubject names it",
    ),
    Rejection.DUPLICATE: (
        "naming a charging spot that another row names cannot be pushed",
        "delete all but one spelling of each EvseID",
    ),
}


@dataclass(slots=True)
class _Count:
    rows: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, evse_id: str) -> None:
        self.rows += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(foreign_text(evse_id, _SHOWN) or "(empty)")

    def shown(self) -> str:
        return ", ".join(self.examples)


@dataclass(slots=True)
class _Tally:
    total: int = 0
    served: int = 0
    rejected: dict[Rejection, _Count] = field(default_factory=dict)
    unserved: dict[Unserved, _Count] = field(default_factory=dict)
    unmapped: dict[str, _Count] = field(default_factory=dict)


def row_findings(store: Store, settings: Settings) -> Iterator[Finding]:
    """
    Read all rows and say what will not be pushed and why; nothing of it keeps the daemon from starting.

    Raises:
        StoreError: The rows cannot be read.
    """
    tally = count_rows(_read(store), [operator.operator_keys for operator in settings.operators])
    for reason, (what, cure) in _WORDS.items():
        if count := tally.rejected.get(reason):
            told = f"{_number(count.rows)} {what}, as {count.shown()}"
            yield Finding(Check.REJECTED, Level.WARNING, SUBJECT, told, cure)
    for cure, counts in _by_cure(tally.unserved).items():
        yield from _each(Check.UNSERVED, counts, "{number} {are} pushed by no lane since {key}, as {examples}", cure)
    yield from _each(
        Check.UNMAPPED,
        tally.unmapped,
        "the status word {key} of {number} is published as Unknown, as {examples}",
        "write a word of OCPP or OCPI",
    )
    yield from _lost_windows(store)
    told = f"{tally.served} of {_number(tally.total)} {_are(tally.total)} pushed"
    yield Finding(Check.FLEET, Level.OK, SUBJECT, told)


def count_rows(rows: Iterable[StatusRow], lanes: Sequence[frozenset[str]]) -> "_Tally":
    """Count what is pushed and what is not; *rows* in the order of their keys."""
    tally = _Tally()
    for _, group in groupby(rows, key=lambda row: evse_key(row.evse_id)):
        by_lane: dict[frozenset[str], list[StatusRow]] = {}
        for row in group:
            tally.total += not is_removed(row.status)
            key = operator_key(row.operator_id)
            lane = next((keys for keys in lanes if key in keys), None)
            if lane is None:
                _count(tally.unserved, unserved(row.operator_id), _MORE_OPERATORS, row)
            else:
                by_lane.setdefault(lane, []).append(row)
        for lane, together in by_lane.items():
            winner, rejected = judge_rows(together, lane)
            if winner is not None:
                tally.served += 1
                if parse_status(winner.status) is None:
                    shown = foreign_text(winner.status, _SHOWN) or "(empty)"
                    _count(tally.unmapped, shown, _MORE_WORDS, winner)
            for refused in rejected:
                tally.rejected.setdefault(refused.reason, _Count()).add(refused.evse_id)
    return tally


def _count(counts: dict[K, _Count], key: K, others: K, row: StatusRow) -> None:
    if key not in counts and len(counts) > 100 * _KINDS:
        key = others
    counts.setdefault(key, _Count()).add(row.evse_id)


def _by_cure(counts: Mapping[Unserved, _Count]) -> Mapping[str, Mapping[str, _Count]]:
    found: dict[str, dict[str, _Count]] = {}
    for said, count in counts.items():
        found.setdefault(said.cure, {})[said.why] = count
    return found


def _each(check: Check, counts: Mapping[str, _Count], what: str, cure: str) -> Iterator[Finding]:
    most = Counter({key: count.rows for key, count in counts.items()}).most_common()
    named = [(key, rows, counts[key].shown()) for key, rows in most[:_KINDS]]
    if rest := most[_KINDS:]:
        rows = sum(rows for _, rows in rest)
        named.append((f"{rest[0][0]} (and {len(rest) - 1} more like it)", rows, counts[rest[0][0]].shown()))
    for key, rows, examples in named:
        text = what.format(number=_number(rows), are=_are(rows), key=key, examples=examples)
        yield Finding(check, Level.WARNING, SUBJECT, text, cure)


def _lost_windows(store: Store) -> Iterator[Finding]:
    total, evse_ids = windows_of_no_evse(store, examples=_EXAMPLES)
    if total:
        shown = ", ".join(foreign_text(evse_id, _SHOWN) or "(empty)" for evse_id in evse_ids)
        what = "1 window names" if total == 1 else f"{total} windows name"
        yield Finding(
            Check.WINDOWS,
            Level.WARNING,
            SUBJECT,
            f"{what} no EVSE of evse_status, as {shown}",
            "correct evse_id, or end it: `oicp-adapter temporary list` has the numbers",
        )


def _number(rows: int) -> str:
    return "1 EVSE" if rows == 1 else f"{rows} EVSEs"


def _are(rows: int) -> str:
    return "is" if rows == 1 else "are"


def _read(store: Store) -> Iterator[StatusRow]:
    table = EvseStatus.__table__  # type: ignore[attr-defined] # SQLModel makes it, its types do not say so
    statement: Select[str, str, str] = select(table.c.evse_id, table.c.operator_id, table.c.status)
    ordered = statement.order_by(EvseKey(table.c.evse_id))
    with store.reading() as connection:
        for evse_id, operator_id, status in connection.execute(
            ordered.execution_options(stream_results=True, yield_per=_PAGE)
        ):
            yield StatusRow(EvseId(str(evse_id)), OperatorId(str(operator_id)), str(status), None)
