"""Holds the examples of answers that the OpenAPI document shows; each is valid for its model, which a test says."""

from collections.abc import Mapping
from typing import Any, Final

WINDOW: Final[dict[str, Any]] = {
    "id": 17,
    "evseId": "DE*ABC*E1234*1",
    "temporaryStatus": "MAINTENANCE",
    "validFrom": "2026-12-03T07:00:00Z",
    "validTo": "2026-12-03T11:00:00Z",
    "state": "upcoming",
    "timeZone": "Europe/Berlin",
    "reason": "cable replaced, ticket 4711",
    "reference": None,
    "createdBy": "operations room",
    "createdAt": "2026-12-02T16:20:11.482913Z",
    "updatedAt": "2026-12-02T16:20:11.482913Z",
    "endedAt": None,
    "endedBy": None,
}
BULK: Final[dict[str, Any]] = {"count": 1, "windows": [WINDOW]}

_FREE: Final = {
    "effectiveStatus": "Available",
    "oicpStatus": "Available",
    "ocpiStatus": "AVAILABLE",
    "driverStatus": "Available",
}
_OUT: Final = {
    "effectiveStatus": "Maintenance",
    "oicpStatus": "OutOfService",
    "ocpiStatus": "INOPERATIVE",
    "driverStatus": "Out of Service",
}
PREVIEW: Final[dict[str, Any]] = {
    "count": 1,
    "validFrom": "2026-12-03T07:00:00Z",
    "validTo": "2026-12-03T11:00:00Z",
    "evses": [
        {
            "evseId": "DE*ABC*E1234*1",
            "location": "Mainz, Rheinufer",
            "chargeBox": "CB-0017",
            "now": _FREE,
            "during": _OUT,
            "after": _FREE,
            "overlaps": [
                {
                    "id": 12,
                    "temporaryStatus": "RESERVED",
                    "validFrom": "2026-12-03T08:00:00Z",
                    "validTo": "2026-12-03T09:00:00Z",
                    "wins": False,
                }
            ],
            "warnings": [],
        }
    ],
    "unknown": [],
    "warnings": [],
}
SENSOR: Final[dict[str, Any]] = {
    "reference": "bay-17",
    "evseId": "DE*ABC*E1234*1",
    "blocked": True,
    "reportedAt": "2026-12-03T07:00:00Z",
    "validTo": "2026-12-03T07:05:00Z",
    "window": {
        **WINDOW,
        "id": 18,
        "temporaryStatus": "BLOCKED",
        "validTo": "2026-12-03T07:05:00Z",
        "state": "active",
        "timeZone": None,
        "reason": None,
        "reference": "bay-17",
        "createdBy": "bay sensors",
    },
}
AUDIT: Final[dict[str, Any]] = {
    "id": 40,
    "at": "2026-12-02T16:31:02.100271Z",
    "actor": "operations room",
    "tokenId": "k3wq7zpa",
    "action": "window.change",
    "before": {"evseId": "DE*ABC*E1234*1", "validTo": "2026-12-03T10:00:00Z"},
    "after": {"evseId": "DE*ABC*E1234*1", "validTo": "2026-12-03T11:00:00Z"},
}
EVSE: Final[dict[str, Any]] = {
    "evseId": "DE*ABC*E1234*1",
    "operatorId": "DE*ABC",
    "technicalStatus": "Available",
    "changedAt": "2026-12-03T06:41:09Z",
    "temporaryStatus": "Maintenance",
    **_OUT,
    "acknowledgedStatus": "OutOfService",
    "acknowledgedAt": "2026-12-03T07:00:00.612004Z",
    "pendingSince": None,
    "state": "in_sync",
    "reason": None,
    "location": "Mainz, Rheinufer",
    "chargeBox": "CB-0017",
    "timeZone": "Europe/Berlin",
}
EXPLANATION: Final[dict[str, Any]] = {
    "evseId": "DE*ABC*E1234*1",
    "sentences": [
        "The charger of DE*ABC*E1234*1 says Available since 2026-12-03 06:41:09.",
        "Maintenance is set from 2026-12-03 07:00:00 until 2026-12-03 11:00:00 (number 17), and wins.",
    ],
}
LOCATION: Final[dict[str, Any]] = {
    "location": "Mainz, Rheinufer",
    "chargeBoxes": [{"chargeBox": "CB-0017", "evses": 2}],
    "evses": 2,
}

ANSWERS: Final[Mapping[str, dict[str, Any]]] = {
    "WindowOut": WINDOW,
    "BulkDone": BULK,
    "PreviewOut": PREVIEW,
    "SensorOut": SENSOR,
    "AuditOut": AUDIT,
    "EvseOut": EVSE,
    "ExplanationOut": EXPLANATION,
    "LocationOut": LOCATION,
}
"""By the name of their model."""
