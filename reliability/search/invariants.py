"""
Says what must hold, and where it is looked at.

- I1 in every state: the deterministic continuation of `healing` (nobody writes, nothing fails any more) reaches, within
  `healing.bound`, a state in which nothing is under way and the hub holds exactly the effective statuses; but for what
  is held for a person. A quarantine excuses nothing; where one may come to pass, the bound holds its first minute.
- I2 in every state: an EVSE of which the hub differs has an unread hint, is in the open intent, or has a ledger row
  that says so (doubt, debt, hold, backoff, or pending) and that will be looked at (`due_at`).
- I3 at each first byte: every earlier request was answered, or was given up at least `settle` ago; one whose sender
  died or sleeps counts as given up at its time-out.
- I4 at each record: what is written is the outcome of the very request whose intent stood open. In every state: a
  ledger row without doubt, debt, failure and open intent is the truth at the hub.
- I5 at each record: no EVSE waits for more than `Scenario.patience` requests with the poisonous one in them: the one
  that is out, or that it travelled in itself, and one more.
- I6 in every state: without a person's approval no more than the share, and the small number, is gone from the hub.
- I7 at each first byte: the rolling minute that ends here holds at most `requests_per_minute` first bytes.
- I8 has nothing to be asked in memory: a writer's move is never disabled. Real stores show it.
- I9 at the commit of an intent: each record says what the store says at that instant; and a first byte belongs to a
  push that was never sent, for only a commit makes one.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from oicp_adapter.sync.answers import Effect
from oicp_adapter.sync.guard import SMALL_NUMBER
from oicp_adapter.sync.model import Action, Entry

from .canonical import FAR
from .parts import CANONICAL, NOW, Books, Ghost, Process, State
from .scenario import SECOND, Scenario

if TYPE_CHECKING:
    from .transactions import Decided
    from .world import World

MINUTE = 60 * SECOND


def at_commit(decided: "Decided") -> str | None:
    return f"I9: commits {decided.stale}" if decided.stale else None


def at_first_byte(ghost: Ghost, scenario: Scenario) -> str | None:
    for which, until in enumerate(ghost.quiet_until):
        if until is not None and until > NOW:
            return f"I3: the last request of p{which} is neither answered nor settled for {_seconds(until - NOW)}"
    within = [at for at in ghost.starts if at > NOW - MINUTE]
    if len(within) >= scenario.policy.requests_per_minute:
        return f"I7: {len(within) + 1} requests within a minute, {scenario.policy.requests_per_minute} allowed"
    return None


def at_record(world: "World", state: State, after: int, process: Process) -> tuple[str | None, int]:
    """Judge what a process records; return what is violated, and the number of the ghost afterwards."""
    push, verdict = process.push, process.verdict
    assert push is not None
    assert verdict is not None
    if after == state.books:
        return None, state.ghost
    stored = world.books.values[state.books].intent
    if stored != push.intent and verdict.effect is Effect.APPLIED:
        return "I4: an answer is recorded as that of another request", state.ghost
    poison = world.scenario.poison
    if poison is None:
        return None, state.ghost
    ghost, wanted, held = world.ghosts.values[state.ghost], world.wanted(state.shop), world.hubs.values[state.hub]
    bad = any(evse == poison for evse, _ in push.body)
    served = {evse for evse, _ in push.body} if verdict.effect is Effect.APPLIED else set()
    served |= {evse for evse, status in enumerate(wanted) if held[evse] == status} | {poison}
    waited = tuple(0 if evse in served else count + bad for evse, count in enumerate(ghost.waited))
    number = world.ghosts.number(ghost._replace(waited=waited))
    longest = max(waited)
    if longest > world.scenario.patience:
        evse = waited.index(longest)
        return f"I5: E{evse} has waited for {longest} requests with E{poison} in them", number
    return None, number


def in_state(world: "World", state: State) -> str | None:
    """Judge a state by itself."""
    books, hub = world.books.values[state.books], world.hubs.values[state.hub]
    wanted, hints = world.wanted(state.shop), world.shops.values[state.shop].hints
    travels = _travelling(books)
    for evse, row in enumerate(books.entries):
        if travels is None or evse in travels:
            continue
        differs = hub[evse] != wanted[evse]
        if differs and not hints[evse] and not _visible(row):
            return f"I2: the hub holds {hub[evse]} of E{evse}, the store says {wanted[evse]}, and nothing shows it"
        if _certain(row, books) and hub[evse] != _believed(row):
            return f"I4: the ledger is sure that the hub holds {_believed(row)} of E{evse}, it holds {hub[evse]}"
    return _withdrawn(world, state)


def _travelling(books: Books) -> set[int] | None:
    """Return which EVSEs are in the open intent; None: all, it is a full load."""
    if books.intent is None:
        return set()
    if books.intent.action is Action.FULL_LOAD:
        return None
    keys = {item.canonical for item in books.intent.records}
    return {evse for evse, key in enumerate(CANONICAL) if key in keys}


def _visible(row: Entry | None) -> bool:
    if row is None:
        return False
    if row.doubted_at or row.debt_at or row.held_since or row.retry_at:
        return row.due_at is not None and row.due_at != FAR
    return row.due_at is not None and (row.due_at <= NOW or (row.pending_since is not None and row.due_at != FAR))


def _certain(row: Entry | None, books: Books) -> bool:
    if row is None:
        return True
    if row.doubted_at or row.debt_at or row.failures:
        return False
    doubted = books.position.doubted_before
    return doubted is None or (row.asserted_at is not None and row.asserted_at >= doubted)


def _believed(row: Entry | None) -> str | None:
    return row.acknowledged.value if row is not None and row.acknowledged is not None else None


def _withdrawn(world: "World", state: State) -> str | None:
    allowed = max(SMALL_NUMBER, world.scenario.policy.max_withdrawn_share * world.size)
    if world.size <= allowed:
        return None
    approved = world.ghosts.values[state.ghost].approved
    gone = [evse for evse, held in enumerate(world.hubs.values[state.hub]) if held is None and evse not in approved]
    if len(gone) > allowed:
        return f"I6: {len(gone)} EVSEs are gone from the hub, and nobody approved it"
    return None


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"
