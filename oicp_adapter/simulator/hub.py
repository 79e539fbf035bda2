"""
Decides what Hubject does with a push: the hub's state and its rules, without input, clock or randomness.

1. Time and Process-IDs are arguments; instants never go back.
2. Identifiers are compared canonically, OperatorID and certificate as text.
3. A request is performed whole or not at all; only an injected fault performs a part.
4. What shall happen later is data (`due`), so that virtual time can drive it.

Source: OICP 2.3 CPO and EMP, eRoamingPushEvseStatus, eRoamingAuthenticationData (action types); Acceptable Use Policy.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from oicp_adapter.domain.identifiers import evse_key, operator_key
from oicp_adapter.simulator.faults import NO_EFFECT, Applying, Delivery, Effect
from oicp_adapter.simulator.journal import Exchange, Journal, Rolling
from oicp_adapter.simulator.wire import (
    SUCCESS,
    HubAnswer,
    Malformed,
    Push,
    PushRecord,
    acknowledgement,
    json_answer,
    operator_in,
    read_push,
    refusal,
    refused,
    validation_errors,
)
from oicp_adapter.sync.model import Action

_SHOWN_EVSES: Final = 5
"""EvseIDs that an explained refusal names."""


@dataclass(frozen=True, slots=True)
class HubOptions:
    """
    How a hub behaves.

    Attributes:
        strict: `insert` refuses a request with an EVSE that exists, `update` one with an EVSE that does not.
        partners: OperatorIDs with an account, and their sub operators; None: any OperatorID has one.
        explain_refusals: A refusal about existence says so in AdditionalInfo.
        refuse_unknown_deletes: A strict hub refuses a `delete` of what it does not hold.
        rate_limit: Requests of one operator that a rolling minute admits; those refused do not count.
        retry_after: Text of the header that goes with a 429; None: no header.
        max_body: Bytes of the largest body; a larger one is answered 413. None: no limit.
        journal: How many requests are remembered.
        history: How many changes are remembered for each EVSE.
        arrivals: How many received records are remembered with their time of arrival.
    """

    strict: bool = True
    partners: Mapping[str, frozenset[str]] | None = None
    explain_refusals: bool = False
    refuse_unknown_deletes: bool = False
    rate_limit: int = 2000
    retry_after: str | None = None
    max_body: int | None = None
    journal: int = 10_000
    history: int = 0
    arrivals: int = 0


class Held(NamedTuple):
    """What the hub holds of one EVSE: the spelling pushed last, the status, and when that last became another."""

    evse_id: str
    status: str
    changed_at: datetime


class Change(NamedTuple):
    """One change of an EVSE; None: it was withdrawn or forgotten."""

    status: str | None
    at: datetime


class Arrival(NamedTuple):
    """One record of a request whose first byte arrived at `received_at`, performed or not."""

    received_at: datetime
    evse_id: str
    status: str


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request with everything that decides about it, so that it can be performed later."""

    exchange: Exchange
    certificate_operators: frozenset[str] | None
    push: Push | Malformed


class Hub:
    """
    The hub.

    Attributes:
        journal: What arrived.
        arrivals: The newest received records, if asked for.
    """

    def __init__(self, options: HubOptions) -> None:
        self.reset(options)

    def reset(self, options: HubOptions) -> None:
        """Become a new hub: nothing held, nothing scheduled, nothing remembered."""
        self._options = options
        self._served = _served_by(options)
        self.journal = Journal(options.journal)
        self.arrivals: deque[Arrival] = deque(maxlen=options.arrivals)
        self._held: dict[str, dict[str, Held]] = {}
        self._spellings: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._history: dict[str, deque[Change]] = {}
        self._admitted: dict[str, Rolling] = {}
        self._later: list[tuple[datetime, int, _Visit]] = []
        self._scheduled = 0

    @property
    def options(self) -> HubOptions:
        """How it behaves; may be replaced at any time, what bounds its memory only before the first request."""
        return self._options

    @options.setter
    def options(self, options: HubOptions) -> None:
        self._options = options
        self._served = _served_by(options)

    def push(
        self,
        operator: str,
        certificate_operators: frozenset[str] | None,
        body: bytes,
        now: datetime,
        *,
        process_id: str,
        effect: Effect = NO_EFFECT,
    ) -> HubAnswer:
        """
        Take one push from its first byte to its answer at one instant.

        Args:
            operator: As the URL spells it.
            certificate_operators: OperatorIDs that the client certificate names; None: the certificate is not asked.
            effect: What an injected fault does to it; how the answer is delivered is up to the caller.
        """
        exchange = self.begin(operator, now)
        answer = self.perform(
            exchange, certificate_operators, read_push(body), now, process_id=process_id, effect=effect
        )
        self.end(exchange, now, answered=effect.delivery is Delivery.WHOLE)
        return answer

    def begin(self, operator: str, received_at: datetime) -> Exchange:
        """Note a request at its first byte; `end` must follow."""
        key = operator_key(operator)
        admitted = self._admits(key, received_at)
        return self.journal.begin(key=key, operator=operator, received_at=received_at, admitted=admitted)

    def end(self, exchange: Exchange, now: datetime, *, answered: bool) -> None:
        """Note that a request was answered, or was given up without an answer."""
        self.journal.end(exchange, key=operator_key(exchange.operator), now=now, answered=answered)

    def perform(
        self,
        exchange: Exchange,
        certificate_operators: frozenset[str] | None,
        push: Push | Malformed,
        now: datetime,
        *,
        process_id: str,
        effect: Effect = NO_EFFECT,
    ) -> HubAnswer:
        """Do what a request that `begin` noted asks for, and return the answer."""
        self.due(now)
        exchange.process_id = process_id
        if isinstance(push, Push):
            exchange.action, exchange.records = push.action.value, len(push.records)
            if self.options.arrivals:
                self.arrivals.extend(Arrival(exchange.received_at, evse, status) for _, evse, status in push.records)
        if exchange.admitted:
            exchange.fault = effect.kind.value if effect.kind else None
            answer = self._perform(_Visit(exchange, certificate_operators, push), now, effect)
        else:
            headers = {} if self.options.retry_after is None else {"Retry-After": self.options.retry_after}
            answer = HubAnswer(429, b"", headers)
        exchange.http_status, exchange.code = answer.http_status, answer.code
        return replace(answer, headers={**answer.headers, "Process-ID": process_id})

    def due(self, now: datetime) -> None:
        """Apply what was to be applied late, up to *now*; each at its own instant, by the rules that hold then."""
        while self._later and self._later[0][0] <= now:
            at, _, visit = heapq.heappop(self._later)
            self._process(visit, at)

    def next_due(self) -> datetime | None:
        """Return when `due` has something to do; None: nothing is scheduled."""
        return self._later[0][0] if self._later else None

    def operators(self) -> list[str]:
        """Return the operators of which the hub holds or held something, as they spelled themselves first."""
        return list(self._spellings.copy().values())

    def name(self, operator: str) -> str | None:
        """Return the OperatorName that came last; None: none came."""
        return self._names.get(operator_key(operator))

    def held(self, operator: str) -> Mapping[str, Held]:
        """Return what is held of one operator by canonical EvseID, as a copy."""
        return MappingProxyType(self._held.get(operator_key(operator), {}).copy())

    def statuses(self, operator: str) -> Mapping[str, str]:
        """Return the OICP status of each EVSE held of one operator by canonical EvseID, as a copy."""
        return {key: held.status for key, held in self.held(operator).items()}

    def find(self, evse_id: str) -> Held | None:
        """Return what is held of one EVSE, whoever pushed it; the newest if several did."""
        key = evse_key(evse_id)
        found = [held[key] for held in self._held.copy().values() if key in held]
        return max(found, key=lambda one: one.changed_at, default=None)

    def history(self, evse_id: str) -> tuple[Change, ...]:
        """Return the newest changes of one EVSE, oldest first; empty unless the options ask for them."""
        return tuple(self._history.get(evse_key(evse_id), ()))

    def forget(self, operator: str, evse_id: str | None, now: datetime) -> None:
        """Silently lose one EVSE of an operator, or all of them."""
        held = self._held.get(operator_key(operator), {})
        self._remove(held, list(held) if evse_id is None else [evse_key(evse_id)], now)

    def overwrite(self, operator: str, evse_id: str, status: str, now: datetime) -> None:
        """Do as if a second system of the operator had pushed a status."""
        self._store(self._of(operator), [PushRecord(evse_key(evse_id), evse_id, status)], now)

    def _admits(self, key: str, now: datetime) -> bool:
        admitted = self._admitted.setdefault(key, Rolling())
        if admitted.count(now) >= self.options.rate_limit:
            return False
        admitted.add(now)
        return True

    def _perform(self, visit: _Visit, now: datetime, effect: Effect) -> HubAnswer:
        own = _acknowledged()
        match effect.applying:
            case Applying.NOW | Applying.TWICE:
                own = self._process(visit, now)
            case Applying.PARTLY:
                self._apply_half(visit, now)
            case Applying.NEVER | Applying.LATER:
                pass
        if effect.applying in {Applying.LATER, Applying.TWICE}:
            self._scheduled += 1
            heapq.heappush(self._later, (now + effect.late_by, self._scheduled, visit))
        if effect.afterwards is not None:
            self._afterwards(visit.exchange.operator, effect, now)
        return effect.answer or own

    def _afterwards(self, operator: str, effect: Effect, now: datetime) -> None:
        change = effect.afterwards
        if change is None or change.status is None or change.evse_id is None:
            self.forget(operator, change.evse_id if change else None, now)
        else:
            self.overwrite(operator, change.evse_id, change.status, now)

    def _process(self, visit: _Visit, now: datetime) -> HubAnswer:
        push = visit.push
        if isinstance(push, Malformed):
            return json_answer(400, validation_errors(push.errors))
        if visit.certificate_operators is not None and push.operator_id not in visit.certificate_operators:
            return json_answer(401, refusal("017"), "017")
        if visit.exchange.operator != push.operator_id or not self._is_partner(push.operator_id):
            return json_answer(404, refusal("300"), "300")
        if len(push.keys) != len(push.records) or not self._belong(push):
            return refused("018")
        return self._execute(visit.exchange, push, now)

    def _execute(self, exchange: Exchange, push: Push, now: datetime) -> HubAnswer:
        held = self._of(push.operator_id)
        if push.operator_name:
            self._names[operator_key(push.operator_id)] = push.operator_name
        if offending := self._offending(held, push):
            evses = ", ".join(record.evse_id for record in offending[:_SHOWN_EVSES])
            words = "already exists" if push.action is Action.INSERT else "does not exist"
            return refused("022", f"EVSE {words}: {evses}" if self.options.explain_refusals else None)
        match push.action:
            case Action.FULL_LOAD:
                self._remove(held, [key for key in held if key not in push.keys], now)
                self._store(held, push.records, now)
            case Action.INSERT | Action.UPDATE:
                self._store(held, push.records, now)
            case Action.DELETE:
                self._remove(held, push.keys, now)
        self.journal.applied(exchange, records=len(push.records), now=now)
        return _acknowledged()

    def _offending(self, held: Mapping[str, Held], push: Push) -> list[PushRecord]:
        if not self.options.strict:
            return []
        match push.action:
            case Action.INSERT:
                return [record for record in push.records if record.key in held]
            case Action.UPDATE:
                return [record for record in push.records if record.key not in held]
            case Action.DELETE if self.options.refuse_unknown_deletes:
                return [record for record in push.records if record.key not in held]
            case _:
                return []

    def _apply_half(self, visit: _Visit, now: datetime) -> None:
        if isinstance(visit.push, Malformed):
            return
        part = visit.push.records[: (len(visit.push.records) + 1) // 2]
        held = self._of(visit.exchange.operator)
        if visit.push.action is Action.DELETE:
            self._remove(held, [record.key for record in part], now)
        else:
            self._store(held, part, now)
        self.journal.applied(visit.exchange, records=len(part), now=now)

    def _is_partner(self, operator: str) -> bool:
        return self._served is None or operator_key(operator) in self._served

    def _belong(self, push: Push) -> bool:
        own = operator_key(push.operator_id)
        allowed = {own} if self._served is None else self._served.get(own, {own})
        return all(operator_in(record) in allowed for record in push.records)

    def _of(self, operator: str) -> dict[str, Held]:
        key = operator_key(operator)
        self._spellings.setdefault(key, operator)
        return self._held.setdefault(key, {})

    def _store(self, held: dict[str, Held], records: Iterable[PushRecord], now: datetime) -> None:
        for key, evse_id, status in records:
            before = held.get(key)
            if before is not None and before.status == status:
                if before.evse_id != evse_id:
                    held[key] = before._replace(evse_id=evse_id)
                continue
            held[key] = Held(evse_id, status, now)
            if self.options.history:
                self._note(key, Change(status, now))

    def _remove(self, held: dict[str, Held], keys: Iterable[str], now: datetime) -> None:
        for key in keys:
            if held.pop(key, None) is not None and self.options.history:
                self._note(key, Change(None, now))

    def _note(self, key: str, change: Change) -> None:
        self._history.setdefault(key, deque(maxlen=self.options.history)).append(change)


def _served_by(options: HubOptions) -> dict[str, set[str]] | None:
    """Return whose EVSEs each partner may push, itself included, canonically; None: any partner, its own."""
    if options.partners is None:
        return None
    served: dict[str, set[str]] = {}
    for partner, sub_operators in options.partners.items():
        own = str(operator_key(partner))
        served.setdefault(own, {own}).update(operator_key(sub_operator) for sub_operator in sub_operators)
    return served


def _acknowledged() -> HubAnswer:
    return json_answer(200, acknowledgement(SUCCESS, result=True), SUCCESS)
