"""Shows the EVSEs by location and charge box, and one of them with why it is shown as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlencode

from starlette.responses import Response

from oicp_adapter.control.chargers import ChargerFilter, get_charger, list_chargers
from oicp_adapter.control.explanation import explain_evse
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import Status, TemporaryStatus
from oicp_adapter.page.live import LiveRow
from oicp_adapter.page.places import location_options
from oicp_adapter.page.rows import ChargerRow, charger_row
from oicp_adapter.page.site import Call
from oicp_adapter.store.evses import EvseState

ROWS: Final = 100
"""EVSEs of one page, which are read again every half second."""

_CHOICES: Final[Sequence[tuple[str, str, type[StrEnum]]]] = (
    ("effective", "Status", Status),
    ("temporary", "Temporary status", TemporaryStatus),
    ("state", "At the hub", EvseState),
)

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The filter as the address has it."""

    fields: Mapping[str, str]

    @property
    def filter(self) -> ChargerFilter:
        return ChargerFilter(
            search=self.fields["q"] or None,
            location=self.fields["location"] or None,
            effective=_chosen(Status, self.fields["effective"]),
            temporary=_chosen(TemporaryStatus, self.fields["temporary"]),
            state=_chosen(EvseState, self.fields["state"]),
        )


def show_chargers(call: Call) -> Response:
    """Return a page of the EVSEs that the filter lets pass."""
    wanted = _Wanted({name: call.first(name) for name in ("q", "location", *(each[0] for each in _CHOICES))})
    page = list_chargers(call.desk, call.actor, wanted.filter, after=call.first("after") or None, limit=ROWS)
    times = call.times()
    rows = [charger_row(each, times) for each in page.items]
    given = {name: value for name, value in wanted.fields.items() if value}
    return call.page(
        "chargers",
        wanted=wanted.fields,
        filtered=bool(given),
        places=location_options(call, wanted.fields["location"]),
        choices=[(name, label, list(values)) for name, label, values in _CHOICES],
        groups=_grouped(rows),
        stream=stream_address([row.key for row in rows]) if rows else None,
        next=urlencode({**given, "after": page.next}) if page.next else None,
        may_set=Scope.SET in call.actor.grant.scopes,
    )


def show_evse(call: Call) -> Response:
    """Return the page of one EVSE."""
    view = get_charger(call.desk, call.actor, call.first("id"))
    row = charger_row(view, call.times())
    return call.page(
        "evse",
        row=row,
        stream=stream_address([row.key]),
        sentences=list(explain_evse(view.overview)),
        may_set=Scope.SET in call.actor.grant.scopes,
    )


def stream_address(keys: Sequence[str]) -> str:
    """Return where the rows of these EVSEs are told as they change."""
    return f"/live/chargers?{urlencode([('key', key) for key in keys])}"


def live_chargers(call: Call) -> Sequence[LiveRow]:
    """Read the rows that are on the screen again."""
    keys = frozenset(evse_key(each) for each in call.every("key")[:ROWS])
    if not keys:
        return []
    page = list_chargers(call.desk, call.actor, ChargerFilter(evse_ids=keys), limit=2 * ROWS)
    times = call.times()
    return [charger_row(each, times).live for each in page.items]


def _grouped(rows: Sequence[ChargerRow]) -> Sequence[tuple[str, Sequence[tuple[str, Sequence[ChargerRow]]]]]:
    groups: dict[str, dict[str, list[ChargerRow]]] = {}
    for row in rows:
        groups.setdefault(row.location, {}).setdefault(row.charge_box, []).append(row)
    return [(location, list(boxes.items())) for location, boxes in groups.items()]


def _chosen(values: type[E], text: str) -> E | None:
    return next((each for each in values if each.value == text), None)
