"""Shows temporary statuses by their state, one of them with its history, and does what is asked of some of them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from oicp_adapter.control.chargers import window_standing
from oicp_adapter.control.listing import Page, WindowFilter, WindowOrder, count_windows, list_windows
from oicp_adapter.control.lookup import find_chargers, find_views
from oicp_adapter.control.window_model import WindowChanges, WindowView
from oicp_adapter.control.windows import change_window, end_windows, extend_windows, get_window, history
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.page.draft import Choice, instant_of, local_text, zone_field
from oicp_adapter.page.live import LiveRow
from oicp_adapter.page.places import location_options
from oicp_adapter.page.rows import WindowRow, window_row
from oicp_adapter.page.saved import id_of, saved_address
from oicp_adapter.page.site import Call, refused_status, to
from oicp_adapter.page.times import Times, zone_names
from oicp_adapter.store.audit import AuditEntry
from oicp_adapter.store.windows import WindowState

ROWS: Final = 50
"""Windows of one page, which are read again every half second."""

CONFIRMED_ABOVE: Final = 20
"""So many are changed at a time without their number being typed."""

TABS: Final = {"active": WindowState.ACTIVE, "upcoming": WindowState.UPCOMING, "past": WindowState.ENDED}
HOUR: Final = timedelta(hours=1)
_PAUSES: Final = 9
"""Times as long as it took to count, before it is counted again."""

_ORDERS: Final[Mapping[str, tuple[str, WindowOrder, bool]]] = {
    "end": ("end, the next first", WindowOrder.END, False),
    "start": ("start, the first first", WindowOrder.START, False),
    "-start": ("start, the last first", WindowOrder.START, True),
    "-end": ("end, the last first", WindowOrder.END, True),
    "evse": ("EVSE", WindowOrder.EVSE, False),
    "-id": ("number, the newest first", WindowOrder.ID, True),
}
_USUAL_ORDER: Final = {"active": "-start", "upcoming": "start", "past": "-end"}
_QUESTIONS: Final = {
    "end": "End {} windows now",
    "hour": "Extend {} windows by an hour",
    "to": "Change the end of {} windows",
}
_FIELDS: Final = {
    "validFrom": "start",
    "validTo": "end",
    "by": "end",
    "timeZone": "zone",
    "reason": "reason",
}
_SHOWN_FIELDS: Final = {
    "evseId": "EVSE",
    "temporaryStatus": "status",
    "validFrom": "start",
    "validTo": "end",
    "endedAt": "ended",
    "timeZone": "zone",
}
_WHAT: Final = {"window.set": "set", "window.end": "ended", "window.change": "changed"}


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One entry of a history: what was done, by whom, and what it changed."""

    what: str
    actor: str
    at: str
    changes: Sequence[tuple[str, str, str]]


def show_windows(call: Call) -> Response:
    """Return a page of the windows of one tab."""
    tab, order = _tab(call)
    page = _listed(call, after=call.first("after") or None)
    fields = {name: call.first(name) for name in ("q", "kind", "location", "evse")}
    given = {name: value for name, value in fields.items() if value}
    rows = window_rows(call, page.items, call.times())
    watched = [("tab", tab), ("order", order), ("first", "" if call.first("after") else "yes")]
    watched += [("id", str(row.id)) for row in rows]
    return call.page(
        "windows",
        tab=tab,
        tabs={name: urlencode({**given, "tab": name}) for name in TABS},
        counts=_counts(call),
        wanted={**fields, "order": order},
        filtered=bool(given),
        evse_shown=foreign_text(fields["evse"], 60),
        kinds=list(TemporaryStatus),
        places=location_options(call, fields["location"]),
        orders=[(name, label) for name, (label, _, _) in _ORDERS.items()],
        rows=rows,
        stream=f"/live/windows?{urlencode([*given.items(), *watched])}",
        again=urlencode({**given, "tab": tab, "order": order}),
        news=_news(0),
        next=urlencode({**given, "tab": tab, "order": order, "after": page.next}) if page.next else None,
        may_set=Scope.SET in call.actor.grant.scopes,
        zones=zone_names(),
        zone=call.times().zone(next((row.zone for row in rows if row.zone), None)).key,
    )


@dataclass(slots=True)
class WindowsWatch:
    """
    Follows the windows of one page.

    What must be counted over all windows takes seconds where there are very many, so it may take a tenth of the time.
    """

    _counted: Sequence[LiveRow] = ()
    _again_at: float = 0.0

    def look(self, call: Call) -> Sequence[LiveRow]:
        """Read the windows that are on the screen again, and now and then the counts of the tabs."""
        shown = [_number(each) for each in call.every("id")[:ROWS]]
        began = time.monotonic()
        if began >= self._again_at:
            self._counted = _counted(call, shown)
            ended = time.monotonic()
            self._again_at = ended + _PAUSES * (ended - began)
        views = find_views(call.desk, call.actor, shown)
        return [*self._counted, *(row.live for row in window_rows(call, views, call.times()))]


def _counted(call: Call, shown: Sequence[int]) -> Sequence[LiveRow]:
    """Count the windows of each tab, and those that belong on the screen by now and are not on it."""
    others = 0
    if call.first("first"):
        others = sum(each.record.window.id not in shown for each in _listed(call).items)
    return [_counts(call), _news(others)]


def show_window(call: Call) -> Response:
    """Return the page of one window."""
    return _window_page(call, get_window(call.desk, call.actor, _number(call.request.path_params["id"])), {}, {})


def change_one(call: Call) -> Response:
    """Change one window as its form says."""
    clicked = call.desk.store.now()
    key = _number(call.request.path_params["id"])
    view = get_window(call.desk, call.actor, key)
    errors: dict[str, str] = {}
    choices: dict[str, Sequence[Choice]] = {}
    zone = zone_field(call, view.record.time_zone or "UTC", errors)
    changes: WindowChanges = {}
    if call.first("reason") != (view.record.reason or "").strip():
        changes["reason"] = call.first("reason") or None
    if call.first("start") and call.first("start") != local_text(view.record.window.valid_from, zone):
        start = instant_of(call, "start", zone, errors, choices)
        if start is not None:
            changes["valid_from"] = start
    if call.first("end") != local_text(view.record.window.valid_to, zone):
        changes["valid_to"] = instant_of(call, "end", zone, errors, choices) if call.first("end") else None
    if "valid_from" in changes or "valid_to" in changes:
        changes["time_zone"] = zone.key
    if errors:
        return _window_page(call, view, errors, choices)
    try:
        changed = change_window(call.desk, call.actor, key, changes, if_match=call.first("etag") or None)
    except RequestRefusedError as refused:
        told = {_FIELDS.get(refused.field or "", "end"): str(refused)}
        return _window_page(call, view, told, choices, status=refused_status(refused))
    return to(saved_address("changed", [changed.record.window.id], clicked))


def end_one(call: Call) -> Response:
    """End one window now."""
    return _do(call, "end", [_number(call.request.path_params["id"])])


def extend_one(call: Call) -> Response:
    """Extend one window by an hour."""
    return _do(call, "hour", [_number(call.request.path_params["id"])])


def act(call: Call) -> Response:
    """Do what is asked of the chosen windows; of many only when their number was typed."""
    keys = [_number(each) for each in dict.fromkeys(call.every("window"))]
    do = call.first("do")
    if do not in _QUESTIONS:
        raise RequestRefusedError(Refusal.INVALID, "nothing is to be done", cure="use one of the buttons")
    if not keys:
        raise RequestRefusedError(Refusal.INVALID, "no window is chosen", cure="tick the windows that are meant")
    if len(keys) > CONFIRMED_ABOVE and call.first("confirm") != str(len(keys)):
        return _ask(call, do, keys)
    choices: dict[str, Sequence[Choice]] = {}
    try:
        return _do(call, do, keys, choices)
    except RequestRefusedError:
        if choices:  # on the night of a clock change a person says which of two times is meant
            return _ask(call, do, keys, choices)
        raise


def window_rows(call: Call, views: Sequence[WindowView], times: Times) -> Sequence[WindowRow]:
    """Return what stands on the screen of some windows."""
    chargers = find_chargers(call.desk, call.actor, {each.record.evse_id for each in views})
    standings = window_standing(call.desk, views)
    rows = []
    for view, standing in zip(views, standings, strict=True):
        charger = chargers.get(evse_key(view.record.evse_id))
        zone = charger.time_zone if charger is not None else None
        rows.append(window_row(view, standing, times, zone, by=call.actor))
    return rows


def _tab(call: Call) -> tuple[str, str]:
    """Return the tab that is meant, and the order of its windows."""
    tab = call.first("tab") if call.first("tab") in TABS else "active"
    return tab, call.first("order") if call.first("order") in _ORDERS else _USUAL_ORDER[tab]


def _listed(call: Call, after: str | None = None) -> Page[WindowView]:
    """Read a page of the tab that is meant."""
    tab, order = _tab(call)
    _, by, descending = _ORDERS[order]
    wanted = _filter(call, frozenset({TABS[tab]}))
    return list_windows(call.desk, call.actor, wanted, order=by, descending=descending, after=after, limit=ROWS)


def _news(others: int) -> LiveRow:
    """Say how many windows belong on the screen by now and are not on it."""
    words = {0: "", 1: "One more window belongs here by now."}
    return LiveRow("news", {"others": words.get(others, f"{others} more windows belong here by now.")})


def _filter(call: Call, states: frozenset[WindowState]) -> WindowFilter:
    kind = next((each for each in TemporaryStatus if each.value == call.first("kind")), None)
    return WindowFilter(
        states=states,
        evse_ids=frozenset({call.first("evse")}) if call.first("evse") else frozenset(),
        kinds=frozenset({kind}) if kind is not None else frozenset(),
        search=call.first("q") or None,
        location=call.first("location") or None,
    )


def _counts(call: Call) -> LiveRow:
    counts = count_windows(call.desk, call.actor, _filter(call, frozenset()))
    return LiveRow("counts", {name: str(counts[state]) for name, state in TABS.items()})


def _number(text: str) -> int:
    key = id_of(text)
    if key is None:
        raise RequestRefusedError(
            Refusal.NOT_FOUND, f"there is no window {foreign_text(text, 30)}", cure="choose one of the list"
        )
    return key


def _do(call: Call, do: str, keys: Sequence[int], choices: dict[str, Sequence[Choice]] | None = None) -> Response:
    clicked = call.desk.store.now()
    if do == "end":
        ended = end_windows(call.desk, call.actor, keys)
        if all(each.record.window.end is not None and each.record.window.end < clicked for each in ended):
            raise RequestRefusedError(
                Refusal.WINDOW_OVER,
                "it was over already" if len(keys) == 1 else "all of them were over already",
                cure="reload the list to see what applies now",
            )
        return to(saved_address("ended", keys, clicked))
    if do == "hour":
        extend_windows(call.desk, call.actor, keys, by=HOUR)
        return to(saved_address("extended", keys, clicked))
    errors: dict[str, str] = {}
    zone = zone_field(call, "UTC", errors)
    end = instant_of(call, "end", zone, errors, choices if choices is not None else {})
    if errors:
        cure = "write the new end beside the button, or change one window on its own page"
        raise RequestRefusedError(Refusal.INVALID, next(iter(errors.values())), cure=cure)
    extend_windows(call.desk, call.actor, keys, to=end, time_zone=zone.key)
    return to(saved_address("changed", keys, clicked))


def _ask(call: Call, do: str, keys: Sequence[int], choices: Mapping[str, Sequence[Choice]] | None = None) -> Response:
    """Return the question that is left: their number, or which of two times is meant."""
    carried = [("window", str(each)) for each in keys]
    carried += [(name, call.first(name)) for name in ("end", "zone") if call.first(name)]
    many = len(keys) > CONFIRMED_ABOVE
    errors = {}
    if call.first("confirm") and call.first("confirm") != str(len(keys)):
        errors["confirm"] = f"the number is {len(keys)}, not {foreign_text(call.first('confirm'), 20)}"
    if choices:
        errors["end"] = "the clocks change in that night: choose which time is meant"
    return call.page(
        "confirm",
        status=422 if errors else 200,
        question=_QUESTIONS[do].format(len(keys)),
        do=do,
        count=len(keys) if many else None,
        confirm=call.first("confirm"),
        carried=carried,
        choices=choices or {},
        errors=errors,
    )


def _window_page(
    call: Call,
    view: WindowView,
    errors: Mapping[str, str],
    choices: Mapping[str, Sequence[Choice]],
    *,
    status: int | None = None,
) -> Response:
    times = call.times()
    row = window_rows(call, [view], times)[0]
    window, record = view.record.window, view.record
    charger = find_chargers(call.desk, call.actor, [record.evse_id]).get(evse_key(record.evse_id))
    own = charger.time_zone if charger is not None and charger.time_zone else record.time_zone
    zone = times.zone(own)
    typed = call.request.method == "POST"
    return call.page(
        "window",
        status=status or (422 if errors else 200),
        row=row,
        errors=errors,
        choices=choices,
        chosen={},
        stream=f"/live/windows?id={window.id}",
        history=[_line(each, times, own) for each in history(call.desk, call.actor, window.id)],
        may_set=Scope.SET in call.actor.grant.scopes,
        zones=zone_names(),
        zone=call.first("zone") if typed else zone.key,
        start=call.first("start") if typed else local_text(window.valid_from, zone),
        end=call.first("end") if typed else local_text(window.valid_to, zone),
        reason=call.first("reason") if typed else (record.reason or ""),
    )


def _line(entry: AuditEntry, times: Times, own_zone: str | None) -> HistoryLine:
    before, after = entry.before or {}, entry.after or {}
    names = [name for name in after if entry.before is not None and before.get(name) != after.get(name)]
    return HistoryLine(
        what=_WHAT.get(entry.action, foreign_text(entry.action, 40)),
        actor=foreign_text(entry.actor, 60),
        at=times.moment(entry.at, own_zone, seconds=True),
        changes=[
            (
                _SHOWN_FIELDS.get(name, name),
                _value(before.get(name), times, own_zone),
                _value(after.get(name), times, own_zone),
            )
            for name in names
        ],
    )


def _value(value: object, times: Times, own_zone: str | None) -> str:
    if value is None:
        return "nothing"
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return foreign_text(value)
    return times.moment(instant, own_zone) if instant.tzinfo is not None else foreign_text(value)
