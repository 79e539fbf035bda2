"""Gives the tests with real faults what their sites share."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reliability.real.workshop import opened_workshop


@pytest.fixture(scope="session")
def workshop():
    """One nursery, one PKI, one PostgreSQL server; in a folder that no other run of pytest clears away."""
    with TemporaryDirectory(prefix="oicp-adapter-real-") as folder, opened_workshop(Path(folder)) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, workshop):
    """Each kind of store."""
    if request.param == "postgresql":
        workshop.shared()
    return request.param


@pytest.fixture
def site(workshop, store):
    with workshop.site(store) as made:
        yield made


@pytest.fixture
def postgresql_site(workshop):
    with workshop.site("postgresql") as made:
        yield made
