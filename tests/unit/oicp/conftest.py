from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.oicp.development_pki import DevelopmentPki, create_development_pki


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def pki(tmp_path_factory, now) -> DevelopmentPki:
    return create_development_pki(
        tmp_path_factory.mktemp("pki"), operators=["DE*ABC"], valid_for=timedelta(days=30), now=now
    )
