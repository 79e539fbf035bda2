import pytest
from starlette.requests import Request

from oicp_adapter.domain.errors import RequestRefusedError
from oicp_adapter.page.gate import require_csrf, require_own_origin


def request(**headers):
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": [(b"host", b"house:8464"), *raw]})


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://house:8464"},
        {"origin": "https://house:8464", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin"},
    ],
)
def test_a_form_of_the_page_is_let_in(headers):
    require_own_origin(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "https://house"},
        {"origin": "https://house:8464", "sec_fetch_site": "same-site"},
        {"origin": "https://house:8464", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "none"},
        {"origin": "https://house:8464@evil.example"},
    ],
)
def test_a_form_from_elsewhere_or_of_nobody_knows_where_is_refused(headers):
    with pytest.raises(RequestRefusedError):
        require_own_origin(request(**headers))


@pytest.mark.parametrize("given", [None, "", "toke", "tokens", "tøken"])
def test_another_sessions_token_is_refused(given):
    require_csrf("token", "token")
    with pytest.raises(RequestRefusedError):
        require_csrf(given, "token")
