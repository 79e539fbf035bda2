from collections.abc import Callable

import pytest

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.lookup import find_views
from oicp_adapter.control.window_model import WindowView
from oicp_adapter.control.windows import get_window
from oicp_adapter.domain.access import EVERYTHING, Actor, Grant, Scope
from oicp_adapter.domain.errors import RequestRefusedError

ANN = Actor("ann", "tokenann", EVERYTHING)


def test_many_are_read_at_once_as_each_alone_and_what_is_not_there_is_left_out(
    desk: Desk, blocked: Callable[..., WindowView]
) -> None:
    made = [blocked("DE*ABC*E1"), blocked("DE*ABC*E11")]
    keys = [each.record.window.id for each in made]
    found = find_views(desk, ANN, [*reversed(keys), 10_000])
    assert [each.record for each in found] == [get_window(desk, ANN, key).record for key in keys]
    assert find_views(desk, ANN, []) == []


def test_only_those_of_evses_that_somebody_may_see(desk: Desk, blocked: Callable[..., WindowView]) -> None:
    keys = [blocked(evse_id).record.window.id for evse_id in ("DE*ABC*E1", "DE*ABC*E11", "DE*ABC*E12")]
    zeil = Actor("zeil", "t", Grant(frozenset({Scope.READ}), frozenset(), locations=frozenset({"Zeil 85"})))
    assert [each.record.window.id for each in find_views(desk, zeil, keys)] == keys[:1]
    with pytest.raises(RequestRefusedError):
        find_views(desk, Actor("nobody", "t", Grant(frozenset(), frozenset())), keys)
