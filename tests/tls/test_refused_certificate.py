import ssl
from datetime import timedelta

import pytest

from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.sync.answers import Effect, Scope, TransportFault
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
        return identity_of(issued.write(pair))

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
