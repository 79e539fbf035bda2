"""Signing in and out, and what is refused to who is not, or not from here."""

import logging
import socket
import urllib.error
import urllib.parse
import urllib.request
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from oicp_adapter.control.access import create_link, list_tokens, revoke_token
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.page import signing

ROOT = Actor("root", None, EVERYTHING)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def ask(url, form=None, **headers):
    """Return status, headers and text of an answer, whatever it is."""
    body = urllib.parse.urlencode(form, doseq=True).encode() if form is not None else None
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - the page of this test
    try:
        with OPENER.open(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def session_of(house):
    """Sign in as a browser does, and return the cookie and the session's CSRF token."""
    status, headers, _ = ask(f"{house.url}/sign-in", {"token": house.token}, Origin=house.url)
    assert status == 303
    cookie = headers["Set-Cookie"].split(";")[0]
    text = ask(f"{house.url}/zone", Cookie=cookie)[2]
    return cookie, text.split('name="csrf" value="')[1].split('"')[0]


def first_event(address, cookie):
    """Return the first event of a stream."""
    request = urllib.request.Request(address, headers={"Cookie": cookie})  # noqa: S310 - as above
    with OPENER.open(request, timeout=20) as stream:
        return (stream.readline() + stream.readline()).decode()


def test_a_wrong_token_is_refused_beside_the_field_and_a_right_one_opens_the_page(build, page):
    house = build()
    page.goto(f"{house.url}/windows")
    page.get_by_role("heading", name="Sign in").wait_for()
    page.get_by_label("Token").fill("oicp_aaaaaaaa_nonsense")
    page.keyboard.press("Enter")
    page.get_by_text("the token is not known").wait_for()
    page.get_by_label("Token").fill(house.token)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Chargers").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    page.goto(f"{house.url}/")
    assert page.url == f"{house.url}/sign-in"


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites_and_no_token_stands_in_an_address(build, sign_in):
    house = build()
    page = sign_in(house)
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Strict", "/")
    assert cookie["name"].startswith("__Host-")
    assert page.evaluate("document.cookie") == ""
    assert house.token.rsplit("_", 1)[1] not in page.content() + page.url + cookie["value"]


def test_a_link_signs_in_once(build, page):
    house = build()
    code = create_link(house.desk, list_tokens(house.desk)[0].id)
    page.goto(f"{house.url}/sign-in/{code}")
    page.get_by_role("heading", name="Chargers").wait_for()
    page.context.clear_cookies()
    page.goto(f"{house.url}/sign-in/{code}")
    page.get_by_text("the link was used already, or has expired").wait_for()


def test_a_revoked_token_ends_what_is_live_and_what_is_sent(build, sign_in, eventually):
    house = build()
    house.evse("DE*ABC*E1")
    page = sign_in(house)
    page.get_by_text("live", exact=True).wait_for()
    revoke_token(house.desk, ROOT, list_tokens(house.desk)[0].id)
    page.get_by_text("the session is over: sign in again").wait_for()
    page.get_by_role("link", name="Windows").click()
    page.get_by_role("heading", name="Sign in").wait_for()


@pytest.mark.parametrize("path", ["/windows/act", "/windows/1/end", "/set/review", "/set/save", "/health/approve"])
def test_a_form_without_its_token_or_from_elsewhere_changes_nothing(build, path):
    house = build()
    house.evse("DE*ABC*E1")
    now = house.store.now()
    number = house.window("DE*ABC*E1", "Blocked", now, now + timedelta(hours=1))
    cookie, csrf = session_of(house)
    form = {"window": [str(number)], "do": "end"}
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    sibling = {"Cookie": cookie, "Origin": house.url, "Sec-Fetch-Site": "same-site"}
    assert ask(f"{house.url}{path}", form, Cookie=cookie, Origin=house.url)[0] == 403
    assert ask(f"{house.url}{path}", {**form, "csrf": "x" * 43}, Cookie=cookie, Origin=house.url)[0] == 403
    assert ask(f"{house.url}{path}", {**form, "csrf": csrf}, **foreign)[0] == 403
    assert ask(f"{house.url}{path}", {**form, "csrf": csrf}, **sibling)[0] == 403
    assert ask(f"{house.url}{path}", {**form, "csrf": csrf}, Cookie=cookie)[0] == 403
    assert ask(f"{house.url}{path}", {**form, "csrf": csrf}, Origin=house.url)[0] == 401
    assert [row.ended_at for row in house.windows()] == [None]


def test_the_same_form_with_both_is_taken(build):
    house = build()
    house.evse("DE*ABC*E1")
    number = house.window("DE*ABC*E1", "Blocked", house.store.now(), None)
    cookie, csrf = session_of(house)
    status, headers, _ = ask(f"{house.url}/windows/{number}/end", {"csrf": csrf}, Cookie=cookie, Origin=house.url)
    assert (status, headers["Location"].split("?")[0]) == (303, "/saved")
    assert [row.ended_at is not None for row in house.windows()] == [True]


def test_every_answer_forbids_scripts_of_others_and_frames(build):
    house = build()
    cookie, _ = session_of(house)
    for path in ("/", "/sign-in", "/set", "/windows/99", "/static/page.css", "/static/nothing", "/live/health"):
        request = urllib.request.Request(f"{house.url}{path}", headers={"Cookie": cookie})  # noqa: S310 - as above
        try:
            answer = OPENER.open(request, timeout=20)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert ("no-store" in answer.headers["Cache-Control"]) != path.endswith(".css")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/?q=%00", "a field holds the character NUL"),
        ("/windows/9999999999999999999", "there is no window 9999999999999999999"),
        ("/live/windows?id=9999999999999999999", "there is no window 9999999999999999999"),
        ("/live/chargers?key=%00", "a field holds the character NUL"),
        (f"/live/chargers?{'&' * 20_001}", "the form has more than 20000 fields"),
        ("/set/evses?box=%5B%22%5Cud800%22%2Cnull%5D", '{"evses":[]}'),
    ],
)
def test_an_address_that_the_page_never_makes_is_answered_in_words(build, path, told):
    house = build()
    status, headers, text = ask(f"{house.url}{path}", Cookie=session_of(house)[0])
    assert status < 500
    assert told in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_form_larger_than_anybody_fills_in_is_refused(build):
    house = build()
    cookie, csrf = session_of(house)
    form = {"csrf": csrf, "pasted": "DE*ABC*E1 " * 150_000}
    assert ask(f"{house.url}/set/review", form, Cookie=cookie, Origin=house.url)[0] == 422


def test_who_tries_too_often_is_told_to_wait(build):
    house = build()
    told = [ask(f"{house.url}/sign-in", {"token": "oicp_aaaaaaaa_x"}, Origin=house.url) for _ in range(31)]
    assert [status for status, _, _ in told[:30]] == [401] * 30
    assert told[30][0] == 429
    assert "more than 30 attempts a minute came from this address: wait for" in told[30][2]


def test_while_the_store_is_away_the_page_says_so_and_goes_on_when_it_is_back(build):
    house = build()
    cookie, _ = session_of(house)
    file = house.folder / "store.db"
    away = file.rename(file.with_suffix(".away"))
    with capture_logs() as logged:
        status, headers, told = ask(f"{house.url}/windows", Cookie=cookie)
        assert "the store does not answer" in first_event(f"{house.url}/live/windows", cookie)
    assert "store.db" not in told, "anybody may be told this, signed in or not"
    assert [(each["event"], "store.db" in each["error"]) for each in logged] == [("page.store_failed", True)] * 2
    assert status == 503
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "That was not done" in told
    assert "the store" in told
    away.rename(file)
    assert ask(f"{house.url}/windows", Cookie=cookie)[0] == 200


def test_who_goes_away_in_the_middle_of_a_form_is_no_failure_of_ours(build, caplog):
    house = build()
    where = urlsplit(house.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as client:
        client.sendall(b"POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nab")
    assert ask(f"{house.url}/sign-in")[0] == 200
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


def test_an_error_that_nobody_foresaw_is_logged_and_answered_with_the_headers_of_every_answer(build, monkeypatch):
    def fail(_desk, _code):
        raise ZeroDivisionError

    monkeypatch.setattr(signing, "redeem_link", fail)
    house = build()
    with capture_logs() as logged:
        status, headers, told = ask(f"{house.url}/sign-in/abc")
    assert (status, "ZeroDivision" in told) == (500, False)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert [each["event"] for each in logged] == ["page.failed"]
