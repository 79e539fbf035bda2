import ssl

import httpcore
import httpx
import pytest

from oicp_adapter.oicp.faults import fault_of
from oicp_adapter.oicp.network import Exchange, Stage, TooLateError
from oicp_adapter.sync.answers import TransportFault as Fault


def judged(exc, stage=Stage.TALK, *, answered=False, aborted=False):
    exchange = Exchange(clock=lambda: 0.0, deadline=1.0, send_before=1.0)
    exchange.stage = stage
    exchange.aborted = aborted
    return fault_of(exc, exchange, answered=answered)[0]


def alert(name):
    """Build what httpcore raises for an alert; its pool clears the cause, so only the context is left."""
    outer = httpcore.ReadError(name)
    words = name.lower().replace("_", " ")
    outer.__context__ = ssl.SSLError(1, f"[SSL: {name}] {words} (_ssl.c:2580)")
    return outer


@pytest.mark.parametrize(
    ("exc", "stage", "fault"),
    [
        (TooLateError(), Stage.TALK, Fault.DEADLINE_BEFORE_SEND),
        (httpcore.ConnectError("refused"), Stage.CONNECT, Fault.CONNECT),
        (httpcore.ConnectTimeout(), Stage.CONNECT, Fault.CONNECT),
        (httpcore.PoolTimeout(), Stage.CONNECT, Fault.CONNECT),
        (httpx.ConnectError("refused"), Stage.TALK, Fault.CONNECT),
        (httpcore.ConnectTimeout(), Stage.HANDSHAKE, Fault.TIMEOUT),
        (httpcore.ConnectError("unexpected eof"), Stage.HANDSHAKE, Fault.TLS_HANDSHAKE),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), Stage.HANDSHAKE, Fault.TLS_HANDSHAKE),
        (alert("TLSV1_ALERT_PROTOCOL_VERSION"), Stage.HANDSHAKE, Fault.TLS_HANDSHAKE),
        (httpcore.ReadTimeout(), Stage.TALK, Fault.TIMEOUT),
        (httpcore.WriteTimeout(), Stage.TALK, Fault.TIMEOUT),
        (httpx.ReadTimeout("slow"), Stage.TALK, Fault.TIMEOUT),
        (httpcore.RemoteProtocolError("disconnected"), Stage.TALK, Fault.CUT),
        (httpcore.ReadError("reset"), Stage.TALK, Fault.CUT),
        (ConnectionResetError(), Stage.TALK, Fault.CUT),
        (alert("TLSV1_ALERT_INTERNAL_ERROR"), Stage.TALK, Fault.CUT),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), Stage.TALK, Fault.TLS_ALERT),
    ],
)
def test_each_exception_is_the_fault_that_its_stage_makes_it(exc, stage, fault):
    assert judged(exc, stage) is fault


ABOUT_US = [
    "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_DECRYPT_ERROR",
]


@pytest.mark.parametrize("stage", [Stage.HANDSHAKE, Stage.TALK])
@pytest.mark.parametrize("name", ABOUT_US)
def test_an_alert_about_our_certificate_is_told_apart(name, stage):
    assert judged(alert(name), stage) is Fault.TLS_ALERT


@pytest.mark.parametrize("name", ABOUT_US)
def test_an_alert_on_a_connection_that_has_answered_before_leaves_the_request_in_doubt(name):
    assert judged(alert(name), answered=True) is Fault.CUT


def test_our_own_refusal_of_the_hub_is_not_the_hubs_refusal_of_us():
    refusal = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    outer = httpcore.ConnectError("verify failed")
    outer.__cause__ = refusal
    assert judged(outer, Stage.HANDSHAKE) is Fault.TLS_HANDSHAKE


def test_an_abort_is_a_cut_whatever_it_broke():
    assert judged(httpcore.ConnectTimeout(), Stage.CONNECT, aborted=True) is Fault.CUT


def test_the_words_are_cut_and_name_the_stage():
    exchange = Exchange(clock=lambda: 0.0, deadline=1.0, send_before=1.0)
    _, words = fault_of(httpcore.ConnectError("x" * 5000), exchange, answered=False)
    assert words.startswith("connect: xxx")
    assert len(words) < 250
