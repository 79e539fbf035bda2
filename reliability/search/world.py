"""
Holds one scenario's parts by their numbers, and remembers what each step makes of them.

Each step is computed once for the parts that it reads; most states differ in other parts, so it is seldom computed.
"""

from dataclasses import replace
from typing import NamedTuple

from oicp_adapter.sync.answers import Verdict
from oicp_adapter.sync.lease import release
from oicp_adapter.sync.model import Action, Position

from . import canonical
from .hands import Hands
from .hub import Body, Content, perform
from .parts import COUNTED, GONE, NOW, Books, Floating, Ghost, Process, Shop, Table, holder
from .scenario import Budget, Scenario
from .transactions import Decided, Seen, Transactions, effective


class Step(NamedTuple):
    """What transaction 1 did, and the numbers of the shop and the books afterwards."""

    shop: int
    books: int
    decided: Decided


class World:
    """One scenario's tables of parts, and its steps."""

    def __init__(self, scenario: Scenario, hands: Hands | None = None) -> None:
        self.scenario = scenario
        self.hands = hands or Hands()
        self.size = len(scenario.rows)
        self.shops: Table[Shop] = Table()
        self.books: Table[Books] = Table()
        self.hubs: Table[Content] = Table()
        self.nets: Table[tuple[Floating, ...]] = Table()
        self.processes: Table[Process] = Table()
        self.crews: Table[tuple[int, ...]] = Table()
        self.ghosts: Table[Ghost] = Table()
        self.budgets: Table[Budget] = Table()
        self._transactions = Transactions(scenario, self.hands)
        self._decided: dict[tuple[int, int, int, Seen | None], Step | None] = {}
        self._recorded: dict[tuple[int, int], int] = {}
        self._performed: dict[tuple[int, Action, Body, str | None, bool], tuple[int, Verdict]] = {}
        self._wanted: dict[int, Content] = {}
        self._swept: dict[int, int] = {}

    def wanted(self, shop: int) -> Content:
        """Return the OICP status that the hub should hold of each EVSE."""
        found = self._wanted.get(shop)
        if found is None:
            value = self.shops.values[shop]
            found = self._wanted[shop] = tuple(effective(value, evse) for evse in range(self.size))
        return found

    def decide(self, shop: int, books: int, which: int, seen: Seen | None = None) -> Step | None:
        """
        Run transaction 1 of a process; None: nothing comes of it.

        Args:
            seen: What was read, where it was read in two steps; None: all as it is.
        """
        key = shop, books, which, seen
        if key not in self._decided:
            value = self.shops.values[shop]
            read = seen or Seen(value.hints, value.rows)
            decided = self._transactions.decide(value, self.books.values[books], which, read)
            self._decided[key] = decided and Step(
                self.shops.number(decided.shop), self.books.number(decided.books), decided
            )
        return self._decided[key]

    def record(self, books: int, process: int) -> int:
        """Run transaction 2 of a process; return the books afterwards."""
        key = books, process
        found = self._recorded.get(key)
        if found is None:
            after = self._transactions.record(self.books.values[books], self.processes.values[process])
            found = self._recorded[key] = self.books.number(after)
        return found

    def perform(
        self, hub: int, action: Action, body: Body, *, error: str | None = None, healed: bool = False
    ) -> tuple[int, Verdict]:
        """Let the hub perform a request; return what it holds then, and what its answer means."""
        key = hub, action, body, error, healed
        found = self._performed.get(key)
        if found is None:
            content, verdict = perform(self.scenario, self.hubs.values[hub], action, body, error=error, healed=healed)
            found = self._performed[key] = self.hubs.number(content), verdict
        return found

    def nobody(self) -> Position:
        """Return the row of a lane that nobody has led yet."""
        return Position(epoch=COUNTED, attempt=COUNTED)

    def crashed(self, number: int, which: int) -> int:
        """Return the books once a process has died: nobody will ever hold its lease again."""
        books = self.books.values[number]
        if books.position.holder != holder(which):
            return number
        return self.books.number(books._replace(position=replace(books.position, holder=GONE)))

    def released(self, number: int, which: int) -> int | None:
        """Return the books once a process has given its lease back; None: it has none."""
        books = self.books.values[number]
        if books.position.holder != holder(which):
            return None
        position = canonical.position(release(books.position, NOW), self.scenario)
        return self.books.number(books._replace(position=position))

    def approved(self, number: int) -> tuple[int, frozenset[int]]:
        """Return the books once a person has approved the withdrawals that are held, and which those are."""
        books = self.books.values[number]
        held = frozenset(evse for evse, row in enumerate(books.entries) if row is not None and row.held_since)
        rows = tuple(
            replace(row, approved_at=canonical.PASSED, approved_by="someone", due_at=NOW)
            if row is not None and evse in held
            else row
            for evse, row in enumerate(books.entries)
        )
        return self.books.number(books._replace(entries=rows)), held

    def full_load_requested(self, number: int) -> int:
        """Return the books once a person has asked for a full load."""
        books = self.books.values[number]
        position = replace(books.position, full_load_requested_at=canonical.PASSED)
        return self.books.number(books._replace(position=position))

    def swept(self, number: int) -> int:
        """Return the books once a sweep has made due what a lost full load put in doubt; the same: nothing is."""
        found = self._swept.get(number)
        if found is None:
            found = self._swept[number] = self.books.number(_swept(self.books.values[number]))
        return found


def _swept(books: Books) -> Books:
    doubted = books.position.doubted_before
    if doubted is None:
        return books
    rows = tuple(
        replace(row, due_at=NOW, pending_since=row.pending_since or NOW)
        if row is not None
        and (row.asserted_at is None or row.asserted_at < doubted)
        and (row.due_at is None or row.due_at > NOW)
        and row.retry_at is None
        else row
        for row in books.entries
    )
    return books._replace(entries=rows)
