"""Lets people in and out, and keeps the zone in which they want to see times."""

from collections.abc import Callable

from starlette.responses import Response

from oicp_adapter.control.access import NewSession, redeem_link, session, sign_in, sign_out
from oicp_adapter.control.rates import Allowance
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.page.gate import ZONE_COOKIE, admit, dismiss, secret_of
from oicp_adapter.page.setting import show_form
from oicp_adapter.page.site import RETURN_FIELD, RETURN_TO_SET, Call, sign_in_page, to
from oicp_adapter.page.times import zone_names

_YEAR = 365 * 24 * 3600


def show_sign_in(call: Call) -> Response:
    """Return the page on which a person signs in."""
    return sign_in_page(call)


def do_sign_in(call: Call) -> Response:
    """Begin a session with the token of the form."""
    return _let_in(call, lambda: sign_in(call.desk, call.first("token")))


def follow_link(call: Call) -> Response:
    """Begin a session with a link, which works once."""
    return _let_in(call, lambda: redeem_link(call.desk, call.request.path_params["code"]))


def _let_in(call: Call, begin: Callable[[], NewSession]) -> Response:
    """Begin a session, or say why not; whoever tries too often is told to wait."""
    try:
        begun = begin()
    except RequestRefusedError as error:
        client = call.request.client
        allowance = call.site.limits.failure(client.host if client is not None else "")
        return sign_in_page(call, error if allowance.granted else _too_often(allowance))
    response = to("/")
    held = session(call.desk, begun.secret)
    if call.first(RETURN_FIELD) == RETURN_TO_SET and Scope.SET in held.actor.grant.scopes:
        response = show_form(Call(call.site, call.request, held, call.form))
    admit(response, begun.secret)
    return response


def _too_often(allowance: Allowance) -> RequestRefusedError:
    return RequestRefusedError(
        Refusal.RATE_LIMITED,
        f"more than {allowance.limit} attempts a minute came from this address",
        cure=f"wait for {allowance.reset} s",
    )


def do_sign_out(call: Call) -> Response:
    """End the session, here and in the store."""
    secret = secret_of(call.request)
    if secret is not None:
        sign_out(call.desk, secret)
    response = to("/sign-in")
    dismiss(response)
    return response


def show_zone(call: Call) -> Response:
    """Return the page on which a person chooses a zone."""
    return call.page("zone", zones=zone_names())


def choose_zone(call: Call) -> Response:
    """Let the browser remember the zone."""
    chosen = call.first("zone")
    response = to("/")
    if chosen in zone_names():
        response.set_cookie(ZONE_COOKIE, chosen, max_age=_YEAR, path="/", secure=True, httponly=True, samesite="strict")
    else:
        response.delete_cookie(ZONE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response
