"""
Holds what goes over the wire: the bodies of requests and answers, apart from the domain.

1. A field that is not known is refused: a `vaildTo` that nobody reads would block an EVSE for good.
2. Kinds are upper case here, as in the API that clients already speak; instants leave as RFC 3339 in UTC with `Z`.
3. Nothing here names an author: that is the token's.
"""

import unicodedata
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from oicp_adapter.api.times import DURATION_EXAMPLE, EXAMPLE
from oicp_adapter.control.bulk import LIMIT
from oicp_adapter.control.entries import REASON_LIMIT, REFERENCE_LIMIT
from oicp_adapter.control.references import LONGEST_LIFE, SHORTEST_LIFE
from oicp_adapter.domain.identifiers import KEY_LENGTH
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.evses import EvseState
from oicp_adapter.store.windows import WindowState

_UNWANTED: Final = frozenset({"Cc", "Cs"})
"""Categories of characters that no text of a request has: control characters and halves of surrogate pairs."""


class WireKind(StrEnum):
    """A kind of temporary status as it is written in requests and answers."""

    MAINTENANCE = "MAINTENANCE"
    COMMISSIONING = "COMMISSIONING"
    BLOCKED = "BLOCKED"
    RESERVED = "RESERVED"

    @property
    def kind(self) -> TemporaryStatus:
        """What it means."""
        return TemporaryStatus(self.value.capitalize())


def _without_control_characters(text: str) -> str:
    if any(unicodedata.category(character) in _UNWANTED for character in text):
        raise ValueError("has control characters: leave them out")
    return text


def _with_its_plus(text: str) -> str:
    """Give the plus back to an EvseID of the DIN form: in a query it means a space unless a client writes it as %2B."""
    return f"+{text[1:]}" if text.startswith(" ") else text


Clean = AfterValidator(_without_control_characters)
EvseIdText = Annotated[str, Clean, Field(min_length=1, max_length=KEY_LENGTH, examples=["DE*ABC*E1234*1"])]
EvseIdInQuery = Annotated[EvseIdText, AfterValidator(_with_its_plus)]
Reason = Annotated[str, Clean, Field(max_length=REASON_LIMIT, examples=["cable replaced, ticket 4711"])]
Name = Annotated[str, Clean, Field(min_length=1, max_length=REFERENCE_LIMIT)]
Reference = Annotated[str, Clean, Field(min_length=1, max_length=REFERENCE_LIMIT, examples=["booking-20261203-17"])]
Zone = Annotated[str, Clean, Field(min_length=1, max_length=REFERENCE_LIMIT, examples=["Europe/Berlin"])]
When = Annotated[
    str,
    Field(max_length=REFERENCE_LIMIT),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "examples": [EXAMPLE],
            "description": "With an offset or `Z`; a local time without one only beside `timeZone`.",
        }
    ),
]
Span = Annotated[
    str,
    Field(max_length=REFERENCE_LIMIT),
    WithJsonSchema({"type": "string", "format": "duration", "examples": [DURATION_EXAMPLE]}),
]


def _may_be_absent(description: str) -> Any:
    """Return a field that may be absent but not null; whether it came is in `model_fields_set`."""
    return Field(None, description=description, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True)


class _Request(_Wire):
    model_config = ConfigDict(extra="forbid", populate_by_name=False)


class _Template(_Request):
    """What all ways of setting a temporary status have in common."""

    temporary_status: WireKind = Field(description="The kind.")
    valid_from: When | None = Field(None, description="First instant at which it applies; absent: now.")
    valid_to: When | None = Field(
        None, description="First instant at which it no longer applies; absent: until it is ended."
    )
    time_zone: Zone | None = Field(
        None, description="IANA name of the zone in which the times were entered; kept with them."
    )
    reason: Reason | None = Field(None, description="For people.")


class NewWindow(_Template):
    """A temporary status to be set for one EVSE."""

    evse_id: EvseIdText = Field(description="In any spelling.")
    reference: Reference | None = Field(None, description="Of the system that asks, as a booking number.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "evseId": "DE*ABC*E1234*1",
                    "temporaryStatus": "MAINTENANCE",
                    "validFrom": "2026-12-03T08:00:00+01:00",
                    "validTo": "2026-12-03T12:00:00+01:00",
                    "reason": "cable replaced, ticket 4711",
                }
            ]
        }
    )


class ReferencedWindow(_Template):
    """The temporary status that is to stand under a reference; the reference is in the path."""

    evse_id: EvseIdText = Field(description="In any spelling.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "evseId": "DE*ABC*E1234*1",
                    "temporaryStatus": "RESERVED",
                    "validFrom": "2026-12-03T08:00:00+01:00",
                    "validTo": "2026-12-03T09:00:00+01:00",
                }
            ]
        }
    )


class WindowPatch(_Request):
    """Changes to a temporary status; what is absent stays, null clears what may be empty."""

    evse_id: EvseIdText = _may_be_absent("Another EVSE.")
    temporary_status: WireKind = _may_be_absent("Another kind.")
    valid_from: When = _may_be_absent("Another start; refused once the start has passed.")
    valid_to: When | None = Field(None, description="Another end; null: until it is ended.")
    time_zone: Zone | None = Field(None, description="Zone in which the times were entered; null: not known.")
    reason: Reason | None = Field(None, description="Another reason; null: none.")
    reference: Reference | None = Field(None, description="Another reference; null: none.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"validTo": "2026-12-03T14:00:00+01:00"}]})


class Extension(_Request):
    """A new end: by a duration from the present end, or at a time."""

    by: Span | None = Field(None, description="So much later than now planned; not for one without an end.")
    valid_to: When | None = Field(None, description="The new end.")
    time_zone: Zone | None = Field(None, description="IANA name of the zone in which `validTo` was entered.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"by": "PT1H"}, {"validTo": "2026-12-03T14:00:00+01:00"}]}
    )


class SelectionIn(_Request):
    """Which EVSEs are meant, in exactly one way; a charge box may come with its location."""

    evse_ids: list[EvseIdText] | None = Field(
        None,
        min_length=1,
        description="These, in any spelling.",
        json_schema_extra={"maxItems": LIMIT},  # the service refuses more, in its own words
    )
    location: Name | None = Field(None, description="All at a location.", examples=["Mainz, Rheinufer"])
    charge_box: Name | None = Field(None, description="All of a charge box.", examples=["CB-0017"])
    pattern: Name | None = Field(
        None, description="All whose EvseID fits: `%` any characters, `_` one.", examples=["DE*ABC*E12%"]
    )


class BulkRequest(_Template):
    """One temporary status for many EVSEs."""

    select: SelectionIn
    reference: Reference | None = Field(None, description="Of the system that asks; each of them carries it.")
    dry_run: bool = Field(False, description="Change nothing, and answer with the preview.")  # noqa: FBT003 - a default

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "select": {"location": "Mainz, Rheinufer"},
                    "temporaryStatus": "MAINTENANCE",
                    "validTo": "2026-12-03T12:00:00+01:00",
                    "reason": "new transformer",
                    "dryRun": True,
                }
            ]
        }
    )


class SensorState(_Request):
    """What a parking sensor sees now."""

    evse_id: EvseIdText = Field(description="Whose bay it watches.")
    blocked: bool = Field(description="Whether something stands there that does not charge.")
    time_to_live: int = Field(
        ge=int(SHORTEST_LIFE.total_seconds()),
        le=int(LONGEST_LIFE.total_seconds()),
        description="Seconds after which the bay counts as free unless the sensor says so again.",
        examples=[300],
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"evseId": "DE*ABC*E1234*1", "blocked": True, "timeToLive": 300}]}
    )


class WindowOut(_Wire):
    """A temporary status."""

    id: int = Field(examples=[17])
    evse_id: str = Field(examples=["DE*ABC*E1234*1"])
    temporary_status: WireKind
    valid_from: AwareDatetime = Field(examples=["2026-12-03T07:00:00Z"])
    valid_to: AwareDatetime | None = Field(description="null: until it is ended.")
    state: WindowState = Field(description="By the database's clock.")
    time_zone: str | None = Field(description="In which its times were entered.")
    reason: str | None
    reference: str | None
    created_by: str | None = Field(description="Name of the token, or user of the command line.")
    created_at: AwareDatetime | None
    updated_at: AwareDatetime | None
    ended_at: AwareDatetime | None = Field(description="When it was ended before its time.")
    ended_by: str | None


class BulkDone(_Wire):
    """What was set."""

    count: int
    windows: list[WindowOut]


class SeenOut(_Wire):
    """What outsiders see of an EVSE."""

    effective_status: str = Field(examples=["Maintenance"])
    oicp_status: str = Field(description="Hubject.", examples=["OutOfService"])
    ocpi_status: str = Field(description="Roaming partners.", examples=["INOPERATIVE"])
    driver_status: str = Field(description="A driver's app.", examples=["Out of Service"])


class OverlapOut(_Wire):
    """A temporary status that is there already and applies at some time of the new one."""

    id: int
    temporary_status: WireKind
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None = Field(description="First instant at which it no longer applies.")
    wins: bool = Field(description="Over the new one, while both apply.")


class EvsePreviewOut(_Wire):
    """What would happen to one EVSE."""

    evse_id: str
    location: str | None
    charge_box: str | None
    now: SeenOut
    during: SeenOut
    after: SeenOut | None = Field(description="If the charger says then what it says now; null: there is no end.")
    overlaps: list[OverlapOut]
    warnings: list[str]


class PreviewOut(_Wire):
    """What would happen; nothing was changed."""

    count: int = Field(description="EVSEs that would be set.")
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None
    evses: list[EvsePreviewOut]
    unknown: list[str] = Field(
        description="EVSEs that the store does not know; nothing is set before they are left out."
    )
    warnings: list[str]


class SensorOut(_Wire):
    """What a sensor has reported."""

    reference: str
    evse_id: str
    blocked: bool = Field(description="Whether its bay is blocked, as far as anybody knows.")
    reported_at: AwareDatetime
    valid_to: AwareDatetime | None = Field(description="When the bay counts as free; null: it does now.")
    window: WindowOut | None = Field(description="The temporary status behind it; null: it has none.")


class AuditOut(_Wire):
    """One change; the author is the token's name."""

    id: int
    at: AwareDatetime
    actor: str
    token_id: str | None = Field(description="null: the command line.")
    action: str = Field(examples=["window.set"])
    before: dict[str, Any] | None = Field(description="The fields as they were; null: it was not there.")
    after: dict[str, Any] | None = Field(description="The fields as they were then.")


class EvseOut(_Wire):
    """One EVSE: what its charger says, what is set, what is published, what Hubject acknowledged."""

    evse_id: str = Field(examples=["DE*ABC*E1234*1"])
    operator_id: str | None = Field(examples=["DE*ABC"])
    technical_status: str | None = Field(description="The charger's own word.", examples=["Available"])
    changed_at: AwareDatetime | None
    temporary_status: str | None = Field(description="The kind that wins now.", examples=["Maintenance"])
    effective_status: str | None = Field(examples=["Maintenance"])
    oicp_status: str | None = Field(description="Hubject.", examples=["OutOfService"])
    ocpi_status: str | None = Field(description="Roaming partners.", examples=["INOPERATIVE"])
    driver_status: str | None = Field(description="A driver's app.", examples=["Out of Service"])
    acknowledged_status: str | None = Field(description="What Hubject confirmed last.", examples=["OutOfService"])
    acknowledged_at: AwareDatetime | None
    pending_since: AwareDatetime | None
    state: EvseState = Field(description="How far Hubject is from the store.")
    reason: str | None = Field(description="Why it does not go out.")
    location: str | None = Field(examples=["Mainz, Rheinufer"])
    charge_box: str | None
    time_zone: str | None = Field(examples=["Europe/Berlin"])


class ExplanationOut(_Wire):
    """Why an EVSE is shown as it is; times are UTC."""

    evse_id: str
    sentences: list[str]


class ChargeBoxOut(_Wire):
    """A charge box and how many EVSEs it has."""

    charge_box: str | None
    evses: int


class LocationOut(_Wire):
    """A location, its charge boxes, and how many EVSEs are there."""

    location: str | None = Field(description="null: EVSEs of which nobody has written down where they stand.")
    charge_boxes: list[ChargeBoxOut]
    evses: int


class FieldProblem(_Wire):
    """What is wrong with one field."""

    field: str = Field(examples=["validFrom"])
    detail: str


class ProblemOut(_Wire):
    """An error, RFC 9457."""

    type: str = Field(description="Which kind of problem; see the documentation.", examples=["/problems/invalid"])
    title: str
    status: int
    detail: str = Field(description="What is wrong, and what to do about it.")
    instance: str = Field(description="The path of the request.")
    errors: list[FieldProblem]
