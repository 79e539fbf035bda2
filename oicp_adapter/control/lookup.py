"""Reads many temporary statuses by their numbers at once, for a page that shows them again and again."""

from collections.abc import Collection, Sequence

from oicp_adapter.control.desk import Desk
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
