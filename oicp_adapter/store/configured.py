"""Opens the store that the settings name, and says which lanes they describe."""

from collections.abc import Sequence

from oicp_adapter.settings import Settings
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.relations import Relations
from oicp_adapter.store.scope import LaneScope


def configured_store(settings: Settings) -> Store:
    """Open the store that the settings name; nothing is connected yet."""
    password = settings.store.password
    return open_store(
        settings.store.url,
        password=password.get_secret_value() if password is not None else None,
        relations=Relations(settings.store.status_relation, settings.store.temporary_relation),
    )


def lane_scopes(settings: Settings) -> Sequence[LaneScope]:
    """Return what each lane covers, in the order of the settings."""
    return [LaneScope(lane=each.canonical, operator_keys=each.operator_keys) for each in settings.operators]
