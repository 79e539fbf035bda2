import ssl
from datetime import timedelta

import pytest

from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.sync.answers import Effect, Progress, Reason, Scope, TransportFault
from oicp_adapter.sync.classify import classify

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def refused_identity(identity_of, client_authority, span, tmp_path):
    def make(kind):
        authority = Authority.create("Another CA", **span) if kind == "foreign" else client_authority
        dates = dict(span)
        if kind == "expired":
            dates = {"not_before": span["not_before"], "not_after": span["not_before"] + timedelta(seconds=1)}
        if kind == "not yet valid":
            dates = {"not_before": span["not_after"], "not_after": span["not_after"] + timedelta(days=1)}
        pair = KeyPair(tmp_path / "refused.pem", tmp_path / "refused.key")
        issued = authority.issue_hub(["x"], **dates) if kind == "purpose" else authority.issue_client("DE*ABC", **dates)
        # By its own clock it holds: else it would not be shown at all.
        return identity_of(issued.write(pair), clock=lambda: dates["not_before"])

    return make


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["foreign", "expired", "not yet valid", "purpose"])
def test_a_refused_client_certificate_is_an_account_fault(start_hub, connect, push, *, refused_identity, version, kind):
    hub = start_hub(lowest=version, highest=version)
    answer = push(connect(hub, identity=refused_identity(kind)))
    assert answer.fault is TransportFault.TLS_ALERT, answer
    verdict = classify(answer, 1)
    assert (verdict.effect, verdict.scope) == (Effect.NOT_APPLIED, Scope.ACCOUNT)
    assert hub.requests == []


def test_a_refusal_of_a_large_request_under_tls_1_3_is_recognised_although_writing_fails(
    start_hub, connect, push, refused_identity
):
    hub = start_hub()
    answer = push(connect(hub, identity=refused_identity("foreign")), records=50_000)
    assert answer.fault is TransportFault.TLS_ALERT, answer


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_pair_that_does_not_hold_at_the_start_is_not_shown_until_one_does(
    start_hub, connect, push, *, identity_of, client_authority, span, tmp_path, hours
):
    hub = start_hub()
    pair = KeyPair(tmp_path / "client.pem", tmp_path / "client.key")
    dates = {name: instant + timedelta(hours=hours) for name, instant in span.items()}
    identity = identity_of(client_authority.issue_client("DE*ABC", **dates).write(pair))
    client = connect(hub, identity=identity)
    answer = push(client)
    assert (answer.fault, answer.progress) == (TransportFault.WITHHELD, Progress.NOT_SENT)
    verdict = classify(answer, 1)
    assert (verdict.effect, verdict.scope, verdict.reason) == (Effect.NOT_APPLIED, Scope.ACCOUNT, Reason.CERTIFICATE)
    assert "nothing is sent" in verdict.detail
    assert hub.connections == []
    client_authority.issue_client("DE*ABC", **span).write(pair)
    assert identity.refresh()
    assert push(client).http_status == 200


def test_a_pair_that_begins_to_hold_is_shown(identity_of, client_authority, span, tmp_path):
    now = [span["not_before"] - timedelta(hours=1)]
    pair = client_authority.issue_client("DE*ABC", **span).write(KeyPair(tmp_path / "c.pem", tmp_path / "c.key"))
    identity = identity_of(pair, clock=lambda: now[0])
    assert "holds only from" in identity.withheld()
    now[0] = span["not_before"]
    assert identity.withheld() is None


def test_whether_a_pair_still_holds_that_did_at_the_start_is_for_the_hub_to_say(
    identity_of, client_authority, span, tmp_path
):
    now = [span["not_before"]]
    pair = client_authority.issue_client("DE*ABC", **span).write(KeyPair(tmp_path / "c.pem", tmp_path / "c.key"))
    identity = identity_of(pair, clock=lambda: now[0])
    now[0] = span["not_after"] + timedelta(days=1)
    assert identity.withheld() is None
