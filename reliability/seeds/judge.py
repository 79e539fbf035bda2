"""
Holds a run to the invariants of DESIGN §1, by what the hub saw and what stands in the store.

1. I3, I6 and I7 are read from the hub's side; I9 and I4 at the very commit; I2 at moments; I1 and leftovers at the end.
2. A request that was handed over and not answered demands `settle`; one whose body was cut cannot have been applied.
3. What a fault breaks by its nature is left out by name: a step of the database's clock breaks silence and pace (F69),
   a pause between the check of the deadline and the write breaks single flight (F64, DESIGN §7).
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from oicp_adapter.sync.model import Action, Policy
from reliability.seeds.replica import Replica
from reliability.seeds.truth import LANE_KEYS, LANES, key, text_of, truth
from reliability.seeds.wire import Flight, Network
from reliability.seeds.world import World

SMALL_NUMBER: Final = 5
"""Withdrawals within a day that need nobody's approval; of our small fleets the share is always less."""

MINUTE: Final = 60_000_000


class ViolationError(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Judge:
    """
    Watches one run.

    Attributes:
        approved: EVSEs whose withdrawal a person approved, by lane.
        vanished: EVSEs that requests withdrew and that did not come back, by lane.
        clock_steps: When the database's clock was set, and by how many seconds.
        blind: A fault hid changes from hints, so that what is not visible yet is found by a sweep only.
        foreign: EVSEs, with their lane, that strangers pushed.
        delays: Longest time in seconds for which the hub differed, by EVSE; None: it is not measured.
    """

    world: World
    network: Network
    policy: Policy
    store: sqlite3.Connection
    approved: dict[str, set[str]] = field(default_factory=lambda: {lane: set() for lane in LANES})
    vanished: dict[str, set[str]] = field(default_factory=lambda: {lane: set() for lane in LANES})
    clock_steps: list[tuple[int, float]] = field(default_factory=list)
    blind: bool = False
    foreign: set[str] = field(default_factory=set)
    delays: dict[str, float] | None = None
    _stale: dict[str, int] = field(default_factory=dict)
    _held: dict[str, frozenset[str]] = field(default_factory=lambda: {lane: frozenset() for lane in LANES})
    _first_loads: set[str] = field(default_factory=set)  # lanes whose very first request is a full load

    def fail(self, invariant: str, what: str) -> None:
        """Note a violation and end the run."""
        self.world.tell("judge", f"{invariant}: {what}")
        raise ViolationError(f"{invariant}: {what}")

    def wanted(self, lane: str) -> Mapping[str, str]:
        """Return what the hub should hold of a lane now."""
        return truth(self.store, self.world.database_time()).lanes[key(lane)]

    def differences(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Return what the hub holds and what it should, of each EVSE where they differ."""
        now = truth(self.store, self.world.database_time())
        found: dict[str, tuple[str | None, str | None]] = {}
        for lane in LANES:
            held, wanted = self.network.hub.statuses(lane), now.lanes[key(lane)]
            if held != wanted:
                for evse in sorted(held.keys() | wanted.keys()):
                    if held.get(evse) != wanted.get(evse):
                        found[f"{key(lane)}/{evse}"] = held.get(evse), wanted.get(evse)
        return found

    def strangers(self) -> frozenset[str]:
        """Return lane and EVSE of what a stranger put at the hub and no ledger knows: it was never ours to withdraw."""
        return frozenset(self.foreign - self._rows("canonical IS NOT NULL"))

    def _rows(self, condition: str, *values: str) -> set[str]:
        found = self.store.execute(f"SELECT lane, canonical FROM oicp_ledger WHERE {condition}", values)
        return {f"{lane}/{evse}" for lane, evse in found}

    # at each commit

    def committed(self, replica: Replica) -> None:
        """Judge what a process has just committed, before anybody else can change the store."""
        exchange = replica.worker._exchange
        if replica.worker.stage == "prepare" and exchange is not None:
            intent = exchange[0].intent
            if intent.attempt == 1 and intent.action is Action.FULL_LOAD:
                self._first_loads.add(replica.lane)
            self._newest(replica.lane, intent.action)
        elif replica.worker.stage == "record":
            self._no_false_acknowledgement(replica.lane)

    def _newest(self, lane: str, action: Action) -> None:
        at, records = self.store.execute(
            "SELECT started_at, records FROM oicp_intent WHERE lane = ?", (key(lane),)
        ).fetchone()
        listed = [(canonical, status) for canonical, _, status in json.loads(records)]
        if action is Action.FULL_LOAD:
            statement = "SELECT canonical, status FROM oicp_full_load WHERE lane = ?"
            listed = self.store.execute(statement, (key(lane),)).fetchall()
        wanted = truth(self.store, datetime.fromisoformat(f"{at}+00:00")).lanes[key(lane)]
        self.world.tell(lane, f"intent {action} {' '.join(f'{evse}={status}' for evse, status in listed)}")
        for evse, status in listed:
            expected = None if action is Action.DELETE else status
            if wanted.get(evse) != expected:
                self.fail("I9", f"{lane} {action} {evse}={status}, but {wanted.get(evse)} holds")

    def _no_false_acknowledgement(self, lane: str) -> None:
        told = {
            (text_of(flight.intent.started_at), key(record.evse_id)): record.status.value
            for flight in self.network.of(lane)
            if flight.acknowledged and flight.intent.action is not Action.DELETE
            for record in flight.records
        }
        for evse, status, at in self.store.execute(
            "SELECT canonical, acknowledged, asserted_at FROM oicp_ledger WHERE lane = ? AND acknowledged IS NOT NULL",
            (key(lane),),
        ):
            if told.get((at, evse)) != status:
                self.fail("I4", f"the ledger says {evse}={status} since {at}; the hub said {told.get((at, evse))}")

    # at each change of the hub

    def hub_shifted(self) -> None:
        """Note what the hub holds now, without asking who made it so."""
        self.measure()
        for lane in LANES:
            now = frozenset(self.network.hub.statuses(lane))
            self.vanished[lane] -= now
            self._held[lane] = now

    def hub_changed(self) -> None:
        """Count who has disappeared by requests, without approval, and is not wanted back by now."""
        self.measure()
        for lane in LANES:
            before, now = self._held[lane], frozenset(self.network.hub.statuses(lane))
            if before == now:
                continue
            self._held[lane] = now
            vanished = self.vanished[lane]
            vanished -= now
            vanished |= before - now
            standing = self.wanted(lane).keys()
            self.approved[lane] -= standing
            unapproved = sorted(vanished - standing - self.approved[lane])
            if len(unapproved) > SMALL_NUMBER:
                self.fail("I6", f"{lane} withdrew {len(unapproved)} EVSEs without approval: {unapproved}")

    def measure(self) -> None:
        """Note since when the hub differs from the store, and for how long it did."""
        if self.delays is None:
            return
        differing = self.differences().keys()
        for evse in differing - self._stale.keys():
            self._stale[evse] = self.world.now
        for evse in self._stale.keys() - differing:
            took = (self.world.now - self._stale.pop(evse)) / 1e6
            self.delays[evse] = max(took, self.delays.get(evse, 0.0))

    # at moments

    def nothing_lost(self, replicas: Sequence[Replica]) -> None:
        """Find each difference between the store and the ledger among what will be looked at."""
        if self.blind or self.clock_steps:
            return
        now = text_of(self.world.database_time())
        due = truth(self.store, self.world.database_time())
        hinted = {evse for (evse,) in self.store.execute("SELECT evse_key FROM oicp_hint")}
        for lane in LANES:
            entries = {
                row[0]: row[1:]
                for row in self.store.execute(
                    "SELECT canonical, acknowledged, pending_since, due_at, held_since, retry_at FROM oicp_ledger"
                    " WHERE lane = ?",
                    (key(lane),),
                )
            }
            travelling, whole = self._travelling(lane)
            begins = self._begins(lane, replicas)
            for evse in sorted((due.lanes[key(lane)].keys() | entries.keys()) - hinted - travelling):
                acknowledged, pending, due_at, held, retry = entries.get(evse, (None,) * 5)
                wanted = due.lanes[key(lane)].get(evse)
                visible = pending or held or retry or (due_at is not None and due_at <= now) or whole or begins
                if acknowledged != wanted and not visible:
                    self.fail("I2", f"{lane} {evse} should be {wanted}, the ledger says {acknowledged}, nobody knows")

    def _travelling(self, lane: str) -> tuple[set[str], bool]:
        row = self.store.execute("SELECT action, records FROM oicp_intent WHERE lane = ?", (key(lane),)).fetchone()
        if row is None:
            return set(), False
        return {canonical for canonical, _, _ in json.loads(row[1])}, row[0] == Action.FULL_LOAD

    def _begins(self, lane: str, replicas: Sequence[Replica]) -> bool:
        """
        Tell whether a lane is still swept for the first time after a first full load that was refused.

        Such a one drops the hints of a whole fleet; what they spoke of is found by the sweep with which each process
        takes the lane up, so also when one dies in between.
        """
        done = self.store.execute("SELECT 1 FROM oicp_lane WHERE lane = ? AND full_load_at IS NOT NULL", (key(lane),))
        if lane not in self._first_loads or done.fetchone() is not None:
            return False
        return not any(replica.has_swept for replica in replicas if replica.lane == lane)

    # at the end

    def single_flight(self) -> None:
        """I3: no request begins while another is under way, or within `settle` after one was given up."""
        for lane in LANES:
            earlier: list[Flight] = []
            for flight in self.network.of(lane):
                for other in earlier[-3:]:
                    quiet = self._quiet_after(other)
                    if flight.began < quiet and not self._excused(other, flight):
                        early = f"{(quiet - flight.began) / 1e6} s too early after {_name(other)}"
                        self.fail("I3", f"{lane}: {_name(flight)} began {early}")
                earlier.append(flight)

    def _quiet_after(self, flight: Flight) -> int:
        longest = flight.began + round(self.policy.request_timeout.total_seconds() * 1e6)
        end = min(flight.ended if flight.ended is not None else longest, longest)
        silent = flight.handed_over and not flight.answered
        return end + (round(self.policy.settle.total_seconds() * 1e6) if silent else 0)

    def _excused(self, earlier: Flight, later: Flight) -> bool:
        lived = range(earlier.began - 5_000_000, later.began + 1)
        return earlier.residue or later.residue or any(at in lived for at, by in self.clock_steps if by > 0)

    def rate_kept(self) -> None:
        """I7: no rolling minute holds more requests than the limit; each forward step of the clock lets a burst go."""
        limit = self.policy.requests_per_minute
        for lane in LANES:
            began = [flight.began for flight in self.network.of(lane)]
            for first, at in enumerate(began):
                count = sum(at <= later < at + MINUTE for later in began[first:])
                steps = sum(at <= when < at + MINUTE for when, by in self.clock_steps if by > 0)
                if count > limit + steps * max(1, limit // 10):
                    self.fail("I7", f"{lane}: {count} requests in the minute after {at / 1e6}, the limit is {limit}")

    def leftovers(self) -> Sequence[str]:
        """
        Return what stands in the store that should have served its time when all is quiet.

        Hints for operators of no lane wait for a sweep to prune them. A tombstone of which nobody knows whether it is
        at the hub is one whose delete was refused without a word, and is repeated for a day (decision 11).
        """
        found = [
            f"hint for {evse}" for evse, operator in self.store.execute("SELECT evse_key, operator_key FROM oicp_hint")
            if operator is None or any(operator in operators for operators in LANE_KEYS.values())
        ]  # fmt: skip
        found += [f"intent of {lane}" for (lane,) in self.store.execute("SELECT lane FROM oicp_intent")]
        found += [f"full load of {lane}" for (lane,) in self.store.execute("SELECT DISTINCT lane FROM oicp_full_load")]
        unsettled = (
            "pending_since IS NOT NULL OR doubted_at IS NOT NULL OR retry_at IS NOT NULL OR held_since IS NOT NULL"
            " OR refusal IS NOT NULL OR (debt_at IS NOT NULL AND (withdrawn_at IS NULL OR presence != 'unknown'))"
        )
        return [*found, *(f"{each} open" for each in sorted(self._rows(unsettled)))]

    def insisted(self) -> frozenset[str]:
        """Return lane and EVSE of refused deletes of what is neither in the store nor at the hub (decision 11)."""
        now = truth(self.store, self.world.database_time())
        found = set()
        for lane in LANES:
            there = now.lanes[key(lane)].keys() | self.network.hub.statuses(lane).keys()
            for (evse,) in self.store.execute(
                "SELECT canonical FROM oicp_ledger WHERE lane = ? AND refusal IS NOT NULL", (key(lane),)
            ):
                if evse not in there:
                    found.add(f"{key(lane)}/{evse}")
        return frozenset(found)


def _name(flight: Flight) -> str:
    end = "open" if flight.ended is None else f"{flight.ended / 1e6:.6f}"
    return f"#{flight.intent.attempt} of epoch {flight.intent.epoch} ({flight.began / 1e6:.6f} to {end})"
