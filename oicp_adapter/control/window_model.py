"""Says what a temporary status is to the services: what is asked for, what is changed, how one stands."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.temporary import TemporaryRecord
from oicp_adapter.store.windows import WindowState, state_of


@dataclass(frozen=True, slots=True)
class WindowView:
    """
    A temporary status as it stood at an instant.

    Attributes:
        etag: Another one after each change.
        now: The instant, by the database's clock.
    """

    record: TemporaryRecord
    state: WindowState
    etag: str
    now: datetime


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """
    What is to be set.

    Attributes:
        valid_from: Aware; None: now.
        valid_to: Aware, the first instant at which it no longer applies; None: until ended.
        time_zone: In which the times were entered, an IANA name; None: they came with an offset alone.
    """

    evse_id: str
    kind: TemporaryStatus
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    time_zone: str | None = None
    reason: str | None = None
    reference: str | None = None


class WindowChanges(TypedDict, total=False):
    """What is to be changed; what is absent stays. `valid_to` None: until ended."""

    evse_id: str
    kind: TemporaryStatus
    valid_from: datetime
    valid_to: datetime | None
    time_zone: str | None
    reason: str | None
    reference: str | None


def view_of(record: TemporaryRecord, now: datetime) -> WindowView:
    """Return a temporary status as it stands at an instant."""
    facts = json.dumps([record.window.id, fields_of(record), str(record.updated_at)], sort_keys=True)
    etag = hashlib.sha256(facts.encode(errors="surrogatepass")).hexdigest()[:32]
    return WindowView(record, state_of(record, now), etag, now)


def fields_of(record: TemporaryRecord) -> Mapping[str, Any]:
    """Return what the audit keeps of a temporary status, in the names of the API, instants in UTC."""
    window = record.window
    return {
        "evseId": record.evse_id,
        "temporaryStatus": window.kind.upper(),
        "validFrom": window.valid_from.isoformat(),
        "validTo": window.valid_to.isoformat() if window.valid_to is not None else None,
        "endedAt": window.ended_at.isoformat() if window.ended_at is not None else None,
        "timeZone": record.time_zone,
        "reason": record.reason,
        "reference": record.reference,
    }
