from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.oicp.development_pki import Authority, DevelopmentPki, KeyPair, create_development_pki


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def pki(tmp_path_factory, now) -> DevelopmentPki:
    return create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=["DE*ABC"], valid_for=timedelta(days=30), now=now
    )


@pytest.fixture
def issue(pki, now, tmp_path):
    def make(name="DE*ABC", *, hub=False, password=None) -> KeyPair:
        span = {"not_before": now, "not_after": now + timedelta(days=2)}
        authority = Authority.load(pki.client_ca)
        issued = authority.issue_hub([name], **span) if hub else authority.issue_client(name, **span)
        return issued.write(KeyPair(tmp_path / "one.pem", tmp_path / "one.key"), password=password)

    return make
