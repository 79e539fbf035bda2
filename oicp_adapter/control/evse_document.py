"""Describes one EVSE as a document: what `status --json` prints, field by field."""

from typing import Final

from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.statuses import TRANSLATIONS
from oicp_adapter.store.evses import EvseOverview, EvseState

WORD_LIMIT: Final = 200
"""Characters of a charger's word that are shown; what is cut says so at its end."""


def evse_document(seen: EvseOverview) -> dict[str, object]:
    """
    Return the document of one EVSE.

    Returns:
        Names of CONTRACT §1, instants aware, UTC; None where there is nothing: no temporary status, nothing
        acknowledged, or, for an EVSE that is being withdrawn, no status. `changedAt` is since when the charger says
        what it says, `reason` why it does not go out.
    """
    resolution, entry = seen.resolution, seen.entry
    window = resolution.window if resolution is not None else None
    translation = TRANSLATIONS[resolution.effective] if resolution is not None else None
    return {
        "evseId": seen.evse_id,
        "operatorId": seen.operator_id or seen.lane,
        "technicalStatus": _word(seen.technical),
        "changedAt": seen.changed_at,
        "temporaryStatus": window.kind if window is not None else None,
        "effectiveStatus": resolution.effective if resolution is not None else None,
        "oicpStatus": resolution.oicp if resolution is not None else None,
        "ocpiStatus": translation.ocpi if translation is not None else None,
        "driverStatus": translation.driver if translation is not None else None,
        "acknowledgedStatus": seen.acknowledged,
        "acknowledgedAt": entry.acknowledged_at if entry is not None else None,
        "pendingSince": entry.pending_since if entry is not None else None,
        "state": seen.state,
        "reason": seen.rejected.detail if seen.rejected is not None else _refusal(seen),
    }


def _word(technical: str | None) -> str | None:
    if technical is None or len(technical) <= WORD_LIMIT:
        return technical
    return foreign_text(technical, WORD_LIMIT)


def _refusal(seen: EvseOverview) -> str | None:
    entry, position = seen.entry, seen.position
    if entry is not None and entry.refusal is not None:
        return f"{entry.refusal}: {entry.refusal_detail}" if entry.refusal_detail else entry.refusal
    if position.hold_reason is not None and seen.state in {EvseState.PENDING, EvseState.IN_DOUBT}:
        held = f"lane held: {position.hold_reason}"
        return f"{held}: {position.hold_detail}" if position.hold_detail else held
    return None
