"""Says which address shows what."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import Route, Router

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.propagation import Propagation
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.page import chargers, health, saved, setting, signing, timeline, windows
from oicp_adapter.page.assets import show_asset
from oicp_adapter.page.rendering import make_environment
from oicp_adapter.page.site import Call, Look, Site, View, endpoint, stream_endpoint

OPEN: tuple[tuple[str, str, View], ...] = (
    ("GET", "/sign-in", signing.show_sign_in),
    ("POST", "/sign-in", signing.do_sign_in),
    ("GET", "/sign-in/{code}", signing.follow_link),
)
"""What is there for who is not signed in."""

SIGNED_IN: tuple[tuple[str, str, View], ...] = (
    ("GET", "/", chargers.show_chargers),
    ("GET", "/evse", chargers.show_evse),
    ("GET", "/windows", windows.show_windows),
    ("POST", "/windows/act", windows.act),
    ("GET", "/windows/{id}", windows.show_window),
    ("POST", "/windows/{id}/change", windows.change_one),
    ("POST", "/windows/{id}/end", windows.end_one),
    ("POST", "/windows/{id}/hour", windows.extend_one),
    ("GET", "/timeline", timeline.show_timeline),
    ("GET", "/set", setting.show_form),
    ("POST", "/set", setting.show_form),
    ("GET", "/set/evses", setting.list_leaves),
    ("POST", "/set/check", setting.check_form),
    ("POST", "/set/review", setting.review),
    ("POST", "/set/save", setting.save),
    ("GET", "/saved", saved.show_saved),
    ("GET", "/health", health.show_health),
    ("POST", "/health/release", health.release),
    ("POST", "/health/approve", health.approve),
    ("GET", "/zone", signing.show_zone),
    ("POST", "/zone", signing.choose_zone),
    ("POST", "/sign-out", signing.do_sign_out),
)
"""What is there for who is signed in."""

STREAMS: tuple[tuple[str, Callable[[], Look]], ...] = (
    ("/live/chargers", lambda: chargers.live_chargers),
    ("/live/windows", lambda: windows.WindowsWatch().look),
    ("/live/saved", lambda: saved.Watch().look),
    ("/live/health", lambda: health.live_health),
)
"""Server-sent events, for who is signed in; each is begun anew for each browser."""


def page_router(desk: Desk, *, limits: RateLimits, propagation: Propagation | None = None) -> Router:
    """
    Return the operator page; what has no address of its own is told so, so nothing may come after it.

    Args:
        limits: Shared with the API, so that attempts to get in with what does not hold count together.
        propagation: Follows the daemon's metrics, started and stopped by the caller; None: nobody does.
    """
    site = Site(desk, make_environment(), limits, propagation)
    routes = [Route("/static/{name}", show_asset)]
    routes += [Route(path, stream_endpoint(site, begin)) for path, begin in STREAMS]
    for views, signed_in in ((OPEN, False), (SIGNED_IN, True)):
        routes += [
            Route(path, endpoint(site, view, signed_in=signed_in), methods=[method]) for method, path, view in views
        ]
    routes.append(Route("/{anything:path}", endpoint(site, _nothing_there, signed_in=False)))
    return Router(routes)


def _nothing_there(call: Call) -> Response:
    shown = foreign_text(call.request.url.path, 60)
    raise RequestRefusedError(Refusal.NOT_FOUND, f"there is no page {shown}", cure="choose one of those above")
