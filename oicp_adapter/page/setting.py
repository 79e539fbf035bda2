"""
Sets a temporary status: the form, what it means so far, the review, and the saving.

1. The review is the service's preview. What is saved is exactly the set of EVSEs that was reviewed, or nothing.
2. A form that is sent twice is saved once.
3. What is wrong stands beside its field and in a summary, whoever found it.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from oicp_adapter.control.bulk import Selection, WindowTemplate, set_windows
from oicp_adapter.control.chargers import ChargerFilter, list_chargers
from oicp_adapter.control.preview import preview
from oicp_adapter.control.windows import get_window
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.domain.statuses import TRANSLATIONS, Status, TemporaryStatus
from oicp_adapter.page.choosing import Chosen, choose, evses_at
from oicp_adapter.page.draft import CARRIED, UNITS, Draft, box_of, evses_of, local_text, read_draft
from oicp_adapter.page.places import tree_of
from oicp_adapter.page.review import review_facts
from oicp_adapter.page.saved import id_of, saved_address
from oicp_adapter.page.site import Call, refused_status, to
from oicp_adapter.page.times import Times, clock_change, lasting, zone_names
from oicp_adapter.page.windows import CONFIRMED_ABOVE
from oicp_adapter.store.idempotency import Once

SHOWN: Final = 60
NAMED: Final = 50
"""EvseIDs that are not in the store and are named; the others are counted."""

_PRESETS: Final = {
    "1h": "1 h",
    "2h": "2 h",
    "4h": "4 h",
    "8h": "8 h",
    "24h": "24 h",
    "morning": "until 06:00",
    "open": "until ended",
}
_MORNING: Final = 6
_LONG: Final = timedelta(hours=10)
"""From here on nobody reckons in minutes."""

_LOOKED_AT: Final = 50
"""EVSEs among which one is looked for whose zone is known."""

_FIELDS: Final[Mapping[str | None, str]] = {
    None: "evses",
    "select": "evses",
    "select.pattern": "pattern",
    "evseId": "evses",
    "temporaryStatus": "kind",
    "validFrom": "start",
    "validTo": "end",
    "timeZone": "zone",
    "reason": "reason",
    "reference": "reference",
}
_WORDS: Final = {
    TemporaryStatus.MAINTENANCE: "Work on the charger: replaces whatever it says.",
    TemporaryStatus.COMMISSIONING: "Not yet in operation: replaces whatever it says.",
    TemporaryStatus.BLOCKED: "The bay is not free. A charger that is out of service stays so.",
    TemporaryStatus.RESERVED: "Kept for somebody. A charger in use or out of service stays so.",
}
_UNPROCESSABLE: Final = 422


@dataclass(frozen=True, slots=True)
class KindCard:
    """A kind of temporary status, with what everybody will see of it."""

    kind: str
    drivers: str
    oicp: str
    ocpi: str
    words: str
    allowed: bool


def show_form(call: Call) -> Response:
    """Return the form: empty, filled in as one came back from the review, or like a window that there is."""
    if Scope.SET not in call.actor.grant.scopes:
        raise RequestRefusedError(
            Refusal.NOT_PERMITTED,
            f"{foreign_text(call.actor.name, SHOWN)} may not set",
            cure="sign in with another token",
        )
    if call.first("like"):
        return _form_page(Call(call.site, call.request, call.session, _like(call)), {})
    return _form_page(call, {})


def list_leaves(call: Call) -> Response:
    """Return the EVSEs of one charge box, for the tree."""
    box = box_of(call.first("box"))
    evse_ids = evses_at(call, *box) if box is not None else []
    return JSONResponse({"evses": [{"value": each, "label": foreign_text(each, SHOWN)} for each in evse_ids]})


def check_form(call: Call) -> Response:
    """Return what the form means so far: the linked times in words, and how many EVSEs are chosen."""
    times = call.times()
    own = _own_zone(call, times)
    form = _with_preset(call, times)
    # As long as nobody chose a zone, it is that of the EVSEs.
    zone = own if call.first("zone_chosen") != "yes" else call.first("zone")
    call = Call(call.site, call.request, call.session, {**form, "zone": (zone,)})
    draft = read_draft(call, times.now, own)
    shown = Times(draft.zone.key, times.now)
    values = {"zone": draft.zone.key}
    if draft.begins_now:
        values["start"] = local_text(draft.start, draft.zone)
    ends = call.first("ends")
    if draft.start is not None and draft.end is not None:
        values |= {"end": local_text(draft.end, draft.zone)} if ends != "at" else _amount(draft.end - draft.start)
    return JSONResponse(
        {
            "values": values,
            "words": {
                "start": f"{shown.moment(draft.start)}, {shown.relative(draft.start)}" if draft.start else "",
                "end": _end_words(draft, shown, ends),
                "notice": _notice(draft),
            },
            "choices": {
                name: [{"value": each.value, "label": each.label} for each in offered]
                for name, offered in draft.choices.items()
            },
            "chosen": {name: call.first(f"{name}_instant") for name in ("start", "end")},
            "selection": _selection_words(call, draft),
        }
    )


def review(call: Call) -> Response:
    """Return the review of what the form says, or the form with what is wrong."""
    draft, chosen, told = _read(call)
    return told if told is not None else _review_page(call, draft, chosen, {})


def save(call: Call) -> Response:
    """Set what was reviewed, and go to the page that shows what becomes of it."""
    clicked = call.desk.store.now()
    draft, chosen, told = _read(call)
    if told is not None:
        return told
    if call.first("reviewed") != chosen.name:
        wrong = "the EVSEs that are meant have changed since the review: look at it again"
        return _review_page(call, draft, chosen, {"confirm": wrong})
    count = len(chosen.evse_ids)
    if count > CONFIRMED_ABOVE and call.first("confirm") != str(count):
        return _review_page(call, draft, chosen, {"confirm": f"the number is {count}: type it to confirm"})
    once = Once(
        key=f"page:{call.first('once')[:64]}",
        fingerprint=str([chosen.name, *((name, tuple(call.every(name))) for name in CARRIED)]),
        render=lambda views: saved_address("set", [view.record.window.id for view in views], clicked),
    )
    try:
        done = set_windows(call.desk, call.actor, chosen.selection, _template(draft), once=once)
    except RequestRefusedError as refused:
        return _refused(call, refused)
    return to(done.rendered or "/windows")


def _read(call: Call) -> tuple[Draft, Chosen, Response | None]:
    """Return what the form means, and the page that tells what is wrong with it; None: nothing is."""
    times = call.times()
    draft = read_draft(call, times.now, _own_zone(call, times))
    chosen = Chosen(selection=Selection(), evse_ids=(), unknown=())
    errors = dict(draft.errors)
    if "evses" not in errors:
        try:
            chosen = choose(call, draft)
        except RequestRefusedError as refused:
            errors[_FIELDS.get(refused.field, "evses")] = str(refused)
    if chosen.unknown:
        errors["evses"] = f"{len(chosen.unknown)} of the EvseIDs are not in the store: correct them, or leave them out"
    if errors:
        return draft, chosen, _form_page(call, errors, draft=draft, unknown=chosen.unknown)
    return draft, chosen, None


def _review_page(call: Call, draft: Draft, chosen: Chosen, errors: Mapping[str, str]) -> Response:
    try:
        seen = preview(call.desk, call.actor, chosen.selection, _template(draft))
    except RequestRefusedError as refused:
        return _refused(call, refused)
    shown = Times(draft.zone.key, seen.now)
    facts = review_facts(call, draft, chosen, seen, shown)
    return call.page(
        "review",
        status=_UNPROCESSABLE if errors else 200,
        errors=errors,
        needs_number=len(chosen.evse_ids) > CONFIRMED_ABOVE,
        reviewed=chosen.name,
        once=call.first("once") or secrets.token_urlsafe(16),
        carried=[(name, value) for name in CARRIED for value in call.every(name)],
        **facts,
    )


def _refused(call: Call, refused: RequestRefusedError) -> Response:
    times = call.times()
    draft = read_draft(call, times.now, _own_zone(call, times))
    field = _FIELDS.get(refused.field, "evses")
    return _form_page(call, {field: str(refused)}, draft=draft, status=refused_status(refused))


def _form_page(
    call: Call,
    errors: Mapping[str, str],
    *,
    draft: Draft | None = None,
    unknown: Sequence[str] = (),
    status: int | None = None,
) -> Response:
    times = call.times()
    own = _own_zone(call, times)
    draft = draft or read_draft(call, times.now, own)
    tree, left_out = tree_of(call, draft)
    names = ("pasted", "pattern", "kind", "begins", "start", "ends", "end", "reason", "reference")
    values: dict[str, Any] = {name: call.first(name) for name in names}
    values["zone"] = call.first("zone") or own
    values["zone_chosen"] = bool(call.first("zone"))
    values["amount"] = call.first("amount") or "4"
    values["unit"] = call.first("unit") if call.first("unit") in UNITS else "hours"
    values["instants"] = {name: call.first(f"{name}_instant") for name in ("start", "end")}
    return call.page(
        "set",
        status=status or (_UNPROCESSABLE if errors else 200),
        errors=errors,
        unknown=[foreign_text(each, SHOWN) for each in unknown[:NAMED]],
        tree=tree,
        tree_left_out=left_out,
        values=values,
        evses=[each for each in call.every("evse") if each],
        choices=draft.choices if errors else {},
        kinds=[_card(call, kind) for kind in TemporaryStatus],
        zones=zone_names(),
        units=list(UNITS),
        presets=list(_PRESETS.items()),
    )


def _card(call: Call, kind: TemporaryStatus) -> KindCard:
    row = TRANSLATIONS[Status(kind.value)]
    return KindCard(
        kind=kind,
        drivers=row.driver,
        oicp=call.desk.mapping.oicp(Status(kind.value)),
        ocpi=row.ocpi,
        words=_WORDS[kind],
        allowed=kind in call.actor.grant.kinds,
    )


def _template(draft: Draft) -> WindowTemplate:
    if draft.kind is None:
        raise RequestRefusedError(
            Refusal.INVALID, "no kind is chosen", cure="choose what drivers will see", field="temporaryStatus"
        )
    return WindowTemplate(
        kind=draft.kind,
        valid_from=draft.valid_from,
        valid_to=draft.end,
        time_zone=draft.zone.key,
        reason=draft.reason or None,
        reference=draft.reference or None,
    )


def _own_zone(call: Call, times: Times) -> str:
    """Return the zone that times are in unless another is chosen: the reader's, else of the first EVSE meant."""
    if times.chosen is not None:
        return times.chosen
    page = list_chargers(call.desk, call.actor, _first_meant(call), limit=_LOOKED_AT)
    return next((each.time_zone for each in page.items if each.time_zone in zone_names()), None) or "UTC"


def _first_meant(call: Call) -> ChargerFilter:
    """Return what finds the first EVSEs that a form means; of an empty one any."""
    evses = evses_of(call)
    if evses:
        return ChargerFilter(evse_ids=frozenset(evses[:_LOOKED_AT]))
    places: list[tuple[str | None, str | None]] = [(each, None) for each in call.every("location") if each]
    places += [box for each in call.every("box") if (box := box_of(each)) is not None]
    location, charge_box = places[0] if places else (None, None)
    return ChargerFilter(location=location, charge_box=charge_box)


def _like(call: Call) -> Mapping[str, Sequence[str]]:
    """Return the form filled in like a window that there is, to begin now and to last as long."""
    view = get_window(call.desk, call.actor, id_of(call.first("like")) or 0)
    window, record = view.record.window, view.record
    form = {"evse": record.evse_id, "kind": window.kind.value, "begins": "now", "reason": record.reason or ""}
    form |= {"reference": record.reference or "", "ends": "open"}
    if window.valid_to is not None:
        form |= {"ends": "after", **_amount(window.valid_to - window.valid_from)}
    return {name: (value,) for name, value in form.items()}


def _with_preset(call: Call, times: Times) -> Mapping[str, Sequence[str]]:
    """Return the form with what a button for a usual end sets."""
    preset = call.first("preset")
    form = dict(call.form)
    if preset not in _PRESETS:
        return form
    if preset == "morning":
        draft = read_draft(call, times.now, _own_zone(call, times))
        length = _until_morning((draft.start or times.now).astimezone(draft.zone))
        form |= {"ends": ("after",), **{name: (value,) for name, value in _amount(length).items()}}
    elif preset == "open":
        form["ends"] = ("open",)
    else:
        form |= {"ends": ("after",), "amount": (preset.removesuffix("h"),), "unit": ("hours",)}
    return form


def _until_morning(start: datetime) -> timedelta:
    """Return how long it is until the next morning where *start* is; no zone changes its clocks at that hour."""
    day = start.date() + timedelta(days=start.hour >= _MORNING)
    morning = datetime(day.year, day.month, day.day, _MORNING, tzinfo=start.tzinfo)
    # In one zone, Python would reckon with the hands of the clock.
    return morning.astimezone(UTC) - start.astimezone(UTC)


def _amount(length: timedelta) -> Mapping[str, str]:
    """Return a duration as the fields of the form hold it; one that is none is left to the person."""
    if length <= timedelta(0):
        return {}
    for unit in ("days", "hours", "minutes"):
        count = length / UNITS[unit]
        if count == int(count) or (unit == "hours" and count * 4 == int(count * 4)):
            return {"amount": f"{count:g}", "unit": unit}
    # To the minute, or to a hundredth of an hour: whoever wants it exactly has the end.
    if length < _LONG:
        return {"amount": str(max(1, round(length / UNITS["minutes"]))), "unit": "minutes"}
    return {"amount": f"{length / UNITS['hours']:.2f}", "unit": "hours"}


def _end_words(draft: Draft, shown: Times, ends: str) -> str:
    if ends == "open":
        return "it applies until somebody ends it"
    if draft.end is None or draft.start is None:
        return ""
    if draft.end <= draft.start:
        return "the end is not after the start"
    return f"{shown.moment(draft.end)}, {shown.relative(draft.end)}, after {lasting(draft.end - draft.start)}"


def _notice(draft: Draft) -> str:
    told = [draft.errors[name] for name in ("zone", "start", "amount", "end") if name in draft.errors]
    if draft.start is not None and (changed := clock_change(draft.start, draft.end, draft.zone)) is not None:
        told.append(changed)
    return "; ".join(told)


def _selection_words(call: Call, draft: Draft) -> str:
    if "evses" in draft.errors:
        return "No EVSE is chosen yet"
    try:
        chosen = choose(call, draft)
    except RequestRefusedError as refused:
        return str(refused)
    count = f"{len(chosen.evse_ids)} EVSE{'' if len(chosen.evse_ids) == 1 else 's'} chosen"
    if not chosen.unknown:
        return count
    named = ", ".join(foreign_text(each, SHOWN) for each in chosen.unknown[:5])
    more = f" and {len(chosen.unknown) - 5} more" if len(chosen.unknown) > 5 else ""  # noqa: PLR2004 - as many as above
    return f"{count}; not in the store: {named}{more}"
