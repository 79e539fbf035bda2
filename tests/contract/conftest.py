"""Gives each contract test the means to write to a store as others do, and lanes to read it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.store.engine import Store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Entry, Observation, Presence
from reliability.real.machine import run_sql

Sql = Callable[..., Sequence[Any]]

ALL: Mapping[str, int] = {"hinted": 100, "due": 100, "suspects": 100}
"""More than any test has."""


def observe(lane: LaneStore) -> Sequence[Observation]:
    """Read all that a lane must look at, and consume the hints."""
    with lane.transaction() as books:
        seen = books.find(**ALL).observe()
        books.consume_hints()
    return seen


@pytest.fixture
def sql_of() -> Sql:
    """Run a statement as another program would, in a transaction of its own; return its rows."""

    def run(store: Store, statement: str, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        return run_sql(store, statement, values or {})

    return run


@pytest.fixture
def sql(store: Store, sql_of: Sql) -> Sql:
    """Run a statement on the store of the test."""
    return partial(sql_of, store)


@pytest.fixture
def add(store: Store) -> Callable[..., None]:
    """Write a row of `evse_status`."""

    def run(evse_id: str, status: str = "Available", operator_id: str = "DE*ABC") -> None:
        with store.writing() as connection:
            connection.execute(
                text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)"),
                {"evse": evse_id, "operator": operator_id, "status": status},
            )

    return run


@pytest.fixture
def lane_of(request: pytest.FixtureRequest) -> Callable[[Store], LaneStore]:
    """Open the lane of DE*ABC on a store."""

    def run(store: Store) -> LaneStore:
        opened = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
        request.addfinalizer(opened.close)
        return opened

    return run


@pytest.fixture
def lane(store: Store, lane_of: Callable[[Store], LaneStore]) -> LaneStore:
    """The lane of DE*ABC."""
    return lane_of(store)


@pytest.fixture
def other_lane(store: Store) -> Iterator[LaneStore]:
    """The lane of DE*XYZ."""
    opened = LaneStore(store, LaneScope("DEXYZ", frozenset({"DEXYZ"})), StatusMapping())
    yield opened
    opened.close()


@pytest.fixture
def present() -> Callable[..., Entry]:
    """Make the ledger row of an EVSE that the hub has acknowledged."""

    def make(evse_id: str, now: datetime, **other: Any) -> Entry:
        facts: dict[str, Any] = {
            "acknowledged": OicpStatus.AVAILABLE,
            "acknowledged_at": now,
            "asserted_at": now,
            "presence": Presence.PRESENT,
            "attempt": 1,
            "due_at": now + timedelta(hours=6),
        }
        key = CanonicalEvseId(evse_id.replace("*", ""))
        return Entry(key, EvseId(evse_id), **(facts | other))

    return make
