"""Says which lanes the settings describe, and refuses settings without any."""

from collections.abc import Mapping

from oicp_adapter.domain.errors import ConfigurationError
from oicp_adapter.settings import Settings
from oicp_adapter.store.configured import lane_scopes
from oicp_adapter.store.scope import LaneScope


def lanes_of(settings: Settings) -> Mapping[str, LaneScope]:
    """Return what each lane covers, by its OperatorID as the settings spell it and in their order."""
    return {each.id: scope for each, scope in zip(settings.operators, lane_scopes(settings), strict=True)}


def configured_lanes(settings: Settings) -> Mapping[str, LaneScope]:
    """
    Return what `lanes_of` does, of settings that name a lane.

    Raises:
        ConfigurationError: No operator is configured; an answer about no lane would look as if all were well.
    """
    if not settings.operators:
        raise ConfigurationError("no operator is configured", cure="add an [[operators]] entry for each hub account")
    return lanes_of(settings)
