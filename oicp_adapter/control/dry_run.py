"""Computes the requests that a lane would send now, and sends nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from oicp_adapter.domain.identifiers import OperatorId, evse_key
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.engine import Store
from oicp_adapter.store.evses import EvseOverview, evse_overviews
from oicp_adapter.store.position import read_position
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.store.withdrawals import count_withdrawals, is_clean
from oicp_adapter.sync.assess import Circumstances
from oicp_adapter.sync.model import Action, Observation, Policy, StatusRow, Work
from oicp_adapter.sync.plan import plan
from oicp_adapter.sync.schedule import full_load_due
from oicp_adapter.sync.steps import look_at

PAGE: Final = 1000
"""EVSEs assessed at a time."""


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """
    One request that would be sent.

    Attributes:
        work: Its records with their reasons; of a full load those that differ.
        size: How many records it would carry.
    """

    action: Action
    work: tuple[Work, ...]
    size: int


def planned_requests(
    store: Store, scope: LaneScope, mapping: StatusMapping, policy: Policy
) -> Iterator[PlannedRequest]:
    """
    Yield the requests that a lane would send now, in order, as if each were acknowledged.

    Only what must be pushed is held in memory, not the fleet.

    Raises:
        StoreError: The store could not be read.
    """
    with store.reading() as connection:
        now = store.now(connection)
        position = read_position(connection, scope.lane)
        withdrawals = count_withdrawals(connection, scope.lane, scope.operator_keys, now)
        clean = is_clean(connection, scope.lane, scope.operator_keys, now)
    at = Circumstances(now, scope.operator_keys, mapping, policy, position.doubted_before)
    work: list[Work] = []
    size = 0
    seen = (each for each in evse_overviews(store, [scope], mapping) if each.lane and each.rejected is None)
    while page := [_observation(each) for each in islice(seen, PAGE)]:
        work += look_at(page, at, lambda: withdrawals).work
        size += sum(bool(item.rows) for item in page)
    if clean and size and full_load_due(position, now, policy):
        yield PlannedRequest(Action.FULL_LOAD, tuple(work), size)
        return
    while (chosen := plan(work, position, policy)) is not None:
        yield PlannedRequest(chosen.action, tuple(chosen.work), len(chosen.work))
        sent = {item.record.canonical for item in chosen.work}
        work = [item for item in work if item.record.canonical not in sent]


def _observation(seen: EvseOverview) -> Observation:
    rows = []
    if seen.technical is not None:
        rows = [StatusRow(seen.evse_id, seen.operator_id or OperatorId(""), seen.technical, seen.changed_at)]
    return Observation(evse_key(seen.evse_id), rows, seen.windows, seen.entry, changed_at=None)
