"""
Tells what does not reach the hub: records that it refused, and rows that never leave the house.

A refused record can be released, to be tried at once; a row that never leaves the house can only be corrected.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.domain.unserved import unserved
from oicp_adapter.store.engine import Store
from oicp_adapter.store.evses import evse_overviews
from oicp_adapter.store.operations import quarantined
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Rejected, Rejection

SHOWN: Final = 60
"""Characters of an EvseID that a sentence shows."""

_CURES: Final[Mapping[Rejection, str]] = {
    Rejection.MALFORMED_EVSE_ID: "correct its evse_id",
    Rejection.FOREIGN_OPERATOR: "correct its evse_id, or name its operator in sub_operators",
    Rejection.DUPLICATE: "delete all rows of this charging spot but one",
}
_RELEASE: Final = "mend what the hub names; `quarantine release` tries it at once"


@dataclass(frozen=True, slots=True)
class Detained:
    """
    An EVSE whose status does not reach the hub.

    Attributes:
        operator: OperatorID of the lane; of a row that no lane serves its own.
        since: When the hub refused it first; None: not known.
        failures: Failed attempts in a row; None: it was never tried.
        reason: A value of `Reason` or of `Rejection`; None: not known.
        detail: Why, in words; None: the hub used none.
        retry_at: When it is tried again; None: not by itself.
        releasable: Whether `quarantine release` lets it be tried at once.
        cure: What to do about it.
    """

    operator: str
    evse_id: str
    since: datetime | None
    failures: int | None
    reason: str | None
    detail: str | None
    retry_at: datetime | None
    releasable: bool
    cure: str


def refused_records(store: Store, lanes: Mapping[str, LaneScope]) -> Iterator[Detained]:
    """
    Yield the records that the hub refused and that wait for another attempt, lane by lane.

    Raises:
        StoreError: The store could not be read.
    """
    for operator, scope in lanes.items():
        for each in quarantined(store, scope.lane):
            yield Detained(
                operator=operator,
                evse_id=each.evse_id,
                since=each.first_failed_at,
                failures=each.failures,
                reason=each.refusal,
                detail=each.refusal_detail,
                retry_at=each.retry_at,
                releasable=True,
                cure=_RELEASE,
            )


def rejected_rows(
    store: Store, lanes: Mapping[str, LaneScope], mapping: StatusMapping, only: Collection[str] | None = None
) -> Iterator[Detained]:
    """
    Yield the rows that never leave the house, as `status` shows them; costs as much as the fleet is large.

    Args:
        lanes: All lanes of the settings, by OperatorID.
        only: OperatorIDs of the lanes that are wanted; None: all, and what no lane serves.

    Raises:
        StoreError: The store could not be read.
    """
    names = {scope.lane: name for name, scope in lanes.items()}
    for seen in evse_overviews(store, list(lanes.values()), mapping):
        operator = names.get(seen.lane or "")
        if seen.rejected is None or (only is not None and operator not in only):
            continue
        yield Detained(
            operator=operator or seen.operator_id or "",
            evse_id=seen.evse_id,
            since=None,
            failures=None,
            reason=seen.rejected.reason,
            detail=seen.rejected.detail,
            retry_at=None,
            releasable=False,
            cure=_cure(seen.rejected),
        )


def why_not_released(
    store: Store, lanes: Sequence[LaneScope], mapping: StatusMapping, evse_ids: Collection[str]
) -> Iterator[str]:
    """
    Yield a sentence for each EVSE that somebody wanted to release and that is not in quarantine.

    Args:
        lanes: All lanes of the settings.
        evse_ids: In any spelling; the sentences repeat it.

    Raises:
        StoreError: The store could not be read.
    """
    seen = {evse_key(each.evse_id): each for each in evse_overviews(store, lanes, mapping, evse_ids)}
    for evse_id in evse_ids:
        name = foreign_text(evse_id, SHOWN)
        found = seen.get(evse_key(evse_id))
        if found is None:
            yield f"{name} is not in quarantine: no such EVSE is in the store"
        elif found.rejected is not None:
            cure = _cure(found.rejected)
            yield f"{name} cannot be released: its row never leaves the house ({found.rejected.detail}); {cure}"
        else:
            yield f"{name} is not in quarantine: its state is {found.state}"


def _cure(rejected: Rejected) -> str:
    if rejected.reason is Rejection.OPERATOR_NOT_SERVED:
        return unserved(rejected.operator_id).cure
    return _CURES[rejected.reason]
