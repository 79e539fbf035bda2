"""Answers requests of those who keep temporary statuses under names of their own: booking platforms and sensors."""

from datetime import timedelta
from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from oicp_adapter.api.answers import answer, window_answer, window_out, written
from oicp_adapter.api.guard import Calling
from oicp_adapter.api.models import Reference, ReferencedWindow, SensorOut, SensorState
from oicp_adapter.api.windows import IfNoneMatch, unless_known, window_request
from oicp_adapter.control.references import (
    SensorView,
    end_reference,
    get_reference,
    get_sensor,
    put_reference,
    put_sensor,
)

ReferencePath = Annotated[
    Reference, Path(description="Chosen by the client; each token has names of its own.", examples=["booking-17"])
]
SensorPath = Annotated[
    Reference, Path(description="Chosen by the client; each token has names of its own.", examples=["bay-17"])
]


def put_by_reference(call: Calling, reference: ReferencePath, body: ReferencedWindow) -> Response:
    """
    Set the temporary status under a reference, or change it to what is asked for.

    As often as it is sent, there is one. What is absent in the body is taken back to its default. One that is over
    stays as it is, and a new one takes the reference.
    """
    wanted = window_request(body, evse_id=body.evse_id, reference=reference)
    view, created = put_reference(call.desk, call.actor, reference, wanted)
    return window_answer(view, status=201 if created else 200)


def get_by_reference(call: Calling, reference: ReferencePath, if_none_match: IfNoneMatch = None) -> Response:
    """Return the temporary status under a reference, also one that is over."""
    return unless_known(get_reference(call.desk, call.actor, reference), if_none_match)


def delete_by_reference(call: Calling, reference: ReferencePath) -> Response:
    """End the temporary status under a reference now; one that is over stays as it is."""
    end_reference(call.desk, call.actor, reference)
    return Response(status_code=204)


def put_sensor_state(call: Calling, reference: SensorPath, body: SensorState) -> Response:
    """
    Take a sensor's report: the bay is blocked for as long as the report lives, or free.

    Send it with each change and some times within its time to live. A sensor that has died frees its bay.
    """
    lives = timedelta(seconds=body.time_to_live)
    view = put_sensor(call.desk, call.actor, reference, body.evse_id, blocked=body.blocked, time_to_live=lives)
    return answer(written(_sensor_out(view)))


def get_sensor_state(call: Calling, reference: SensorPath) -> Response:
    """Return what a sensor of this token reported last, and whether that still holds."""
    return answer(written(_sensor_out(get_sensor(call.desk, call.actor, reference))))


def _sensor_out(seen: SensorView) -> SensorOut:
    return SensorOut(
        reference=seen.reference,
        evse_id=seen.evse_id,
        blocked=seen.blocked,
        reported_at=seen.reported_at,
        valid_to=seen.view.record.window.valid_to if seen.view is not None and seen.blocked else None,
        window=window_out(seen.view) if seen.view is not None else None,
    )
