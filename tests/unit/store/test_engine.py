import pytest

from oicp_adapter.domain.errors import ConfigurationError, StoreUnavailableError
from oicp_adapter.store.engine import open_store

SECRET = "canary-73"


def test_the_address_and_the_repr_hide_the_password():
    with open_store(f"postgresql://adapter:{SECRET}@db.example/fleet") as store:
        assert store.dialect == "postgresql"
        assert SECRET not in f"{store!r} {store.address}"


def test_a_password_given_apart_takes_the_place_of_the_one_in_the_url():
    with open_store("postgresql://adapter:old@db.example/fleet", password=SECRET) as store:
        assert store._password == SECRET
        assert SECRET not in repr(store)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{SECRET} is no url", "is no URL"),
        (f"mysql://user:{SECRET}@host/db", "mysql database"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (f"sqlite:////tmp/store.db?{SECRET}=1", "has options"),
    ],
)
def test_a_wrong_url_is_refused_without_quoting_it(url: str, words: str):
    with pytest.raises(ConfigurationError, match=words) as caught:
        open_store(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_not_there_is_unavailable_and_the_error_names_no_secret(tmp_path):
    url = f"postgresql://adapter:{SECRET}@/fleet?host={tmp_path}"
    with open_store(url) as store, pytest.raises(StoreUnavailableError) as caught, store.reading():
        pass
    assert caught.value.passes
    assert SECRET not in str(caught.value)
