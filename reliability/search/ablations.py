"""
Switches off one safeguard at a time, from outside: production has no switch for any of them.

1. An ablation replaces what the world does with a production function, or such a function for the time of a search.
2. Epoch and attempt in the fence of `record` cover for each other, since attempts are counted over all epochs. So each
   is switched off where the other is out of action (`covered_by`), and that world alone must still be sound.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from unittest.mock import patch

from oicp_adapter.sync.answers import Effect, Verdict
from oicp_adapter.sync.exchange import Exchange, Settled
from oicp_adapter.sync.model import Action, Entry, Intent, Policy, Position, Record, Work
from oicp_adapter.sync.plan import Plan

from .hands import Hands, Ledger
from .parts import NOW


class NoDebt(Hands):
    """An unanswered request leaves doubt, and no duty to assert again after T_late."""

    def clear(self, intent: Intent, entries: Ledger, position: Position, policy: Policy) -> Settled | None:
        return _without_debts(super().clear(intent, entries, position, policy))

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        return _without_debts(super().record(stored, exchange, entries, position))


class NoIntent(Hands):
    """Hints are consumed and the request is sent, but no intent stands in the store while it is out."""

    def written(self, intent: Intent) -> Intent | None:
        del intent
        return None

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        del stored
        return super().record(exchange.intent, exchange, entries, position)


class OneEpoch(Hands):
    """Whoever takes the lease keeps its epoch, so that only the attempt tells one request from another."""

    def claim(self, position: Position, holder: str, policy: Policy, *, sole: bool) -> Position | None:
        claimed = super().claim(position, holder, policy, sole=sole)
        return claimed and replace(claimed, epoch=position.epoch)


class NoGeneration(OneEpoch):
    """The fence does not compare attempts."""

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        same = stored and replace(stored, attempt=exchange.intent.attempt)
        return super().record(same, exchange, entries, position)


class AttemptsAnew(Hands):
    """Attempts are counted from zero under each lease, so that only the epoch tells one request from another."""

    counts_attempts_anew = True


class NoEpoch(AttemptsAnew):
    """The fence does not compare epochs."""

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        same = stored and replace(stored, epoch=exchange.intent.epoch)
        return super().record(same, exchange, entries, position)


class NoDeadline(Hands):
    """The first byte leaves however late it is."""

    def may_send(self, send_before: datetime) -> bool:
        del send_before
        return True


class NoSilence(Hands):
    """After a request without an answer the next one may go at once."""

    def commit_to(
        self, action: Action, records: Sequence[Record], position: Position, policy: Policy, *, suspect: bool
    ) -> tuple[Intent, Position]:
        intent, taken = super().commit_to(action, records, position, policy, suspect=suspect)
        return replace(intent, silent_until=NOW), taken

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        settled = super().record(stored, exchange, entries, position)
        return settled and replace(settled, position=replace(settled.position, silent_until=None, wait_until=None))


class NoTombstone(Hands):
    """A withdrawn EVSE leaves the ledger at once."""

    def kept(self, row: Entry) -> Entry | None:
        return row if row.withdrawn_at is None else None


class StatusesFirst(Hands):
    """Hints are read after the statuses that they speak of, so one may be consumed whose change was not seen."""

    statuses_first = True


class SilenceIsConsent(Hands):
    """A request without an answer counts as performed."""

    def record(self, stored: Intent | None, exchange: Exchange, entries: Ledger, position: Position) -> Settled | None:
        if exchange.verdict.effect is Effect.UNKNOWN:
            exchange = replace(exchange, verdict=Verdict(Effect.APPLIED))
        return super().record(stored, exchange, entries, position)


class SuspectsFirst(Hands):
    """Records that failed do not take turns with healthy ones."""

    def plan(self, work: Sequence[Work], position: Position, policy: Policy) -> Plan | None:
        return super().plan(work, replace(position, after_suspect=False, hold_reason=None), policy)


@dataclass(frozen=True, slots=True)
class Ablation:
    """
    A safeguard that is switched off.

    Attributes:
        scenario: Where that must be noticed.
        hands: What the world uses instead of all safeguards.
        replaced: The production function that is replaced, as `patch` names it, and by what; None: none is.
        covered_by: What is out of action besides, because it would cover for the safeguard; None: nothing does.
    """

    name: str
    scenario: str
    hands: type[Hands] = Hands
    replaced: tuple[str, Any] | None = None
    covered_by: type[Hands] | None = None

    @contextmanager
    def applied(self) -> Iterator[Hands]:
        """Switch the safeguard off for a while."""
        if self.replaced is None:
            yield self.hands()
            return
        with patch(*self.replaced):
            yield self.hands()


def _by_acknowledgement(entry: Entry) -> Action:
    """Choose the action by the ledger's last value alone, whatever is believed, and whatever was refused."""
    return Action.INSERT if entry.acknowledged is None else Action.UPDATE


def _without_debts(settled: Settled | None) -> Settled | None:
    if settled is None:
        return None
    entries = [replace(row, debt_at=None) for row in settled.entries]
    return replace(settled, entries=entries, position=replace(settled.position, debt_at=None))


_ASSESS: Final = "oicp_adapter.sync.assess"

ALL: Final[tuple[Ablation, ...]] = (
    Ablation("the debt", "deep", NoDebt),
    Ablation("the intent before sending", "deep", NoIntent),
    Ablation("the generation", "replicas", NoGeneration, covered_by=OneEpoch),
    Ablation("the epoch in the intent", "replicas", NoEpoch, covered_by=AttemptsAnew),
    Ablation("the deadline at the first byte", "replicas", NoDeadline),
    Ablation("the silence", "deep", NoSilence),
    Ablation("the tombstone", "coming and going", NoTombstone),
    Ablation("the existence belief", "coming and going", replaced=(f"{_ASSESS}._assertion", _by_acknowledgement)),
    Ablation("the guard", "guard", replaced=("oicp_adapter.sync.steps.must_hold", lambda _count, _policy: False)),
    Ablation("the one statement", "read in two steps", StatusesFirst),
    Ablation("doubt", "deep", SilenceIsConsent),
    Ablation("turns of healthy and suspect records", "poison", SuspectsFirst),
    Ablation("the pacing", "rate", replaced=("oicp_adapter.sync.pacing.admitted_at", lambda _paced, now, _limit: now)),
)
