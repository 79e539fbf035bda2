"""What `check` finds in the answer of a hub, or of what stands before it, over real TLS."""

import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.checks import Check, Level, run_checks
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.settings import HubSettings, Settings, StoreSettings
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from tests.tls.visits import PAGE, answering, bad, oicp, only


def test_an_address_that_the_front_proxy_does_not_let_through(start_hub, look):
    found = only(look(start_hub(answering(b"403 Forbidden"))), Check.ADMISSION, exit_code=69)
    assert "address is not let through (HTTP 403" in found.what
    assert "ask Hubject to let in" in found.cure


def test_a_403_is_no_error_where_the_hub_has_just_acknowledged_a_push(start_hub, look):
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    found = only(look(start_hub(answering(b"403 Forbidden")), acknowledged_at=at), Check.ADMISSION, Level.WARNING)
    assert "acknowledged a push at 2026-03-29 01:00 UTC" in found.what


def test_the_books_say_whether_the_hub_has_just_acknowledged_a_push(start_hub, pki, operator, migrated_file, tmp_path):
    hub = start_hub(answering(b"403 Forbidden"))
    shutil.copy(migrated_file, tmp_path / "store.db")
    settings = Settings(
        operators=(operator,),
        hub=HubSettings(url=f"https://localhost:{hub.port}/api/oicp", ca_file=pki.hub_ca.certificate),
        store=StoreSettings(url=f"sqlite:///{tmp_path}/store.db"),
    )
    with open_store(settings.store.url) as store:
        lane = LaneStore(store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
        with closing(lane), lane.transaction():
            pass
        levels = []
        for ago in (timedelta(hours=25), timedelta(hours=23)):
            instant = (datetime.now(UTC) - ago).strftime("%Y-%m-%d %H:%M:%S")
            with store.writing() as connection:
                connection.exec_driver_sql("UPDATE oicp_lane SET last_success_at = ?", (instant,))
            findings = run_checks(settings, online=True, fleet=False, environ={})
            levels += [each.level for each in findings if each.check is Check.ADMISSION]
    assert levels == [Level.ERROR, Level.WARNING]


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        (b"401 Unauthorized", b"017", "the OperatorID of the certificate"),
        (b"403 Forbidden", b"210", "contract"),
        (b"404 Not Found", b"300", "correct operators.id"),
    ],
)
def test_a_refusal_of_the_hub_itself_is_told_from_one_of_the_front_proxy(start_hub, look, status, code, cure):
    hub = start_hub(answering(status, oicp(code)))
    found = only(look(hub), Check.ADMISSION)
    assert f"refuses the account with {code.decode()}" in found.what
    assert cure in found.cure
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    lately = only(look(hub, acknowledged_at=at), Check.ADMISSION, Level.WARNING)
    assert "though the hub acknowledged a push at 2026-03-29 01:00 UTC" in lately.what
    assert cure in lately.cure


@pytest.mark.parametrize(
    ("status", "headers", "level", "said"),
    [
        (b"407 Proxy Authentication Required", b"", Level.ERROR, "login of a proxy"),
        (b"302 Found", b"Location: https://portal.example/login\r\n", Level.WARNING, "on to portal.example"),
        (b"429 Too Many Requests", b"", Level.WARNING, "too many requests"),
        (b"503 Service Unavailable", b"", Level.WARNING, "in trouble"),
    ],
)
def test_other_answers_that_are_not_the_hubs(start_hub, look, *, status, headers, level, said):
    assert said in only(look(start_hub(answering(status, headers=headers))), Check.ADMISSION, level).what


def test_a_page_that_only_speaks_of_certificates_refuses_none(start_hub, look):
    assert bad(look(start_hub(answering(b"200 OK", b"Get your SSL certificate here")))) == []


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request", b"403 Forbidden", b"404 Not Found", b"405 No"])
def test_any_other_answer_lets_the_address_through(start_hub, look, status):
    body = oicp(b"022") if status.startswith(b"403") else PAGE
    assert bad(look(start_hub(answering(status, body)))) == []


def test_an_answer_in_pieces_is_read_whole(start_hub, look):
    def script(connection):
        connection.read_request()
        connection.tls.sendall(b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n")
        for half in (oicp(b"017")[:9], oicp(b"017")[9:], b""):
            connection.tls.sendall(b"%x\r\n%b\r\n" % (len(half), half))
        connection.ended.wait(0.5)

    assert "017" in only(look(start_hub(script)), Check.ADMISSION).what


def test_an_answer_that_does_not_come(start_hub, look):
    hub = start_hub(lambda connection: connection.read_request() and connection.ended.wait(1.2))
    findings = look(hub, timeout=1)
    assert "takes a GET and does not answer" in only(findings, Check.ADMISSION, exit_code=69).what
    assert findings[0].check is Check.ACCEPTED


def test_a_dripping_answer_ends_with_the_time(start_hub, look):
    def script(connection):
        connection.read_request()
        for _ in range(100):
            connection.tls.sendall(b"H")
            connection.ended.wait(0.05)

    only(look(start_hub(script), timeout=1), Check.ADMISSION)


def test_something_else_than_http_over_tls(start_hub, look):
    def script(connection):
        connection.read_request()
        connection.tls.sendall(b"220 smtp.example ESMTP\r\n")

    assert "does not speak HTTP" in only(look(start_hub(script)), Check.ADMISSION).what


def test_a_connection_that_is_reset_instead_of_an_answer(start_hub, look):
    def script(connection):
        connection.read_request()
        connection.reset()

    found = only(look(start_hub(script)), Check.ACCEPTED, Level.WARNING)
    assert "instead of answering a GET" in found.what
