"""
Takes the decisions of a lane by calling the production functions, and nothing else.

An ablation is a subclass that leaves out one safeguard; production has no switch for it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from oicp_adapter.domain.identifiers import CanonicalEvseId
from oicp_adapter.sync.assess import Circumstances
from oicp_adapter.sync.exchange import Exchange, Settled
from oicp_adapter.sync.guard import WithdrawalCount
from oicp_adapter.sync.lease import claim
from oicp_adapter.sync.model import Action, Entry, Intent, Observation, Policy, Position, Record, Work
from oicp_adapter.sync.plan import Plan, plan
from oicp_adapter.sync.settle import in_full
from oicp_adapter.sync.steps import Round, clear, commit_to, look_at, record

from .parts import NOW

Ledger = Mapping[CanonicalEvseId, Entry]


class Hands:
    """All safeguards in place."""

    statuses_first = False
    """Read statuses before hints, where they are read one after the other."""

    counts_attempts_anew = False
    """Count attempts from zero under each lease, which is harmless as long as the epoch tells them apart."""

    def claim(self, position: Position, holder: str, policy: Policy, *, sole: bool) -> Position | None:
        return claim(position, holder, NOW, policy, sole=sole)

    def clear(self, intent: Intent, entries: Ledger, position: Position, policy: Policy) -> Settled | None:
        return clear(intent, entries, position, now=NOW, policy=policy)

    def look_at(
        self, seen: Sequence[Observation], at: Circumstances, withdrawals: Callable[[], WithdrawalCount]
    ) -> Round:
        return look_at(seen, at, withdrawals)

    def plan(self, work: Sequence[Work], position: Position, policy: Policy) -> Plan | None:
        return plan(work, position, policy)

    def commit_to(
        self, action: Action, records: Sequence[Record], position: Position, policy: Policy, *, suspect: bool
    ) -> tuple[Intent, Position]:
        return commit_to(action, records, position, now=NOW, policy=policy, suspect=suspect)

    def written(self, intent: Intent) -> Intent | None:
        """Return what the store keeps of an intent."""
        return intent

    def may_send(self, send_before: datetime) -> bool:
        """Do as the client does at the first byte."""
        return send_before >= NOW

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        settled = record(stored, exchange, entries, position)
        return settled and in_full(settled, entries)

    def kept(self, row: Entry) -> Entry | None:
        """Return what the ledger keeps of a row that an outcome changed."""
        return row
