"""Gives each test a desk over a store of both kinds, a fleet with places, and people with different rights."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.window_model import WindowRequest, WindowView
from oicp_adapter.control.windows import set_window
from oicp_adapter.domain.access import EVERYTHING, Actor, Grant, Scope
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import StatusMapping, TemporaryStatus
from oicp_adapter.settings import Settings
from oicp_adapter.store.engine import Store
from oicp_adapter.store.scope import LaneScope

HOUR = timedelta(hours=1)
ANN = Actor("ann", "tokenann", EVERYTHING)
PLACES = {
    "DE*ABC*E1": ("Zeil 85", "CB1"),
    "DE*ABC*E2": ("Zeil 85", "CB1"),
    "DE*ABC*E3": ("Zeil 85", "CB2"),
    "DE*ABC*E11": ("Torstraße 140", "CB3"),
    "DE*ABC*E12": (None, None),
}


def grant(*kinds: TemporaryStatus, patterns: tuple[str, ...] = (), **facts: Any) -> Grant:
    scopes = frozenset({Scope.READ, Scope.SET})
    return Grant(scopes, frozenset(kinds), tuple(EvsePattern(each) for each in patterns), **facts)


@pytest.fixture
def desk(store: Store) -> Desk:
    """A desk over five EVSEs, four of which stand somewhere."""
    with store.writing() as connection:
        for evse_id, (location, charge_box) in PLACES.items():
            connection.execute(
                text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, 'DE*ABC', 'Available')"),
                {"evse": evse_id},
            )
            if location is not None:
                connection.execute(
                    text("INSERT INTO evse_location VALUES (:evse, :location, :box, 'Europe/Berlin')"),
                    {"evse": evse_id.replace("*", ""), "location": location, "box": charge_box},
                )
    lanes = {"DE*ABC": LaneScope("DEABC", frozenset({"DEABC"}))}
    return Desk(store, lanes, StatusMapping(), Settings())


@pytest.fixture
def now(desk: Desk) -> datetime:
    return desk.store.now()


@pytest.fixture
def blocked(desk: Desk, now: datetime) -> Callable[..., WindowView]:
    """Set Blocked on an EVSE, from an hour ago until in an hour unless told otherwise."""

    def make(evse_id: str = "DE*ABC*E1", actor: Actor = ANN, **facts: Any) -> WindowView:
        times: dict[str, Any] = {"valid_from": now - HOUR, "valid_to": now + HOUR}
        request = WindowRequest(evse_id, TemporaryStatus.BLOCKED, **(times | facts))
        made = set_window(desk, actor, request).value
        assert made is not None
        return made

    return make
