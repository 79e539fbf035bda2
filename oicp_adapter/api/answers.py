"""Makes the answers: JSON documents, their entity tags, links to next pages; and knows a request that comes again."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from oicp_adapter.api.models import WindowOut, WireKind
from oicp_adapter.control.desk import Done
from oicp_adapter.control.window_model import WindowView
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.store.idempotency import Once

WINDOWS: Final = "/v2/temporary-evse-statuses"
"""Where the temporary statuses are."""

MEDIA_TYPE: Final = "application/json"
_ANY: Final = "*"
_LONGEST_KEY: Final = 255


def window_out(view: WindowView) -> WindowOut:
    """Return a temporary status as it goes over the wire."""
    record, window = view.record, view.record.window
    return WindowOut(
        id=window.id,
        evse_id=record.evse_id,
        temporary_status=WireKind(window.kind.upper()),
        valid_from=window.valid_from,
        valid_to=window.valid_to,
        state=view.state,
        time_zone=record.time_zone,
        reason=record.reason,
        reference=record.reference,
        created_by=record.created_by,
        created_at=record.created_at,
        updated_at=record.updated_at,
        ended_at=window.ended_at,
        ended_by=record.ended_by,
    )


def written(model: BaseModel) -> str:
    """Return the text of one object."""
    return model.model_dump_json(by_alias=True)


def answer(text: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer whose body is JSON already."""
    return Response(text, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def window_answer(view: WindowView, *, status: int = 200) -> Response:
    """Return a temporary status with its entity tag; a new one with its address."""
    headers = {"ETag": f'"{view.etag}"'}
    if status == HTTPStatus.CREATED:
        headers["Location"] = f"{WINDOWS}/{view.record.window.id}"
    return answer(written(window_out(view)), status=status, headers=headers)


def page_answer(request: Request, models: Sequence[BaseModel], after: str | None) -> Response:
    """
    Return a page as a plain array, with a link to the next one.

    Args:
        after: Where the next page begins; None: this is the last.
    """
    headers = {}
    if after is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
        # Relative, so that it holds behind a proxy too.
        headers["Link"] = f'<{request.url.path}?{urlencode([*query, ("after", after)])}>; rel="next"'
    return answer(array(models), headers=headers)


def array(models: Sequence[BaseModel]) -> str:
    """Return the text of an array."""
    return f"[{','.join(written(model) for model in models)}]"


def if_match(header: str | None, view_etag: str | None = None) -> str | None:
    """
    Return the entity tag that a thing must still have; None: any.

    Args:
        view_etag: What it has now; chosen if it is among several that the header names.
    """
    if header is None or header.strip() == _ANY:
        return None
    tags = _tags(header)
    return view_etag if view_etag in tags else next(iter(tags), "")


def matches(header: str | None, etag: str) -> bool:
    """Tell whether a client has what it asks for already, by `If-None-Match`."""
    return header is not None and (header.strip() == _ANY or etag in _tags(header))


def once(request: Request, key: str | None, body: BaseModel, render: Callable[[Any], str]) -> Once | None:
    """
    Return what a request is known by; None: it has no key.

    Args:
        render: Makes the body of the answer from what was done.

    Raises:
        RequestRefusedError: INVALID: the key cannot be used.
    """
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise RequestRefusedError(
            Refusal.INVALID,
            "the Idempotency-Key is empty, too long, or not plain",
            cure=f"use 1 to {_LONGEST_KEY} ASCII characters, as a UUID",
            field="Idempotency-Key",
        )
    asked = [request.method, request.url.path, body.model_dump(mode="json", exclude_unset=True)]
    fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True).encode(errors="replace")).hexdigest()
    return Once(key, fingerprint, render)


def done_answer(done: Done[Any], render: Callable[[Any], str], headers: Mapping[str, str] | None = None) -> Response:
    """Return what was set; of a request that came again the very answer of the first time."""
    text = done.rendered if done.rendered is not None else render(done.value)
    told = {**(headers or {}), "Idempotent-Replayed": "true"} if done.replayed else headers
    return answer(text, status=201, headers=told)


def _tags(header: str) -> Sequence[str]:
    """Return the entity tags of a header; weak ones are taken for what they say."""
    return [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()]
