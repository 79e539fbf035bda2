"""A server that lets nobody in says why in words only; the cure is another one than of a server that is not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oicp_adapter.checks.finding import Check, Level
from oicp_adapter.checks.store import store_findings
from oicp_adapter.domain.errors import StoreFault, StoreUnavailableError
from oicp_adapter.settings import Settings, StoreSettings
from oicp_adapter.store.engine import open_store
from oicp_adapter.store.failures import LOGIN, WAIT
from reliability.real.cluster import Cluster
from reliability.real.process import eventually

SECRET = "canary-73"


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """Host and port of a server that asks for passwords, over TCP, and knows the role `oicp`."""
    with Cluster() as cluster:
        cluster.admin(f"CREATE ROLE oicp LOGIN PASSWORD '{SECRET}'; CREATE ROLE locked NOLOGIN PASSWORD '{SECRET}'")
        ((file,),) = cluster.admin("SHOW hba_file")
        lines = ("postgres 127.0.0.1/32 trust", "barred 127.0.0.1/32 reject", "all 127.0.0.1/32 scram-sha-256")
        Path(file).write_text("".join(f"host all {line}\n" for line in lines))
        cluster.admin("SELECT pg_reload_conf()")
        eventually(lambda: cluster.admin("SELECT count(*) = 3 FROM pg_hba_file_rules")[0][0])
        eventually(lambda: is_refused(f"127.0.0.1:{cluster.port}"))
        yield f"127.0.0.1:{cluster.port}"


def is_refused(place: str) -> bool:
    """Tell whether the server asks for passwords by now."""
    try:
        with open_store(f"postgresql://oicp@{place}/migrated") as store, store.reading():
            return False
    except StoreUnavailableError:
        return True


def test_the_right_password_is_let_in(place):
    with open_store(f"postgresql://oicp:{SECRET}@{place}/migrated") as store, store.reading():
        pass


@pytest.mark.parametrize(
    ("login", "fault", "words"),
    [
        ("oicp:wrong@{}/migrated", StoreFault.LOGIN_REFUSED, "refused the login: .*password authentication failed"),
        ("oicp@{}/migrated", StoreFault.LOGIN_REFUSED, "refused the login: .*no password supplied"),
        ("ghost:wrong@{}/migrated", StoreFault.LOGIN_REFUSED, "refused the login"),
        ("barred:wrong@{}/migrated", StoreFault.LOGIN_REFUSED, "refused the login: .*pg_hba.conf"),
        (f"locked:{SECRET}@{{}}/migrated", StoreFault.LOGIN_REFUSED, "refused the login: .*not permitted to log in"),
        (f"oicp:{SECRET}@{{}}/nowhere", StoreFault.NO_DATABASE, "has no such database: .*nowhere"),
    ],
)
def test_who_is_not_let_in_is_told_to_correct_the_settings_and_check_says_the_same(place, login, fault, words):
    url = f"postgresql://{login.format(place)}"
    with open_store(url) as store, pytest.raises(StoreUnavailableError, match=words) as caught, store.reading():
        pass
    assert (caught.value.fault, caught.value.cure) == (fault, LOGIN)
    assert SECRET not in str(caught.value)
    settings = Settings(store=StoreSettings.model_construct(url=url, password=None))
    (found,) = store_findings(settings, fleet=False)
    assert (found.check, found.level, found.exit_code, found.cure) == (Check.STORE, Level.ERROR, 69, LOGIN)


def test_a_server_that_is_not_there_is_told_from_one_that_lets_nobody_in():
    with (
        open_store("postgresql://oicp@127.0.0.1:1/migrated") as store,
        pytest.raises(StoreUnavailableError) as caught,
        store.reading(),
    ):
        pass
    assert (caught.value.fault, caught.value.cure) == (StoreFault.UNREACHABLE, WAIT)
