"""Puts the service's preview into words, and the same request as a command."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from oicp_adapter.control.bulk import Selection
from oicp_adapter.control.preview import EvsePreview, Overlap, Preview
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.page.choosing import Chosen
from oicp_adapter.page.draft import Draft
from oicp_adapter.page.rows import tone
from oicp_adapter.page.site import Call
from oicp_adapter.page.times import Times, lasting

LISTED: Final = 200
"""EVSEs that the review lists; the others are counted."""

SHOWN: Final = 60
PATH: Final = "/v2/temporary-evse-statuses/bulk"


@dataclass(frozen=True, slots=True)
class EvseEffect:
    """What becomes of one EVSE, as the review shows it."""

    evse: str
    where: str
    now: str
    now_tone: str
    during: str
    during_tone: str
    after: str
    after_tone: str
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of some EVSEs alike."""

    count: int
    now: str
    now_tone: str
    during: str
    during_tone: str
    after: str
    after_tone: str


def review_facts(call: Call, draft: Draft, chosen: Chosen, seen: Preview, shown: Times) -> dict[str, Any]:
    """Return what the review shows."""
    begin = draft.start or seen.valid_from
    end = "until somebody ends it"
    if seen.valid_to is not None:
        away = "" if draft.begins_now else f"{shown.relative(seen.valid_to)}, "
        end = f"{shown.moment(seen.valid_to)}, {away}after {lasting(seen.valid_to - begin)}"
    start = shown.moment(begin)
    return {
        "kind": draft.kind,
        "count": len(chosen.evse_ids),
        "start": f"now, {start}" if draft.begins_now else f"{start}, {shown.relative(begin)}",
        "end": end,
        "reason": foreign_text(draft.reason, 500),
        "reference": foreign_text(draft.reference, 200),
        "warnings": seen.warnings,
        "effects": _effects(seen.evses),
        "evses": [_effect(each, shown) for each in seen.evses[:LISTED]],
        "left_out": max(0, len(seen.evses) - LISTED),
        "curl": curl(call, draft, chosen.selection),
    }


def curl(call: Call, draft: Draft, selection: Selection) -> str:
    """Return the command that asks the API for the same; the token is a variable of the shell."""
    document: dict[str, object] = {
        "select": _select(selection),
        "temporaryStatus": draft.kind.upper() if draft.kind is not None else None,
        "validFrom": draft.start.astimezone(draft.zone).isoformat() if draft.start and not draft.begins_now else None,
        "validTo": draft.end.astimezone(draft.zone).isoformat(timespec="seconds") if draft.end is not None else None,
        "timeZone": draft.zone.key,
        "reason": draft.reason or None,
        "reference": draft.reference or None,
    }
    body = json.dumps({name: value for name, value in document.items() if value is not None}, ensure_ascii=False)
    address = f"{call.request.url.scheme}://{call.request.url.netloc}{PATH}"
    return (
        f"curl --fail-with-body {shlex.quote(address)} \\\n"
        '  --header "Authorization: Bearer $TOKEN" \\\n'
        "  --header 'Content-Type: application/json' \\\n"
        f"  --data {shlex.quote(body)}"
    )


def _select(selection: Selection) -> Mapping[str, object]:
    if selection.evse_ids:
        return {"evseIds": list(selection.evse_ids)}
    if selection.pattern is not None:
        return {"pattern": selection.pattern}
    at = {"location": selection.location, "chargeBox": selection.charge_box}
    return {name: value for name, value in at.items() if value is not None}


def _effects(evses: Sequence[EvsePreview]) -> Sequence[Effect]:
    counted = Counter(
        (each.now.driver, each.during.driver, each.after.driver if each.after is not None else "") for each in evses
    )
    return [
        Effect(count, now, tone(now), during, tone(during), after, tone(after))
        for (now, during, after), count in counted.most_common()
    ]


def _effect(each: EvsePreview, shown: Times) -> EvseEffect:
    place = each.place
    after = each.after.driver if each.after is not None else ""
    where = ", ".join(foreign_text(part, SHOWN) for part in (place.location, place.charge_box) if part)
    return EvseEffect(
        evse=foreign_text(place.evse_id, SHOWN),
        where=where or "not known",
        now=each.now.driver,
        now_tone=tone(each.now.driver),
        during=each.during.driver,
        during_tone=tone(each.during.driver),
        after=after,
        after_tone=tone(after),
        notes=[*(_met(overlap, place.time_zone, shown) for overlap in each.overlaps), *each.warnings],
    )


def _met(overlap: Overlap, own_zone: str | None, shown: Times) -> str:
    window = overlap.window
    until = f"until {shown.moment(window.end, own_zone)}" if window.end is not None else "until ended"
    what = f"{window.kind} from {shown.moment(window.valid_from, own_zone)} {until}"
    return f"{what} wins over this" if overlap.wins else f"this wins over {what}"
