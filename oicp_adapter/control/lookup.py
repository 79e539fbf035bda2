"""Reads many temporary statuses, or many EVSEs, by their names at once, for a page that shows them again and again."""

from collections.abc import Collection, Mapping, Sequence

from oicp_adapter.control.chargers import ChargerFilter, ChargerView, list_chargers
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.listing import LONGEST_PAGE
from oicp_adapter.control.permission import require_scope
from oicp_adapter.control.window_model import WindowView, view_of
from oicp_adapter.domain.access import Actor, Scope
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.store.places import locations_of
from oicp_adapter.store.temporary import find_windows


def find_views(desk: Desk, actor: Actor, keys: Collection[int]) -> Sequence[WindowView]:
    """
    Return temporary statuses in the order of their numbers; those that are not there, or not theirs, are left out.

    Raises:
        RequestRefusedError: NOT_PERMITTED without the scope.
        StoreError: The store could not be read.
    """
    require_scope(actor, Scope.READ)
    with desk.store.reading(by_key=True) as connection:
        now = desk.store.now(connection)
        found = find_windows(connection, keys)
        if actor.grant.covers_all:
            return [view_of(record, now) for record in found]
        places = locations_of(connection, {evse_key(record.evse_id) for record in found})
    at = {key: place.location for key, place in places.items()}
    return [
        view_of(record, now) for record in found if actor.grant.covers(record.evse_id, at.get(evse_key(record.evse_id)))
    ]


def find_chargers(desk: Desk, actor: Actor, evse_ids: Collection[str]) -> Mapping[str, ChargerView]:
    """
    Return EVSEs by their keys; those that are not there, or not theirs, are left out.

    Args:
        evse_ids: At most as many as a page holds, in any spelling.

    Raises:
        RequestRefusedError: NOT_PERMITTED without the scope.
        StoreError: The store could not be read.
    """
    if not evse_ids:
        return {}
    page = list_chargers(desk, actor, ChargerFilter(evse_ids=frozenset(evse_ids)), limit=LONGEST_PAGE)
    return {evse_key(each.overview.evse_id): each for each in page.items}
