"""Turns templates into pages; everything that stands in one is escaped."""

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from oicp_adapter import __version__
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.page.assets import address
from oicp_adapter.page.times import lag, lasting

_FOLDER: Final = Path(__file__).parent / "templates"


def make_environment() -> Environment:
    """Return the templates with what they may call."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(foreign=foreign_text, lag=lag, lasting=lasting)
    environment.globals.update(asset=address, version=__version__)
    return environment


def render(environment: Environment, template: str, *, status: int, facts: dict[str, Any]) -> HTMLResponse:
    """Return a page."""
    return HTMLResponse(environment.get_template(f"{template}.html").render(facts), status_code=status)
