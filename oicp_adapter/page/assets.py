"""Serves the page's own scripts, styles and pictures: a fixed set, read once, named by their content."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oicp_adapter.page.gate import HEADERS

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


@cache
def contents() -> Mapping[str, bytes]:
    """Return the files by name; nothing else can be asked for."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}


def address(name: str) -> str:
    """Return where a file is to be had; another content has another address."""
    return f"/static/{name}?v={hashlib.sha256(contents()[name]).hexdigest()[:12]}"


async def show_asset(request: Request) -> Response:
    """Return a style sheet, a script or a picture of the page."""
    name = request.path_params["name"]
    found = contents().get(name)
    if found is None:
        return Response(status_code=404, headers=dict(HEADERS))
    kind = f"{_TYPES[Path(name).suffix]}; charset=utf-8"
    return Response(found, headers=dict(HEADERS) | _FOREVER | {"Content-Type": kind})
