from datetime import timedelta

import pytest

from oicp_adapter.domain.identifiers import CanonicalOperatorId
from oicp_adapter.oicp.certificates import inspect_certificate


def test_what_a_certificate_says_is_read(pki, now):
    facts = inspect_certificate(pki.clients["DE*ABC"].certificate)
    assert (facts.common_name, facts.organizations, len(facts.chain)) == ("DE*ABC", ("DE*ABC",), 2)
    assert "development client CA" in facts.issuer
    assert facts.not_before <= now < facts.not_after == (now + timedelta(days=30)).replace(microsecond=0)
    assert facts.not_after.utcoffset() == timedelta()
    assert len(facts.fingerprint) == 64
    assert inspect_certificate(pki.hub.certificate).alternative_names == ("localhost", "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("DE*ABC", True),
        ("deabc", True),
        ("DE-ABC", True),
        ("CPO DE_ABC, Hubject QA", True),
        ("de-abc.example.com", True),
        ("DE*ABCD", False),
        ("XDE*ABC", False),
        ("DE ABC", False),
    ],
)
def test_an_operator_is_named_by_a_word_of_its_own_in_any_spelling(issue, name, named):
    facts = inspect_certificate(issue(name).certificate)
    assert facts.names_operator(CanonicalOperatorId("DEABC")) is named


def test_an_operator_is_named_by_an_alternative_name_too(issue):
    assert inspect_certificate(issue("de-abc.example", hub=True).certificate).names_operator(
        CanonicalOperatorId("DEABC")
    )
